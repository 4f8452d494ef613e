//! How many operations ended each second, by how they ended.

use super::load::{Call, OUTCOMES, Outcome, Run};
use super::page::Part;
use super::svg::{Plot, Time, WIDTH};

const HEIGHT: f64 = 130.0;
/// Steps of the lines at most.
const BINS_MAX: f64 = 250.0;

/// The plot.
pub fn draw(run: &Run, behind: &dyn Fn(f64) -> String) -> Part {
    let time = Time { span: run.span };
    let bin = (run.span / BINS_MAX).max(0.5);
    let rates: Vec<(Outcome, Vec<f64>)> =
        OUTCOMES.into_iter().map(|outcome| (outcome, rates(&run.calls, outcome, bin, run.span))).collect();
    let top = round_up(rates.iter().flat_map(|(_, rates)| rates).copied().fold(1.0, f64::max));
    let y = |rate: f64| HEIGHT - 4.0 - rate / top * (HEIGHT - 12.0);
    let mut plot = Plot::new("rate", HEIGHT, &behind(HEIGHT));
    for share in [0.0, 0.5, 1.0] {
        plot.level(y(top * share), &format!("{}/s", top * share));
    }
    for (outcome, rates) in &rates {
        let corner = |(n, rate): (usize, &f64)| {
            let x = |n: usize| (time.x(bin * n as f64)).min(WIDTH);
            [Some((x(n), y(*rate))), Some((x(n + 1), y(*rate)))]
        };
        plot.line(outcome.name(), rates.iter().enumerate().flat_map(corner));
    }
    let about = format!("Operations that ended, each second, in steps of {bin:.2} s. What was never answered is not counted.");
    Part { title: "Rate", about, body: plot.finish(time) }
}

fn rates(calls: &[Call], outcome: Outcome, bin: f64, span: f64) -> Vec<f64> {
    let mut counts = vec![0.0; (span / bin).ceil().max(1.0) as usize];
    let last = counts.len() - 1;
    for ended in calls.iter().filter(|call| call.outcome == outcome).filter_map(|call| call.ended) {
        counts[((ended / bin) as usize).min(last)] += 1.0;
    }
    counts.iter().map(|count| count / bin).collect()
}

/// The next of 1, 2, 5, 10, 20, …
fn round_up(top: f64) -> f64 {
    let power = 10_f64.powf(top.log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|step| step * power).find(|step| *step >= top).unwrap_or(top)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_ended_is_counted_once() {
        let one = |n: u32| Call {
            began: 0.0,
            ended: (n != 7).then(|| f64::from(n) / 10.0),
            outcome: Outcome::Ok,
            process: 0,
            text: String::new(),
            workload: String::new(),
            node: None,
        };
        let calls: Vec<Call> = (0..=100).map(one).collect();
        let rates = rates(&calls, Outcome::Ok, 0.5, 10.0);
        assert_eq!((rates.len(), rates.iter().sum::<f64>() * 0.5), (20, 100.0));
    }

    #[test]
    fn the_axis_ends_at_a_round_number() {
        assert_eq!([0.9, 1.0, 3.0, 21.0, 1001.0].map(round_up), [1.0, 1.0, 5.0, 50.0, 2000.0]);
    }
}
