//! One line of a history: somebody began something, or it ended.

use std::collections::BTreeMap;
use std::fmt;

use super::value::Value;

/// What a line says of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// It is about to be sent.
    Invoke,
    /// It happened.
    Ok,
    /// It did not happen, and will not.
    Fail,
    /// It may have happened, or may yet.
    Info,
}

impl Kind {
    /// As written in histories, without the colon.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Invoke => "invoke",
            Kind::Ok => "ok",
            Kind::Fail => "fail",
            Kind::Info => "info",
        }
    }
    /// The kind of that name.
    pub fn parse(name: &str) -> Option<Kind> {
        [Kind::Invoke, Kind::Ok, Kind::Fail, Kind::Info].into_iter().find(|kind| kind.name() == name)
    }
}

/// Who does it. A client process is one thread of operations, and is never heard of again after an `info`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Process {
    /// A client, by number.
    Client(u64),
    /// The one who breaks things.
    Nemesis,
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Process::Client(number) => write!(f, "{number}"),
            Process::Nemesis => f.write_str("nemesis"),
        }
    }
}

/// One line of a history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Op {
    /// Its place in the history, from 0 without gaps.
    pub index: u64,
    /// Nanoseconds since the start of the run.
    pub time: u64,
    /// Begin or end, and which end.
    pub kind: Kind,
    /// Who.
    pub process: Process,
    /// What: `read`, `write`, `cas`, `add`, `txn`, `start-partition`.
    pub f: String,
    /// To what, or with what result.
    pub value: Value,
    /// The node that was asked.
    pub node: Option<String>,
    /// The cluster of that node.
    pub cluster: Option<String>,
    /// Why it did not end well.
    pub error: Option<String>,
    /// What else is known: index headers, request ids, terms. Names without colons.
    pub extra: BTreeMap<String, Value>,
}

impl Op {
    /// A line with the necessary parts; index and time are given when it is recorded.
    pub fn new(kind: Kind, process: Process, f: impl Into<String>, value: impl Into<Value>) -> Op {
        Op {
            index: 0,
            time: 0,
            kind,
            process,
            f: f.into(),
            value: value.into(),
            node: None,
            cluster: None,
            error: None,
            extra: BTreeMap::new(),
        }
    }
    /// A client begins.
    pub fn invoke(process: u64, f: impl Into<String>, value: impl Into<Value>) -> Op {
        Op::new(Kind::Invoke, Process::Client(process), f, value)
    }
    /// The line that ends this invocation: same process, same function.
    pub fn complete(&self, kind: Kind, value: impl Into<Value>) -> Op {
        Op { kind, value: value.into(), error: None, ..self.clone() }
    }
    /// The same at a moment, in nanoseconds since the start.
    #[must_use]
    pub fn at(mut self, time: u64) -> Op {
        self.time = time;
        self
    }
    /// The same at a node.
    #[must_use]
    pub fn on(mut self, node: impl Into<String>) -> Op {
        self.node = Some(node.into());
        self
    }
    /// The same in a cluster.
    #[must_use]
    pub fn of(mut self, cluster: impl Into<String>) -> Op {
        self.cluster = Some(cluster.into());
        self
    }
    /// The same with a reason.
    #[must_use]
    pub fn because(mut self, error: impl Into<String>) -> Op {
        self.error = Some(error.into());
        self
    }
    /// The same with something else that is known.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<Value>) -> Op {
        self.extra.insert(name.into(), value.into());
        self
    }
}
