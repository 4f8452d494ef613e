//! Each operation as a dot: when it began, and how long it took (logarithmic), coloured by how it ended.
//!
//! Dots that would lie on another of the same colour are left out, and how many are drawn is told. The rare colours are drawn last.

use std::collections::{BTreeSet, HashSet};

use super::bands;
use super::load::{Call, OUTCOMES, Outcome, Run};
use super::page::Part;
use super::svg::{Plot, Time};

const HEIGHT: f64 = 280.0;
/// Above the dots, for the names of faults.
const ABOVE: f64 = 26.0;
/// Edge of the square within which one dot stands for all of its colour.
const CELL: f64 = 2.5;
/// Seconds for which a fault that was ended may still be felt.
const AFTERMATH: f64 = 3.0;

/// Milliseconds to heights, by their logarithm.
struct Scale {
    low: f64,
    high: f64,
}

impl Scale {
    /// From the power of ten below the shortest to the one above the longest.
    fn of(calls: &[Call]) -> Self {
        let took = calls.iter().filter_map(milliseconds);
        let (low, high) = took.fold((1.0_f64, 10.0_f64), |(low, high), ms| (low.min(ms), high.max(ms)));
        Self { low: low.log10().floor(), high: high.log10().ceil() }
    }

    fn y(&self, ms: f64) -> f64 {
        HEIGHT - 6.0 - (ms.log10() - self.low) / (self.high - self.low) * (HEIGHT - ABOVE - 6.0)
    }

    fn decades(&self) -> impl Iterator<Item = (f64, String)> + use<'_> {
        let decades = (self.low as i32)..=(self.high as i32);
        decades.map(|power| {
            let ms = 10_f64.powi(power);
            let name = if ms >= 1000.0 {
                format!("{} s", ms / 1000.0)
            } else if ms >= 1.0 {
                format!("{ms} ms")
            } else {
                format!("{} µs", (ms * 1000.0).round())
            };
            (ms, name)
        })
    }
}

/// How long it took; a microsecond at least, as there is no logarithm of nothing.
fn milliseconds(call: &Call) -> Option<f64> {
    call.ended.map(|ended| ((ended - call.began) * 1000.0).max(0.001))
}

/// The plot.
pub fn draw(run: &Run, behind: &dyn Fn(f64) -> String) -> Part {
    let (time, scale) = (Time { span: run.span }, Scale::of(&run.calls));
    let mut plot = Plot::new("latency", HEIGHT, &behind(HEIGHT));
    for (ms, name) in scale.decades() {
        plot.level(scale.y(ms), &name);
    }
    bands::name(&bands::bands(&run.history), time, &mut plot);
    let (mut drawn, mut about) = (0, Vec::new());
    for outcome in OUTCOMES {
        let mine: Vec<&Call> = run.calls.iter().filter(|call| call.outcome == outcome).collect();
        for (call, x, y) in thinned(&mine, time, &scale) {
            plot.dot(outcome.name(), x, y, &call.text);
            drawn += 1;
        }
        about.extend(quantiles(outcome, &mine));
    }
    about.extend(beside_faults(run));
    let silent = run.calls.iter().filter(|call| call.ended.is_none()).count();
    let shown =
        format!("{drawn} of {} operations are drawn: those that would lie on a dot of the same colour are left out.", run.calls.len());
    let silent = if silent > 0 { format!(" {silent} never had an answer, and have no dot.") } else { String::new() };
    Part { title: "Latency", about: format!("{shown}{silent} {}", about.join(" · ")), body: plot.finish(time) }
}

fn thinned<'c>(calls: &[&'c Call], time: Time, scale: &Scale) -> Vec<(&'c Call, f64, f64)> {
    let mut taken = HashSet::new();
    let placed = calls.iter().filter_map(|call| milliseconds(call).map(|ms| (*call, time.x(call.began), scale.y(ms))));
    placed.filter(|(_, x, y)| taken.insert(((x / CELL) as i64, (y / CELL) as i64))).collect()
}

/// How long what was done took at the 99th percentile: without a fault, and while each fault was in force; a line each. Where a fault
/// befell some nodes, those who asked the others are told apart.
///
/// What began within [`AFTERMATH`] after a fault counts for neither.
pub fn beside_faults(run: &Run) -> Vec<String> {
    let bands = bands::bands(&run.history);
    let p99 = |is_meant: &dyn Fn(&Call) -> bool| {
        let took = sorted(run.calls.iter().filter(|call| call.outcome == Outcome::Ok && is_meant(call)));
        at(&took, 0.99).map(|ms| (ms, took.len()))
    };
    let calm = p99(&|call| !bands.iter().any(|band| call.ended.unwrap_or(run.span) >= band.from && call.began <= band.to + AFTERMATH));
    let Some((healthy, calls)) = calm else { return Vec::new() };
    let mut lines = vec![format!("without a fault 99 % of {calls} within {healthy:.1} ms")];
    let modes: BTreeSet<&str> = bands.iter().map(|band| band.mode.as_str()).collect();
    for mode in modes {
        let of_mode = || bands.iter().filter(|band| band.mode == mode);
        let began_in = |call: &Call, band: &bands::Band| (band.from..=band.to).contains(&call.began);
        let in_force = |call: &Call| of_mode().any(|band| began_in(call, band));
        let Some((ms, calls)) = p99(&in_force) else { continue };
        let mut line = format!("under {mode} 99 % of {calls} within {ms:.1} ms, {:.1}x", ms / healthy);
        let has_victims = of_mode().any(|band| !band.victims.is_empty());
        let is_elsewhere = |call: &Call| {
            let is_spared = |band: &bands::Band| call.node.as_ref().is_some_and(|node| !band.victims.contains(node));
            of_mode().any(|band| began_in(call, band) && is_spared(band))
        };
        if let Some((ms, calls)) = p99(&is_elsewhere).filter(|_| has_victims) {
            line.push_str(&format!("; of {calls} at other nodes within {ms:.1} ms, {:.1}x", ms / healthy));
        }
        lines.push(line);
    }
    lines
}

/// How long those took that were answered, the shortest first.
fn sorted<'c>(calls: impl Iterator<Item = &'c Call>) -> Vec<f64> {
    let mut took: Vec<f64> = calls.filter_map(milliseconds).collect();
    took.sort_by(f64::total_cmp);
    took
}

/// What this share of them took at most.
pub fn at(sorted: &[f64], share: f64) -> Option<f64> {
    sorted.get(((sorted.len() as f64 * share) as usize).min(sorted.len().saturating_sub(1))).copied()
}

fn quantiles(outcome: Outcome, calls: &[&Call]) -> Option<String> {
    let took = sorted(calls.iter().copied());
    let (half, most, longest) = (at(&took, 0.5)?, at(&took, 0.99)?, at(&took, 1.0)?);
    Some(format!("{} ({}): half within {half:.2} ms, 99 % within {most:.1} ms, longest {longest:.0} ms", outcome.name(), calls.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(began: f64, ms: f64, outcome: Outcome) -> Call {
        let ended = Some(began + ms / 1000.0);
        Call { began, ended, outcome, process: 0, text: String::new(), workload: String::new(), node: Some("c1".to_owned()) }
    }

    #[test]
    fn dots_that_hide_each_other_are_one() {
        let calls: Vec<Call> = (0..1000).map(|n| call(f64::from(n) / 1000.0, 5.0, Outcome::Ok)).collect();
        let run = Run { calls, span: 100.0, ..Run::default() };
        let part = draw(&run, &|_| String::new());
        let dots = part.body.matches("class=\"dot ok\"").count();
        assert!((4..=6).contains(&dots), "{dots}");
        assert!(part.about.starts_with(&format!("{dots} of 1000 operations are drawn")), "{}", part.about);
    }

    #[test]
    fn what_began_under_a_fault_is_told_apart_from_what_did_not() {
        use crate::core::{History, Op, Process, Value};
        let fault = |f: &str, second: u64, outcome: Option<&str>| {
            let value = Value::pair(Value::keyword("lossy-standby"), "c");
            let op = Op { process: Process::Nemesis, ..Op::invoke(0, f, value) }.at(second * 1_000_000_000);
            outcome.map_or(op.clone(), |outcome| op.with("outcome", outcome).with("what", Value::list(["c1"])))
        };
        let ops = vec![
            fault("start-packet", 10, None),
            fault("start-packet", 10, Some("installed")),
            fault("stop-packet", 20, None),
            fault("stop-packet", 20, Some("removed")),
        ];
        let mut history = History::default();
        ops.into_iter().for_each(|op| history.push(op));
        let mut calls = [(5.0, 10.0), (12.0, 30.0), (21.0, 900.0), (24.0, 20.0)].map(|(began, ms)| call(began, ms, Outcome::Ok)).to_vec();
        let lines = |calls: &[Call]| beside_faults(&Run { calls: calls.to_vec(), span: 30.0, history: history.clone(), ..Run::default() });
        assert_eq!(lines(&calls), ["without a fault 99 % of 2 within 20.0 ms", "under lossy-standby 99 % of 1 within 30.0 ms, 1.5x"]);
        calls.push(Call { node: Some("c2".to_owned()), ..call(13.0, 24.0, Outcome::Ok) });
        let both = "under lossy-standby 99 % of 2 within 30.0 ms, 1.5x; of 1 at other nodes within 24.0 ms, 1.2x";
        assert_eq!(lines(&calls)[1], both);
    }

    #[test]
    fn a_rare_outcome_is_never_hidden() {
        let mut calls: Vec<Call> = (0..100).map(|n| call(f64::from(n), 5.0, Outcome::Ok)).collect();
        calls.push(call(50.0, 5.0, Outcome::Info));
        let part = draw(&Run { calls, span: 100.0, ..Run::default() }, &|_| String::new());
        assert!(part.body.rfind("dot info") > part.body.rfind("dot ok"));
    }

    #[test]
    fn the_scale_spans_what_there_is() {
        let scale = Scale::of(&[call(0.0, 0.03, Outcome::Fail), call(0.0, 5000.0, Outcome::Info)]);
        let names: Vec<String> = scale.decades().map(|(_, name)| name).collect();
        assert_eq!(names, ["10 µs", "100 µs", "1 ms", "10 ms", "100 ms", "1 s", "10 s"]);
        assert!(scale.y(0.01) < HEIGHT && scale.y(10_000.0) > 0.0);
    }
}
