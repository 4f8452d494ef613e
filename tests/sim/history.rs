//! What clients did and were told, as histories that `jepsen`'s checkers decide on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard};

use jepsen::core::{History, Kind, Op, Value};

use crate::net::now;
use crate::trace;

/// Histories by workload.
#[derive(Default)]
pub struct Histories(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    all: BTreeMap<&'static str, History>,
    /// Those that nothing is added to any more.
    closed: BTreeSet<&'static str>,
    /// The number of the last process.
    processes: u64,
}

impl Histories {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().expect("no holder of this lock panics")
    }

    /// A process that nobody has been yet.
    pub fn process(&self) -> u64 {
        let mut inner = self.inner();
        inner.processes += 1;
        inner.processes
    }

    /// Adds a line; gives it back with its time.
    pub fn record(&self, workload: &'static str, op: Op) -> Op {
        let op = op.at(u64::try_from(now().as_nanos()).unwrap_or(u64::MAX));
        let (kind, process, error) = (op.kind.name(), op.process, op.error.as_deref().unwrap_or(""));
        trace::line(format_args!("client {process} {workload} {} {kind} {} {error}", op.f, op.value));
        let mut inner = self.inner();
        if !inner.closed.contains(workload) {
            inner.all.entry(workload).or_default().push(op.clone());
        }
        op
    }

    /// Adds nothing to a workload's history any more: what is under way has no end.
    pub fn close(&self, workload: &'static str) {
        self.inner().closed.insert(workload);
    }

    /// Adds the line that ends `begun`. After an `info` the process is another one.
    pub fn end(&self, workload: &'static str, begun: &Op, kind: Kind, value: impl Into<Value>, error: &str, process: &mut u64) {
        let op = begun.complete(kind, value);
        self.record(workload, if error.is_empty() { op } else { op.because(error) });
        if kind == Kind::Info {
            *process = self.process();
        }
    }

    /// Whether nothing is added to it any more.
    pub fn is_closed(&self, workload: &'static str) -> bool {
        self.inner().closed.contains(workload)
    }

    /// One workload's.
    pub fn of(&self, workload: &'static str) -> History {
        self.inner().all.get(workload).cloned().unwrap_or_default()
    }

    /// How many lines there are.
    pub fn len(&self) -> usize {
        self.inner().all.values().map(|history| history.ops.len()).sum()
    }
}
