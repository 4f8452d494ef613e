//! Latencies in microseconds: three digits kept, from one microsecond to ten minutes. `tests/scoreboard.rs` tests it.

use std::time::Duration;

use hdrhistogram::Histogram;

/// What was recorded.
pub struct Latencies(Histogram<u64>);

impl Latencies {
    pub fn new() -> Self {
        Self(Histogram::new_with_bounds(1, 600_000_000, 3).expect("the bounds are those of a histogram"))
    }

    pub fn record(&mut self, took: Duration) {
        self.0.saturating_record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(1));
    }

    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// (microseconds, how many), rising: readable without this library.
    pub fn counts(&self) -> Vec<(u64, u64)> {
        self.0.iter_recorded().map(|step| (step.value_iterated_to(), step.count_at_value())).collect()
    }
}

/// The value below which `share` of all lie, from (value, how many) pairs; `None` if there are none.
pub fn quantile(counts: &[(u64, u64)], share: f64) -> Option<f64> {
    let all: u64 = counts.iter().map(|(_, count)| count).sum();
    let wanted = (all as f64 * share).ceil().max(1.0);
    let mut seen = 0;
    counts.iter().find_map(|(value, count)| {
        seen += count;
        (seen as f64 >= wanted).then_some(*value as f64)
    })
}
