//! The root of each cluster's hash tree over what clusters share: equal colours are equal roots.
//!
//! While clients write, roots change with every record. What must never be is two roots at one position: those moments are marked.

use std::collections::BTreeMap;

use super::load::{Run, Sample};
use super::nodes::stretches;
use super::page::Part;
use super::svg::{Plot, Time};

const ROW: f64 = 24.0;

/// Two roots at one position of the shared history.
#[derive(Debug, Clone, PartialEq)]
pub struct Clash {
    /// The position.
    pub record: u64,
    /// Who had which root, and when.
    pub text: String,
    /// Seconds: when the second was seen.
    pub at: f64,
}

/// Positions at which nodes had different roots. A new primary goes on from where it stood, so positions of divergent histories may
/// meet: a forced promotion shows here too.
pub fn clashes(run: &Run) -> Vec<Clash> {
    let mut known: BTreeMap<u64, (&str, &str, f64)> = BTreeMap::new();
    let mut all: Vec<(&str, &Sample)> =
        run.tracks.iter().flat_map(|track| track.samples.iter().map(|sample| (track.node.as_str(), sample))).collect();
    all.sort_by(|(_, a), (_, b)| a.at.total_cmp(&b.at));
    let mut found: Vec<Clash> = Vec::new();
    for (node, sample) in all {
        let (Some(record), Some(root)) = (sample.record.filter(|record| *record > 0), sample.root.as_deref()) else { continue };
        match known.get(&record) {
            None => drop(known.insert(record, (root, node, sample.at))),
            Some((first, _, _)) if *first == root => {}
            Some(_) if found.iter().any(|clash| clash.record == record) => {}
            Some((first, other, at)) => {
                let text = format!("record {record}: {other} had root {first} at {at:.2} s, and {node} {root} at {:.2} s", sample.at);
                found.push(Clash { record, text, at: sample.at });
            }
        }
    }
    found
}

/// The plot.
pub fn draw(run: &Run, behind: &dyn Fn(f64) -> String) -> Part {
    let title = "Merkle roots";
    let has_root =
        |name: &str| run.tracks.iter().any(|track| track.cluster == name && track.samples.iter().any(|sample| sample.root.is_some()));
    let clusters: Vec<&str> = run.clusters().into_iter().filter(|name| has_root(name)).collect();
    if clusters.is_empty() {
        let about = "No roots were told: a cluster without replication tells none, unless it is a test build.".to_owned();
        return Part { title, about, body: String::new() };
    }
    let (time, height) = (Time { span: run.span }, ROW * clusters.len() as f64 + 4.0);
    let mut plot = Plot::new("roots", height, &behind(height));
    for (number, cluster) in clusters.iter().enumerate() {
        let top = ROW * number as f64 + 4.0;
        plot.label(top + ROW / 2.0 - 2.0, cluster);
        let samples = merged(run, cluster);
        for stretch in stretches(&samples, time.span, |a, b| a.root == b.root) {
            let Some(root) = &stretch.first.root else { continue };
            let (x, to) = (time.x(stretch.from), time.x(stretch.to));
            let at = stretch.first.record.map(|record| format!(" at record {record}")).unwrap_or_default();
            let mode = stretch.first.mode.as_deref().map(|mode| format!(" ({mode})")).unwrap_or_default();
            let text = format!("cluster {cluster}{mode} · root {root}{at} · {:.2} s to {:.2} s", stretch.from, stretch.to);
            plot.tinted(hue(root), (x, top), (to - x, ROW - 8.0), &text);
        }
    }
    let clashes = clashes(run);
    for clash in &clashes {
        plot.rect("clash", (time.x(clash.at), 0.0), (2.5, height), &clash.text);
    }
    let found = match clashes.len() {
        0 => "No two were seen at one position of the shared history.".to_owned(),
        count => format!(
            "{count} positions had two roots (red): {}.",
            clashes.iter().take(3).map(|clash| clash.text.as_str()).collect::<Vec<_>>().join("; ")
        ),
    };
    let about =
        format!("Of each cluster's active node. Equal colours are equal roots; each record of a shared write makes a new one. {found}");
    Part { title, about, body: plot.finish(time) }
}

/// Samples of whoever was active in a cluster; of two at once, the one with the later record.
fn merged(run: &Run, cluster: &str) -> Vec<Sample> {
    let tracks = run.tracks.iter().filter(|track| track.cluster == cluster);
    let mut samples: Vec<Sample> =
        tracks.flat_map(|track| &track.samples).filter(|sample| sample.role == "active" && sample.root.is_some()).cloned().collect();
    samples.sort_by(|a, b| a.at.total_cmp(&b.at));
    samples
}

/// A colour for a root: its first digits.
fn hue(root: &str) -> u32 {
    let digits: String = root.chars().take(4).collect();
    u32::from_str_radix(&digits, 16).unwrap_or(0) % 360
}

#[cfg(test)]
mod tests {
    use super::super::load::Track;
    use super::*;

    fn track(cluster: &str, samples: &[(f64, u64, &str)]) -> Track {
        let sample = |(at, record, root): &(f64, u64, &str)| Sample {
            at: *at,
            role: "active".to_owned(),
            record: Some(*record),
            root: Some((*root).to_owned()),
            ..Sample::default()
        };
        Track { cluster: cluster.to_owned(), node: format!("{cluster}1"), samples: samples.iter().map(sample).collect() }
    }

    #[test]
    fn two_roots_at_one_position_are_marked_and_different_positions_are_not() {
        let primary = track("p", &[(1.0, 7, "aa00"), (2.0, 8, "bb00")]);
        let good = Run { tracks: vec![primary.clone(), track("s", &[(1.5, 7, "aa00"), (3.0, 8, "bb00")])], span: 5.0, ..Run::default() };
        assert_eq!(clashes(&good), []);
        assert_eq!(draw(&good, &|_| String::new()).body.matches("hsl(").count(), 4);
        let bad = Run { tracks: vec![primary, track("s", &[(1.5, 7, "cc00"), (1.6, 7, "cc00")])], span: 5.0, ..Run::default() };
        assert_eq!(clashes(&bad).len(), 1);
        let part = draw(&bad, &|_| String::new());
        assert!(part.body.contains("clash") && part.about.contains("record 7: p1 had root aa00"), "{}", part.about);
    }
}
