//! From two lists of moments to lags: pure.

use std::collections::BTreeMap;

use super::Moments;

/// Lags of one watch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Lags {
    /// When each marker was acknowledged, in nanoseconds of the monotonic clock, and its lag in microseconds.
    pub samples: Vec<(u64, u64)>,
    /// Acknowledged, and never seen.
    pub unseen: u64,
    /// When the last of the unseen was acknowledged.
    unseen_since: Option<u64>,
}

impl Lags {
    /// `seen` holds the numbers that the watcher met, growing: one between was visible no later than the next that it met.
    pub fn pair(acknowledged: &Moments, seen: &Moments) -> Self {
        let mut lags = Self::default();
        let mut seen = seen.iter().peekable();
        for (number, at) in acknowledged {
            while seen.next_if(|(found, _)| found < number).is_some() {}
            match seen.peek() {
                // Visible before its writer knew: no lag.
                Some((_, visible)) => lags.samples.push((*at, visible.saturating_sub(*at) / 1000)),
                None => {
                    lags.unseen += 1;
                    lags.unseen_since.get_or_insert(*at);
                }
            }
        }
        lags
    }

    /// How old at `at` the oldest acknowledged marker was that nobody could see: the truth that a status should tell.
    pub fn behind_us(&self, at: u64) -> u64 {
        let open = self.samples.iter().filter(|(acknowledged, lag)| *acknowledged <= at && acknowledged + lag * 1000 > at);
        let oldest = open.map(|(acknowledged, _)| *acknowledged).chain(self.unseen_since.filter(|since| *since <= at)).min();
        oldest.map_or(0, |oldest| (at - oldest) / 1000)
    }

    /// (Microseconds, how many).
    pub fn counts(&self) -> Vec<(u64, u64)> {
        let mut counts = BTreeMap::<u64, u64>::new();
        for (_, lag) in &self.samples {
            *counts.entry(rounded(*lag)).or_default() += 1;
        }
        counts.into_iter().collect()
    }

    /// Seconds since the first marker, and the worst lag in milliseconds of each of `places` equal parts of the time.
    pub fn over_time(&self, places: usize) -> Vec<(f64, f64)> {
        let (Some((first, _)), Some((last, _))) = (self.samples.first(), self.samples.last()) else { return Vec::new() };
        let width = ((last - first) / places as u64).max(1);
        let mut worst = BTreeMap::<u64, u64>::new();
        for (at, lag) in &self.samples {
            let place = worst.entry((at - first) / width).or_default();
            *place = (*place).max(*lag);
        }
        worst.into_iter().map(|(place, lag)| ((place * width) as f64 / 1e9, lag as f64 / 1000.0)).collect()
    }
}

/// Three digits: as exact as the watcher is.
fn rounded(us: u64) -> u64 {
    let step = 10_u64.pow(us.max(1).ilog10().saturating_sub(2));
    us.div_ceil(step) * step
}
