//! How old the state is that each node shows: standbys against the furthest of their cluster, secondaries against the primary.
//!
//! In seconds, as entries say little: since when somebody was further. It is no finer than the samples are.

use super::latency::at;
use super::load::{Run, Sample, Track};
use super::page::Part;
use super::svg::{Plot, Time, escape};

const HEIGHT: f64 = 120.0;
/// Classes `line0` and so on in the style sheet.
const COLOURS: usize = 9;

/// What a node shows, how old it is, and how many entries behind: seconds, seconds, entries.
pub type Age = (f64, f64, u64);

/// How far the furthest was, at each moment at which it got further.
fn front<'t>(samples: impl Iterator<Item = &'t Sample>, position: impl Fn(&Sample) -> Option<u64>) -> Vec<(f64, u64)> {
    let mut known: Vec<(f64, u64)> = samples.filter_map(|sample| Some((sample.at, position(sample)?))).collect();
    known.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut front: Vec<(f64, u64)> = Vec::new();
    for (at, position) in known {
        if front.last().is_none_or(|(_, furthest)| *furthest < position) {
            front.push((at, position));
        }
    }
    front
}

/// For each sample that tells a position: how long before somebody had been further.
fn ages(front: &[(f64, u64)], samples: &[Sample], position: impl Fn(&Sample) -> Option<u64>) -> Vec<Option<Age>> {
    let age = |sample: &Sample| {
        let mine = position(sample)?;
        let first = front.partition_point(|(_, position)| *position <= mine);
        let now = front.partition_point(|(at, _)| *at <= sample.at);
        let is_behind = first < now;
        Some(match is_behind {
            true => (sample.at, sample.at - front[first].0, front[now - 1].1 - mine),
            false => (sample.at, 0.0, 0),
        })
    };
    samples.iter().map(age).collect()
}

/// All lines: a name, and ages.
fn lines(run: &Run) -> Vec<(String, Vec<Option<Age>>)> {
    let mut lines = Vec::new();
    for cluster in run.clusters() {
        let of = || run.tracks.iter().filter(move |track| track.cluster == cluster);
        let front = front(of().flat_map(|track| &track.samples), |sample| sample.applied);
        let standby = |sample: &Sample| sample.applied.filter(|_| sample.role == "standby");
        lines.extend(of().filter(|_| of().count() > 1).map(|track| (track.node.clone(), ages(&front, &track.samples, standby))));
    }
    let is = |sample: &Sample, mode: &str| sample.mode.as_deref() == Some(mode);
    let primary = front(run.tracks.iter().flat_map(|track| &track.samples).filter(|sample| is(sample, "primary")), |sample| sample.record);
    for cluster in run.clusters() {
        let samples: Vec<Sample> = secondary(run.tracks.iter().filter(|track| track.cluster == cluster));
        if !samples.is_empty() {
            lines.push((format!("cluster {cluster}"), ages(&primary, &samples, |sample| sample.record)));
        }
    }
    lines.retain(|(_, ages)| ages.iter().any(Option::is_some));
    lines
}

fn secondary<'t>(tracks: impl Iterator<Item = &'t Track>) -> Vec<Sample> {
    let is_secondary = |sample: &&Sample| sample.mode.as_deref() == Some("secondary");
    let mut samples: Vec<Sample> = tracks.flat_map(|track| &track.samples).filter(is_secondary).cloned().collect();
    samples.sort_by(|a, b| a.at.total_cmp(&b.at));
    samples
}

/// How old what nodes showed was, a line for each: at half and at 99 % of the samples, at most, and whether it was current in the end.
pub fn in_words(run: &Run) -> Vec<String> {
    let words = |(name, ages): (String, Vec<Option<Age>>)| {
        let known: Vec<f64> = ages.iter().flatten().map(|(_, age, _)| *age).collect();
        let (last, mut sorted) = (*known.last()?, known);
        sorted.sort_by(f64::total_cmp);
        let [half, most, worst] = [0.5, 0.99, 1.0].map(|share| at(&sorted, share).unwrap_or_default());
        let end = if last == 0.0 { "current at the end" } else { "NOT current at the end" };
        Some(format!("{name}: half of {} samples at most {half:.2} s old, 99 % {most:.2} s, all {worst:.2} s; {end}", sorted.len()))
    };
    lines(run).into_iter().filter_map(words).collect()
}

/// The plot.
pub fn draw(run: &Run, behind: &dyn Fn(f64) -> String) -> Part {
    let title = "Staleness";
    let (time, lines) = (Time { span: run.span }, lines(run));
    if lines.is_empty() {
        return Part { title, about: "Nobody follows anybody here, or nothing was sampled.".to_owned(), body: String::new() };
    }
    let worst = |ages: &[Option<Age>]| ages.iter().flatten().map(|(_, age, _)| *age).fold(0.0, f64::max);
    let top = lines.iter().map(|(_, ages)| worst(ages)).fold(1.0, f64::max).ceil();
    // Fractions of seconds are of interest, and so is a minute: the root shows both.
    let y = |age: f64| HEIGHT - 5.0 - (age / top).sqrt() * (HEIGHT - 12.0);
    let mut plot = Plot::new("stale", HEIGHT, &behind(HEIGHT));
    for age in [0.0, top / 16.0, top / 4.0, top] {
        plot.level(y(age), &format!("{} s", (age * 100.0).round() / 100.0));
    }
    let mut keys = String::new();
    for (number, (name, ages)) in lines.iter().enumerate() {
        let class = format!("line{}", number % COLOURS);
        plot.line(&class, ages.iter().map(|age| age.map(|(at, age, _)| (time.x(at), y(age)))));
        for (at, age, behind) in ages.iter().flatten().filter(|(_, age, _)| *age > 0.0) {
            let text = format!("{name} · {at:.2} s · {age:.2} s old, {behind} behind");
            plot.dot(&class, time.x(*at), y(*age), &text);
        }
        keys.push_str(&format!("<span class=\"key\"><i class=\"{class}\"></i>{} (at most {:.2} s)</span>", escape(name), worst(ages)));
    }
    let about = "Age of what a standby has applied, against the furthest of its cluster, and of what a secondary holds, against the primary; no finer \
                 than the samples, a quarter of a second. The scale is a square root. A line is broken while nothing is known."
        .to_owned();
    Part { title, about, body: format!("<p class=\"legend\">{keys}</p>{}", plot.finish(time)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(role: &str, positions: &[(f64, u64)]) -> Vec<Sample> {
        positions
            .iter()
            .map(|(at, applied)| Sample { at: *at, role: role.to_owned(), applied: Some(*applied), ..Sample::default() })
            .collect()
    }

    #[test]
    fn a_state_is_as_old_as_the_first_that_was_newer() {
        let ahead = samples("active", &[(1.0, 10), (2.0, 20), (3.0, 30), (9.0, 30)]);
        let behind = samples("standby", &[(1.5, 10), (2.5, 10), (5.0, 20), (6.0, 30)]);
        let front = front(ahead.iter().chain(&behind), |sample| sample.applied);
        let ages: Vec<Age> = ages(&front, &behind, |sample| sample.applied).into_iter().flatten().collect();
        assert_eq!(ages, [(1.5, 0.0, 0), (2.5, 0.5, 10), (5.0, 2.0, 10), (6.0, 0.0, 0)]);
    }

    #[test]
    fn every_standby_has_a_line_and_a_single_node_has_none() {
        let track = |node: &str, samples| Track { cluster: "a".to_owned(), node: node.to_owned(), samples };
        let one = track("a1", samples("active", &[(1.0, 10), (2.0, 20)]));
        let two = track("a2", samples("standby", &[(1.0, 10), (2.5, 10)]));
        let alone = Run { tracks: vec![one.clone()], span: 3.0, ..Run::default() };
        assert_eq!(draw(&alone, &|_| String::new()).body, "");
        let run = Run { tracks: vec![one, two], span: 3.0, ..Run::default() };
        let said = "a2: half of 2 samples at most 0.50 s old, 99 % 0.50 s, all 0.50 s; NOT current at the end";
        assert_eq!(in_words(&run), [said]);
        let part = draw(&run, &|_| String::new());
        assert!(part.body.contains("a2 (at most 0.50 s)") && part.body.contains("10 behind"), "{}", part.body);
    }
}
