//! Where each node stood: its role as a coloured strip with its term, and below how far it had applied the log.

use super::load::{Run, Sample, Track};
use super::page::Part;
use super::svg::{Plot, Time, WIDTH, escape};

/// Of one node.
const ROW: f64 = 48.0;
const STRIP: f64 = 15.0;
/// A sample counts until the next, but not longer: after that nothing is known.
pub const FRESH: f64 = 2.5;
/// Roles that have a colour of their own.
const ROLES: [&str; 9] = ["active", "standby", "sealed", "down", "paused", "silent", "removed", "uninitialized", "other"];

/// Samples that follow each other and say the same.
#[derive(Debug, Clone, PartialEq)]
pub struct Stretch<'t> {
    /// Seconds.
    pub from: f64,
    /// Seconds.
    pub to: f64,
    /// The first of them.
    pub first: &'t Sample,
}

/// Stretches over which `same` holds between neighbours.
pub fn stretches<'t>(samples: &'t [Sample], span: f64, same: impl Fn(&Sample, &Sample) -> bool) -> Vec<Stretch<'t>> {
    let mut found: Vec<Stretch<'t>> = Vec::new();
    for (place, sample) in samples.iter().enumerate() {
        let to = samples.get(place + 1).map_or(span, |next| next.at).min(sample.at + FRESH);
        match found.last_mut() {
            Some(last) if same(last.first, sample) && sample.at - last.to < 1e-6 => last.to = to,
            _ => found.push(Stretch { from: sample.at, to, first: sample }),
        }
    }
    found
}

/// The plot.
pub fn draw(run: &Run, behind: &dyn Fn(f64) -> String) -> Part {
    let title = "Nodes";
    if run.tracks.is_empty() {
        let about = "No samples.jsonl in this folder: where nodes stood was not recorded.".to_owned();
        return Part { title, about, body: String::new() };
    }
    let (time, height) = (Time { span: run.span }, ROW * run.tracks.len() as f64);
    let mut plot = Plot::new("nodes", height, &behind(height));
    for (number, track) in run.tracks.iter().enumerate() {
        let top = ROW * number as f64 + 4.0;
        plot.label(top + STRIP / 2.0, &track.node);
        roles(&mut plot, track, time, top);
        positions(&mut plot, run, track, time, top);
    }
    let keys: String = ROLES
        .into_iter()
        .filter(|role| run.tracks.iter().flat_map(|track| &track.samples).any(|sample| sample.role == *role))
        .map(|role| format!("<span class=\"key\"><i class=\"{role}\"></i>{}</span>", escape(role)))
        .collect();
    let about = "Four times a second, over the control plane. The strip is the role, with the term of its newest entry where that is known; the line below is the last \
                 entry applied, between the lowest and the highest of the cluster."
        .to_owned();
    Part { title, about, body: format!("<p class=\"legend\">{keys}</p>{}", plot.finish(time)) }
}

fn roles(plot: &mut Plot, track: &Track, time: Time, top: f64) {
    for stretch in stretches(&track.samples, time.span, |a, b| a.role == b.role && a.term == b.term) {
        let role = ROLES.into_iter().find(|role| *role == stretch.first.role).unwrap_or("other");
        let term = stretch.first.term.map(|term| format!(" in term {term}")).unwrap_or_default();
        let text = format!("{} · {}{term} · {:.2} s to {:.2} s", track.node, stretch.first.role, stretch.from, stretch.to);
        let (x, width) = (time.x(stretch.from), time.x(stretch.to) - time.x(stretch.from));
        plot.rect(role, (x, top), (width, STRIP), &text);
        if let (Some(term), true) = (stretch.first.term, width > 16.0) {
            plot.note("term", x + 3.0, top + STRIP - 4.0, &format!("t{term}"));
        }
    }
}

fn positions(plot: &mut Plot, run: &Run, track: &Track, time: Time, top: f64) {
    let all = run.tracks.iter().filter(|other| other.cluster == track.cluster).flat_map(|other| &other.samples);
    let (low, high) = all.filter_map(|sample| sample.applied).fold((u64::MAX, 0), |(low, high), at| (low.min(at), high.max(at)));
    if low >= high {
        return;
    }
    let (floor, rise) = (top + ROW - 8.0, ROW - STRIP - 14.0);
    let y = |applied: u64| floor - (applied - low) as f64 / (high - low) as f64 * rise;
    plot.line("applied", track.samples.iter().map(|sample| sample.applied.map(|applied| (time.x(sample.at), y(applied)))));
    // What the pointer finds, at most one for each unit of the width.
    let step = (track.samples.len() as f64 / WIDTH).ceil().max(1.0) as usize;
    for sample in track.samples.iter().step_by(step) {
        if let Some(applied) = sample.applied {
            let committed = sample.committed.map(|committed| format!(", knows {committed} to be committed")).unwrap_or_default();
            let text = format!("{} · {:.2} s · applied {applied}{committed}", track.node, sample.at);
            plot.rect("hover", (time.x(sample.at), top + STRIP), ((WIDTH * 0.25 / time.span).max(1.0), ROW - STRIP - 6.0), &text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(at: f64, role: &str, term: u64) -> Sample {
        Sample { at, role: role.to_owned(), term: Some(term), applied: Some((at * 10.0) as u64), ..Sample::default() }
    }

    fn track(samples: Vec<Sample>) -> Run {
        Run { tracks: vec![Track { cluster: "a".to_owned(), node: "a1".to_owned(), samples }], span: 20.0, ..Run::default() }
    }

    #[test]
    fn equal_samples_are_one_stretch_until_nothing_is_known() {
        let samples = [sample(0.0, "standby", 1), sample(1.0, "standby", 1), sample(2.0, "active", 2), sample(10.0, "active", 2)];
        let shown: Vec<(f64, f64)> =
            stretches(&samples, 20.0, |a, b| a.role == b.role).iter().map(|stretch| (stretch.from, stretch.to)).collect();
        assert_eq!(shown, [(0.0, 2.0), (2.0, 4.5), (10.0, 12.5)]);
    }

    #[test]
    fn roles_terms_and_positions_are_shown() {
        let run = track(vec![sample(0.0, "standby", 1), sample(1.0, "active", 2), sample(2.0, "<odd>", 2)]);
        let part = draw(&run, &|_| String::new());
        for shown in
            ["class=\"standby\"", "class=\"active\"", "class=\"other\"", "a1 · active in term 2", ">t2<", "line applied", "&lt;odd&gt;"]
        {
            assert!(part.body.contains(shown), "{shown}");
        }
        assert!(!part.body.contains("<odd>"));
    }
}
