//! What a run's folder holds, as far as it is there: a run that was killed has no verdict, an old one no samples.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::Value as Json;

use crate::core::{History, Kind, Op, Process};

/// Where nodes stood, a line for each look at one.
const SAMPLES: &str = "samples.jsonl";

/// How a client's operation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// It happened.
    Ok,
    /// It did not.
    Fail,
    /// Nobody knows.
    Info,
}

/// All of them, in the order in which they are drawn: the rare ones on top.
pub const OUTCOMES: [Outcome; 3] = [Outcome::Ok, Outcome::Fail, Outcome::Info];

impl Outcome {
    /// As in histories, and the class of its marks.
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Ok => "ok",
            Outcome::Fail => "fail",
            Outcome::Info => "info",
        }
    }
}

/// A client's operation. Unlike the checkers' calls, these are made of any history, malformed ones too.
#[derive(Debug, Clone)]
pub struct Call {
    /// Seconds from the start to its first line.
    pub began: f64,
    /// Seconds to its last line; none if there was no answer at all.
    pub ended: Option<f64>,
    /// How.
    pub outcome: Outcome,
    /// The client's number.
    pub process: u64,
    /// What the pointer shows.
    pub text: String,
    /// Which workload it belongs to.
    pub workload: String,
    /// The node that was asked.
    pub node: Option<String>,
}

/// Where a node stood at a moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sample {
    /// Seconds from the start.
    pub at: f64,
    /// `active`, `standby`, `sealed`, `down`, `paused`, …
    pub role: String,
    /// Raft's, where it is known.
    pub term: Option<u64>,
    /// The last entry applied.
    pub applied: Option<u64>,
    /// The last entry known to be committed.
    pub committed: Option<u64>,
    /// The last record of the history that clusters share.
    pub record: Option<u64>,
    /// Of the tree over what is shared.
    pub root: Option<String>,
    /// The cluster's part in replication.
    pub mode: Option<String>,
    /// What a secondary is doing.
    pub state: Option<String>,
}

/// A node and its samples in the order of time.
#[derive(Debug, Clone, Default)]
pub struct Track {
    /// Its cluster.
    pub cluster: String,
    /// Its name.
    pub node: String,
    /// Where it stood.
    pub samples: Vec<Sample>,
}

/// A run as it is shown.
#[derive(Debug, Clone, Default)]
pub struct Run {
    /// The folder's name.
    pub name: String,
    /// All lines.
    pub history: History,
    /// Clients' operations, by their beginnings.
    pub calls: Vec<Call>,
    /// One for each node.
    pub tracks: Vec<Track>,
    /// The tree of verdicts as text.
    pub verdict: Option<String>,
    /// `plan.json`.
    pub plan: Json,
    /// `summary.json`.
    pub summary: Json,
    /// Files to link to, relative to the folder.
    pub files: Vec<String>,
    /// Seconds that the time axis spans.
    pub span: f64,
}

/// Nanoseconds as seconds.
pub fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

impl Run {
    /// Reads the folder.
    ///
    /// # Errors
    /// If it holds no history that can be read.
    pub fn load(folder: &Path) -> Result<Self, String> {
        let history = History::read(folder).map_err(|error| error.to_string())?;
        let text = |name: &str| fs::read_to_string(folder.join(name)).ok();
        let json = |name: &str| text(name).and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        let name = folder.canonicalize().ok().and_then(|path| path.file_name().map(|name| name.to_string_lossy().into_owned()));
        Ok(Self {
            name: name.unwrap_or_default(),
            tracks: tracks(&text(SAMPLES).unwrap_or_default()),
            verdict: text("verdict"),
            plan: json("plan.json"),
            summary: json("summary.json"),
            files: files(folder),
            ..Self::of(history)
        })
    }

    /// A run of which nothing but its history is known.
    pub fn of(history: History) -> Self {
        let span = history.ops.iter().map(|op| seconds(op.time)).fold(1.0, f64::max);
        Self { calls: calls(&history), history, span, ..Self::default() }
    }

    /// Names of clusters that were sampled, in the order of the file.
    pub fn clusters(&self) -> Vec<&str> {
        let mut seen = BTreeSet::new();
        self.tracks.iter().map(|track| track.cluster.as_str()).filter(|name| seen.insert(*name)).collect()
    }
}

fn calls(history: &History) -> Vec<Call> {
    let mut calls: Vec<Call> = Vec::new();
    let mut open: BTreeMap<u64, (usize, &Op)> = BTreeMap::new();
    for op in &history.ops {
        let Process::Client(process) = op.process else { continue };
        if op.kind == Kind::Invoke {
            let workload = op.extra.get("workload").and_then(|value| value.as_str()).unwrap_or_default().to_owned();
            let text = format!("{} never answered", told(op));
            open.insert(process, (calls.len(), op));
            let node = op.node.clone();
            calls.push(Call { began: seconds(op.time), ended: None, outcome: Outcome::Info, process, text, workload, node });
        } else if let Some((place, begun)) = open.remove(&process) {
            let call = &mut calls[place];
            call.ended = Some(seconds(op.time));
            call.outcome = match op.kind {
                Kind::Ok => Outcome::Ok,
                Kind::Fail => Outcome::Fail,
                Kind::Info | Kind::Invoke => Outcome::Info,
            };
            let took = op.time.saturating_sub(begun.time) as f64 / 1e6;
            let error = op.error.as_ref().map(|error| format!(" ({error})")).unwrap_or_default();
            call.text = format!("{} {}{error} after {took:.2} ms", told(&Op { value: op.value.clone(), ..begun.clone() }), op.kind.name());
        }
    }
    calls
}

/// Line, process, function, value and node. Values may be lists of thousands: their beginning is enough.
fn told(op: &Op) -> String {
    let mut value = op.value.to_string();
    if let Some((cut, _)) = value.char_indices().nth(80) {
        value.truncate(cut);
        value.push('…');
    }
    let node = op.node.as_ref().map(|node| format!(" at {node}")).unwrap_or_default();
    format!("line {} · {:.3} s · process {}{node}: {} {value}", op.index, seconds(op.time), op.process, op.f)
}

fn tracks(text: &str) -> Vec<Track> {
    let mut tracks: Vec<Track> = Vec::new();
    // A last line that a crash cut is left out, as is anything else that is no sample.
    for line in text.lines().filter_map(|line| serde_json::from_str::<Json>(line).ok()) {
        let word = |name: &str| line[name].as_str().map(str::to_owned);
        let (Some(cluster), Some(node), Some(time), Some(role)) = (word("cluster"), word("node"), line["t"].as_u64(), word("role")) else {
            continue;
        };
        let number = |name: &str| line[name].as_u64();
        let sample = Sample {
            at: seconds(time),
            role,
            term: number("term"),
            applied: number("applied"),
            committed: number("committed"),
            record: number("record"),
            root: word("root"),
            mode: word("mode"),
            state: word("state"),
        };
        match tracks.iter_mut().find(|track| track.node == node) {
            Some(track) => track.samples.push(sample),
            None => tracks.push(Track { cluster, node, samples: vec![sample] }),
        }
    }
    tracks.sort_by(|a, b| (&a.cluster, &a.node).cmp(&(&b.cluster, &b.node)));
    tracks
}

/// What of a folder is worth a link: what a run writes, not what nodes wrote.
fn files(folder: &Path) -> Vec<String> {
    let names = |folder: &Path| -> BTreeSet<String> {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten().filter(|entry| entry.path().is_file());
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    };
    let known = |name: &String| {
        let is_kind = [".edn", ".json", ".jsonl", ".log", ".pcap"].iter().any(|end| name.ends_with(end));
        is_kind || name == "verdict"
    };
    let logs = names(&folder.join("logs")).into_iter().map(|name| format!("logs/{name}"));
    names(folder).into_iter().filter(known).chain(logs).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::Value;

    #[test]
    fn operations_are_made_of_any_history() {
        let lines = [
            Op::invoke(0, "read", Value::Nil).at(1_000_000_000),
            Op::invoke(1, "write", 5).at(1_500_000_000),
            Op::invoke(0, "read", 7).complete(Kind::Ok, 7).at(2_000_000_000),
            // Ends what it did not begin.
            Op::invoke(9, "read", 7).complete(Kind::Ok, 7).at(3_000_000_000),
        ];
        let run = Run::of(History::from_ops(lines));
        assert_eq!(run.calls.len(), 2);
        assert_eq!((run.calls[0].began, run.calls[0].ended, run.calls[0].outcome), (1.0, Some(2.0), Outcome::Ok));
        assert_eq!((run.calls[1].ended, run.calls[1].outcome), (None, Outcome::Info));
        assert!(run.calls[0].text.contains("read 7 ok after 1000.00 ms"), "{}", run.calls[0].text);
        assert!(run.calls[1].text.ends_with("never answered"));
    }

    #[test]
    fn samples_are_sorted_by_node_and_broken_lines_left_out() {
        let text = r#"{"t":1000000000,"node":"a2","cluster":"a","role":"standby","applied":7}
{"t":1000000000,"node":"a1","cluster":"a","role":"active","term":3,"applied":8}
{"t":1250000000,"node":"a1","cluster":"a","role":"down"}
{"t":1250000000,"no"#;
        let tracks = tracks(text);
        assert_eq!(tracks.iter().map(|track| track.node.as_str()).collect::<Vec<_>>(), ["a1", "a2"]);
        assert_eq!((tracks[0].samples.len(), tracks[0].samples[0].term, tracks[1].samples[0].applied), (2, Some(3), Some(7)));
    }
}
