//! What came out: every raw number, and lines for the table derived from them. Written as JSON; the page reads the same.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::machine::Machine;
use crate::probe::Probe;

/// A whole run.
#[derive(Serialize)]
pub struct Scoreboard {
    /// Raised when a reader must know.
    pub format: u32,
    /// When it began, UTC.
    pub began: String,
    /// What was measured, with `+changes` if the checkout had any.
    pub commit: String,
    /// `release`, or `debug`, whose numbers mean nothing.
    pub profile: &'static str,
    /// Where.
    pub machine: Machine,
    /// How.
    pub settings: Settings,
    /// Version of each system, or why it is missing.
    pub systems: BTreeMap<String, String>,
    /// What came out.
    pub metrics: Vec<Measured>,
}

/// What all metrics keep to.
#[derive(Clone, Debug, Serialize)]
pub struct Settings {
    pub quick: bool,
    pub rounds: u32,
    pub seconds: f64,
    pub warm_up_seconds: f64,
    pub keys: u32,
    pub value_bytes: usize,
    pub nodes: u32,
    /// In words: what is alike on all sides.
    pub alike: &'static str,
}

/// One metric.
#[derive(Default, Serialize)]
pub struct Measured {
    pub number: u8,
    pub name: String,
    pub title: String,
    /// Why there are no numbers, if there are none.
    pub missing: Option<String>,
    pub lines: Vec<Line>,
    pub plots: Vec<Plot>,
    pub turns: Vec<Turn>,
    /// Probes, in the order they were made: two a round, before and after it.
    pub probes: Vec<Probe>,
    pub notes: Vec<String>,
}

/// A number, or why there is none.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Reading {
    Value(f64),
    Not(String),
}

impl Reading {
    pub fn value(&self) -> Option<f64> {
        match self {
            Self::Value(value) => Some(*value),
            Self::Not(_) => None,
        }
    }
}

impl From<Option<f64>> for Reading {
    fn from(value: Option<f64>) -> Self {
        value.map_or_else(|| Self::Not("not measured".into()), Self::Value)
    }
}

/// One line of the table.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// The case: `64 clients`.
    pub case: String,
    /// What is counted: `writes/s`.
    pub unit: String,
    pub higher_is_better: bool,
    /// Not a matter of better or worse: it explains other lines.
    pub is_context: bool,
    pub coffer: Reading,
    /// By the name of the system.
    pub peers: BTreeMap<String, Reading>,
    /// What the machine allows, from the probes of the same run.
    pub limit: Option<f64>,
    /// What is asked: the gate first, then the moonshot.
    pub bars: Vec<Bar>,
}

/// What is asked of a number.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Bar {
    /// `gate` or `moonshot`.
    pub name: &'static str,
    /// In words: `≥ 3x openbao`.
    pub text: String,
    /// `None` if it cannot be told.
    pub passed: Option<bool>,
}

impl Line {
    pub fn new(case: impl Into<String>, unit: &str, higher_is_better: bool, coffer: Reading) -> Self {
        Self {
            case: case.into(),
            unit: unit.into(),
            higher_is_better,
            is_context: false,
            coffer,
            peers: BTreeMap::new(),
            limit: None,
            bars: Vec::new(),
        }
    }

    #[must_use]
    pub fn peer(mut self, system: &str, reading: Reading) -> Self {
        self.peers.insert(system.into(), reading);
        self
    }

    #[must_use]
    pub fn limit(mut self, limit: Option<f64>) -> Self {
        self.limit = limit;
        self
    }

    /// Shows it without comparing.
    #[must_use]
    pub fn context(mut self) -> Self {
        self.is_context = true;
        self
    }

    /// How many times better Coffer is than `system`: above 1 is better, whichever way the unit goes.
    pub fn ratio(&self, system: &str) -> Option<f64> {
        let (ours, theirs) = (self.coffer.value()?, self.peers.get(system)?.value()?);
        let (above, below) = if self.higher_is_better { (ours, theirs) } else { (theirs, ours) };
        (below > 0.0 && !self.is_context).then(|| above / below)
    }

    /// Asks for `times` better than `system`.
    #[must_use]
    pub fn bar_times(mut self, name: &'static str, times: f64, system: &str) -> Self {
        let passed = self.ratio(system).map(|ratio| ratio >= times);
        self.bars.push(Bar { name, text: format!("≥ {times}x {system}"), passed });
        self
    }

    /// Asks for at most `bound`, or at least, if higher is better.
    #[must_use]
    pub fn bar(mut self, name: &'static str, bound: f64) -> Self {
        let sign = if self.higher_is_better { "≥" } else { "≤" };
        let passed = self.coffer.value().map(|ours| if self.higher_is_better { ours >= bound } else { ours <= bound });
        self.bars.push(Bar { name, text: format!("{sign} {}", crate::table::short(bound)), passed });
        self
    }
}

/// A picture for the page.
#[derive(Clone, Debug, Serialize)]
pub struct Plot {
    pub title: String,
    pub x: String,
    pub y: String,
    /// `lines`: points joined; `distribution`: points are (value, share of all up to it).
    pub kind: &'static str,
    pub log_x: bool,
    pub log_y: bool,
    pub series: Vec<Series>,
}

/// One line in a picture.
#[derive(Clone, Debug, Serialize)]
pub struct Series {
    pub name: String,
    pub points: Vec<(f64, f64)>,
}

/// One system's turn of one case in one round: raw.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Turn {
    pub round: u32,
    /// Place in the round: `coffer, openbao, etcd, coffer, openbao, etcd` are 0 to 5.
    pub place: u32,
    pub system: String,
    pub case: String,
    /// Why it does not count, if it does not.
    pub void: Option<String>,
    /// Numbers by name.
    pub values: BTreeMap<String, f64>,
    /// Latencies: (microseconds, how many).
    pub latencies_us: Vec<(u64, u64)>,
    /// What should be known of it.
    pub remarks: Vec<String>,
}
