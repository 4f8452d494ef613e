//! What checkers of observations share: parts of maps, and lines that the harness itself wrote.

use crate::core::{History, Kind, Malformed, Op, Process, Value};

/// Facts by their function: what a client was answered, and what the harness saw for itself (an `info` line of the nemesis).
pub(super) fn facts<'a>(history: &'a History, f: &'a str) -> impl Iterator<Item = Fact<'a>> {
    history.ops.iter().enumerate().filter(move |(_, op)| op.f == f && is_fact(op)).map(|(place, op)| Fact { place, op })
}

fn is_fact(op: &Op) -> bool {
    op.kind == Kind::Ok || (op.kind == Kind::Info && op.process == Process::Nemesis)
}

/// One line that says that something is so.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fact<'a> {
    pub(super) place: usize,
    pub(super) op: &'a Op,
}

impl<'a> Fact<'a> {
    pub(super) fn malformed(&self, what: impl Into<String>) -> Malformed {
        Malformed::new(self.place, what)
    }
    /// A part that must be there.
    pub(super) fn part(&self, name: &str) -> Result<&'a Value, Malformed> {
        part(self.op, self.place, name)
    }
    /// A part that is text or a keyword.
    pub(super) fn text(&self, name: &str) -> Result<&'a str, Malformed> {
        self.part(name)?.as_str().ok_or_else(|| self.malformed(format!("`{}` has a :{name} that is no text", self.op.f)))
    }
    /// A part that is a number.
    pub(super) fn number(&self, name: &str) -> Result<i64, Malformed> {
        self.part(name)?.as_int().ok_or_else(|| self.malformed(format!("`{}` has a :{name} that is no number", self.op.f)))
    }
    /// A part that is true or false.
    pub(super) fn truth(&self, name: &str) -> Result<bool, Malformed> {
        self.part(name)?.as_bool().ok_or_else(|| self.malformed(format!("`{}` has a :{name} that is not true or false", self.op.f)))
    }
    /// The cluster of the line.
    pub(super) fn cluster(&self) -> Result<&'a str, Malformed> {
        self.op.cluster.as_deref().ok_or_else(|| self.malformed(format!("`{}` has no :cluster", self.op.f)))
    }
    /// When it came about at the earliest: `:since`, if it was only found out by the time of the line, or the time of the line.
    /// Nanoseconds.
    pub(super) fn earliest(&self) -> u64 {
        let since = self.op.extra.get("since").and_then(Value::as_int).and_then(|since| u64::try_from(since).ok());
        since.unwrap_or(self.op.time)
    }
    /// When it came about at the latest.
    pub(super) fn latest(&self) -> u64 {
        self.op.time
    }
}

/// A part of the map that is this line's value.
pub(super) fn part<'a>(op: &'a Op, place: usize, name: &str) -> Result<&'a Value, Malformed> {
    op.value.get(name).ok_or_else(|| Malformed::new(place, format!("`{}` has no :{name} in its value", op.f)))
}
