//! Operations from their two lines: what was called, when, and how it ended.

use super::history::History;
use super::op::{Kind, Op, Process};
use super::value::Value;

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It happened, between its two lines.
    Ok,
    /// It did not happen.
    Fail,
    /// It may have happened at any time after its invocation, or not at all.
    Info,
}

/// A client's operation. Moments are places in the history: its order of lines is the order of real time.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// The line that began it.
    pub invoke: &'a Op,
    /// The line that ended it, if there is one.
    pub end: Option<&'a Op>,
    /// Place of the first line.
    pub began: usize,
    /// Place of the last line; `usize::MAX` if it may take effect at any time after `began`.
    pub ended: usize,
    /// How it ended.
    pub outcome: Outcome,
}

impl<'a> Call<'a> {
    /// What was called.
    pub fn f(&self) -> &'a str {
        &self.invoke.f
    }
    /// The value of the invocation.
    pub fn argument(&self) -> &'a Value {
        &self.invoke.value
    }
    /// The value of the answer: of the `ok` line.
    pub fn result(&self) -> Option<&'a Value> {
        self.end.filter(|end| end.kind == Kind::Ok).map(|end| &end.value)
    }
    /// Why it did not end well, in a word that checkers know.
    pub fn error(&self) -> Option<&'a str> {
        self.end.and_then(|end| end.error.as_deref())
    }
    /// Was it refused for this reason?
    pub fn is_refused_as(&self, why: &str) -> bool {
        self.outcome == Outcome::Fail && self.error() == Some(why)
    }
    /// Did this end before that began?
    pub fn is_before(&self, other: &Call<'_>) -> bool {
        self.ended < other.began
    }
    /// A part besides the usual, of the last line or the first.
    pub fn extra(&self, name: &str) -> Option<&'a Value> {
        self.end.and_then(|end| end.extra.get(name)).or_else(|| self.invoke.extra.get(name))
    }
    /// Its lines.
    pub fn lines(&self) -> impl Iterator<Item = Op> + use<'a> {
        std::iter::once(self.invoke).chain(self.end).cloned()
    }
}

/// Why lines do not make operations.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("operation {index}: {what}")]
pub struct Malformed {
    /// Place in the history, from 0.
    pub index: usize,
    what: String,
}

impl Malformed {
    /// What is wrong with the line at this place, from 0.
    pub fn new(index: usize, what: impl Into<String>) -> Malformed {
        Malformed { index, what: what.into() }
    }
}

/// The clients' operations in the order of their beginnings. A call that was never answered counts as `info`.
///
/// # Errors
/// Two operations of a process at once, an end without a beginning or of something else, a process that goes on after an `info`.
pub fn calls(history: &History) -> Result<Vec<Call<'_>>, Malformed> {
    let mut calls: Vec<Call<'_>> = Vec::new();
    let mut open = std::collections::HashMap::new();
    let mut retired = std::collections::HashSet::new();
    for (place, op) in history.ops.iter().enumerate() {
        let Process::Client(process) = op.process else { continue };
        let refuse = |what: String| Err(Malformed::new(place, what));
        if retired.contains(&process) {
            return refuse(format!("process {process} goes on after an :info"));
        }
        if op.kind == Kind::Invoke {
            if open.insert(process, calls.len()).is_some() {
                return refuse(format!("process {process} begins `{}` before its last operation ended", op.f));
            }
            calls.push(Call { invoke: op, end: None, began: place, ended: usize::MAX, outcome: Outcome::Info });
            continue;
        }
        let Some(number) = open.remove(&process) else {
            return refuse(format!("process {process} ends `{}`, which it did not begin", op.f));
        };
        let call = &mut calls[number];
        if call.invoke.f != op.f {
            return refuse(format!("process {process} began `{}` and ends `{}`", call.invoke.f, op.f));
        }
        call.end = Some(op);
        match op.kind {
            Kind::Ok => (call.ended, call.outcome) = (place, Outcome::Ok),
            Kind::Fail => (call.ended, call.outcome) = (place, Outcome::Fail),
            Kind::Info | Kind::Invoke => {
                retired.insert(process);
            }
        }
    }
    Ok(calls)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(lines: &[(u64, Kind, &str)], expected: Result<&[Outcome], &str>) {
        let history = History::from_ops(lines.iter().map(|(process, kind, f)| Op::new(*kind, Process::Client(*process), *f, Value::Nil)));
        let outcomes = calls(&history).map(|calls| calls.iter().map(|call| call.outcome).collect::<Vec<_>>());
        assert_eq!(outcomes.map_err(|error| error.to_string()), expected.map(<[Outcome]>::to_vec).map_err(str::to_owned));
    }

    use Kind::{Fail, Info, Invoke, Ok as Done};

    #[test]
    fn lines_of_a_process_make_pairs() {
        check(
            &[(0, Invoke, "r"), (1, Invoke, "w"), (0, Done, "r"), (1, Fail, "w"), (2, Invoke, "w"), (2, Info, "w"), (3, Invoke, "r")],
            Ok(&[Outcome::Ok, Outcome::Fail, Outcome::Info, Outcome::Info]),
        );
    }
    #[test]
    fn a_process_does_one_thing_at_a_time() {
        check(&[(0, Invoke, "r"), (0, Invoke, "r")], Err("operation 1: process 0 begins `r` before its last operation ended"));
    }
    #[test]
    fn a_process_is_gone_after_an_info() {
        check(&[(0, Invoke, "r"), (0, Info, "r"), (0, Invoke, "r")], Err("operation 2: process 0 goes on after an :info"));
    }
    #[test]
    fn an_end_has_a_beginning() {
        check(&[(0, Done, "r")], Err("operation 0: process 0 ends `r`, which it did not begin"));
        check(&[(0, Invoke, "r"), (0, Done, "w")], Err("operation 1: process 0 began `r` and ends `w`"));
    }
}
