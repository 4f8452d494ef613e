//! Small objects as models: a register, a set, a mutex. Values are as Knossos takes them.

use std::collections::BTreeSet;

use super::{Entry, Model};
use crate::check::keyed::Keyed;
use crate::core::{Malformed, Outcome, Value};

fn entry<S>(source: usize, keyed: &Keyed<'_>, step: S) -> Entry<S> {
    Entry { began: keyed.call.began, ended: keyed.call.ended, step, source }
}

/// Calls that may have happened, with what `said` makes of them.
fn entries<'a, S>(calls: &[Keyed<'a>], said: impl Fn(&Keyed<'a>) -> Result<Option<S>, Malformed>) -> Result<Vec<Entry<S>>, Malformed> {
    let mut entries = Vec::new();
    for (source, keyed) in calls.iter().enumerate().filter(|(_, keyed)| keyed.call.outcome != Outcome::Fail) {
        entries.extend(said(keyed)?.map(|step| entry(source, keyed, step)));
    }
    Ok(entries)
}

/// A register: `read` answers the value, `write` takes one, `cas` takes `[old new]`. A fresh one holds this.
#[derive(Debug, Clone, Default)]
pub struct Register {
    /// What it holds before the first write.
    pub initial: Value,
}

/// A step of a [`Register`].
#[derive(Debug, Clone)]
pub enum RegisterStep {
    /// Saw this.
    Read(Value),
    /// Put this.
    Write(Value),
    /// Put the second where it saw the first.
    Cas(Value, Value),
}

impl Model for Register {
    type State = Value;
    type Step = RegisterStep;

    fn functions(&self) -> &'static [&'static str] {
        &["read", "write", "cas"]
    }
    fn initial(&self) -> Value {
        self.initial.clone()
    }
    fn step(&self, holds: &Value, step: &RegisterStep) -> Option<Value> {
        match step {
            RegisterStep::Read(value) => (value == holds).then(|| holds.clone()),
            RegisterStep::Write(value) => Some(value.clone()),
            RegisterStep::Cas(old, new) => (old == holds).then(|| new.clone()),
        }
    }
    fn entries(&self, calls: &[Keyed<'_>]) -> Result<Vec<Entry<RegisterStep>>, Malformed> {
        entries(calls, |keyed| {
            Ok(match keyed.call.f() {
                "read" => keyed.result.cloned().map(RegisterStep::Read),
                "write" => Some(RegisterStep::Write(keyed.argument.clone())),
                _ => {
                    let pair = keyed.argument.as_pair();
                    let refuse = || Malformed::new(keyed.call.began, format!("`cas` takes [old new], not {}", keyed.argument));
                    let (old, new) = pair.ok_or_else(refuse)?;
                    Some(RegisterStep::Cas(old.clone(), new.clone()))
                }
            })
        })
    }
}

/// A set that only grows: `add` takes an element, `read` answers all of them.
#[derive(Debug, Clone, Copy)]
pub struct Set;

/// A step of a [`Set`].
#[derive(Debug, Clone)]
pub enum SetStep {
    /// Put this in.
    Add(Value),
    /// Saw exactly these.
    Read(BTreeSet<Value>),
}

impl Model for Set {
    type State = BTreeSet<Value>;
    type Step = SetStep;

    fn functions(&self) -> &'static [&'static str] {
        &["add", "read"]
    }
    fn initial(&self) -> BTreeSet<Value> {
        BTreeSet::new()
    }
    fn step(&self, holds: &BTreeSet<Value>, step: &SetStep) -> Option<BTreeSet<Value>> {
        match step {
            SetStep::Add(element) => {
                let mut more = holds.clone();
                more.insert(element.clone());
                Some(more)
            }
            SetStep::Read(seen) => (seen == holds).then(|| holds.clone()),
        }
    }
    fn entries(&self, calls: &[Keyed<'_>]) -> Result<Vec<Entry<SetStep>>, Malformed> {
        entries(calls, |keyed| {
            Ok(match (keyed.call.f(), keyed.result) {
                ("add", _) => Some(SetStep::Add(keyed.argument.clone())),
                (_, None) => None,
                (_, Some(seen)) if seen.is_nil() => Some(SetStep::Read(BTreeSet::new())),
                (_, Some(seen)) => {
                    let refuse = || keyed.malformed(format!("`read` answers a list, not {seen}"));
                    Some(SetStep::Read(seen.as_list().ok_or_else(refuse)?.iter().cloned().collect()))
                }
            })
        })
    }
}

/// Mutual exclusion: `acquire` and `release`, by nobody in particular.
#[derive(Debug, Clone, Copy)]
pub struct Mutex;

/// A step of a [`Mutex`].
#[derive(Debug, Clone, Copy)]
pub enum MutexStep {
    /// Took it while it was free.
    Acquire,
    /// Gave it back while it was taken.
    Release,
}

impl Model for Mutex {
    type State = bool;
    type Step = MutexStep;

    fn functions(&self) -> &'static [&'static str] {
        &["acquire", "release"]
    }
    fn initial(&self) -> bool {
        false
    }
    fn step(&self, is_taken: &bool, step: &MutexStep) -> Option<bool> {
        match step {
            MutexStep::Acquire => (!is_taken).then_some(true),
            MutexStep::Release => is_taken.then_some(false),
        }
    }
    fn entries(&self, calls: &[Keyed<'_>]) -> Result<Vec<Entry<MutexStep>>, Malformed> {
        entries(calls, |keyed| Ok(Some(if keyed.call.f() == "acquire" { MutexStep::Acquire } else { MutexStep::Release })))
    }
}
