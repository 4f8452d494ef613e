//! What a call says of a versioned register: each write makes the next version, and each answer tells one.
//!
//! | `:f` | invocation | `:ok` | `:fail` |
//! | --- | --- | --- | --- |
//! | `read` | `[k nil]` | `[k [version value]]`, absent: `[k [0 nil]]` or `[k nil]` | says nothing |
//! | `write` | `[k [nil value]]` | `[k [version value]]` | it did not happen |
//! | `cas` | `[k [expected value]]` | `[k [version value]]` | with `:error "mismatch"`: another version was seen; else it did not happen |
//!
//! Written values are unique per key; versions begin at 1.

use super::keyed::Keyed;
use super::wgl::{Entry, Model};
use crate::core::{Malformed, Outcome, Value};

/// The functions of a versioned register.
pub(super) const FUNCTIONS: &[&str] = &["read", "write", "cas"];

/// The error of a CAS that was refused because the version was another.
pub const MISMATCH: &str = "mismatch";

/// What a call did to the register, or may have done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Saw this version with this value.
    Read {
        /// 0 if absent.
        version: i64,
        /// Nil if absent.
        value: Value,
    },
    /// Made a version: which one is known if it was answered.
    Write {
        /// The version that came of it.
        version: Option<i64>,
        /// What was written.
        value: Value,
    },
    /// Made the version after the expected one.
    Cas {
        /// The version it asked for.
        expected: i64,
        /// The version that came of it.
        version: Option<i64>,
        /// What was written.
        value: Value,
    },
    /// A CAS that saw another version than this.
    Refused {
        /// The version it asked for.
        expected: i64,
    },
}

/// What a call says, if anything.
fn step(keyed: &Keyed<'_>) -> Result<Option<Step>, Malformed> {
    let (call, argument) = (&keyed.call, keyed.argument);
    if call.f() == "read" {
        let Some(result) = keyed.result else { return Ok(None) };
        if result.is_nil() {
            return Ok(Some(Step::Read { version: 0, value: Value::Nil }));
        }
        let (version, value) = versioned(keyed, result)?;
        return Ok(Some(Step::Read { version, value: value.clone() }));
    }
    let Some((expected, value)) = argument.as_pair() else {
        return Err(Malformed::new(call.began, format!("`{}` takes [key [version value]], not {argument}", call.f())));
    };
    let expected = match (call.f(), expected.as_int()) {
        ("cas", None) => return Err(Malformed::new(call.began, format!("`cas` expects a version, not {expected}"))),
        ("cas", expected) => expected,
        _ => None,
    };
    if call.outcome == Outcome::Fail {
        let is_mismatch = call.error() == Some(MISMATCH);
        return Ok(expected.filter(|_| is_mismatch).map(|expected| Step::Refused { expected }));
    }
    let version = match keyed.result {
        None => None,
        Some(result) => {
            let (version, answered) = versioned(keyed, result)?;
            if answered != value {
                return Err(keyed.malformed(format!("`{}` of {value} ends with {answered}", call.f())));
            }
            Some(version)
        }
    };
    let value = value.clone();
    Ok(Some(match expected {
        Some(expected) => Step::Cas { expected, version, value },
        None => Step::Write { version, value },
    }))
}

fn versioned<'a>(keyed: &Keyed<'_>, result: &'a Value) -> Result<(i64, &'a Value), Malformed> {
    let pair = result.as_pair().and_then(|(version, value)| Some((version.as_int()?, value)));
    pair.ok_or_else(|| keyed.malformed(format!("`{}` answers [key [version value]], not {result}", keyed.call.f())))
}

/// What the calls of one key say. `source` of an entry is the place of its call in `calls`.
pub(super) fn entries(calls: &[Keyed<'_>]) -> Result<Vec<Entry<Step>>, Malformed> {
    let mut written = std::collections::HashSet::new();
    let mut entries = Vec::new();
    for (source, keyed) in calls.iter().enumerate() {
        let value = keyed.argument.as_pair().map(|(_, value)| value);
        if let Some(value) = value.filter(|_| keyed.call.f() != "read")
            && !written.insert(value)
        {
            return Err(Malformed::new(keyed.call.began, format!("the value {value} is written twice: values must be unique")));
        }
        if let Some(step) = step(keyed)? {
            entries.push(Entry { began: keyed.call.began, ended: keyed.call.ended, step, source });
        }
    }
    Ok(entries)
}

/// The versioned register for the search.
#[derive(Debug, Clone, Copy)]
pub struct Versioned;

impl Model for Versioned {
    type State = (i64, Value);
    type Step = Step;

    fn functions(&self) -> &'static [&'static str] {
        FUNCTIONS
    }
    fn initial(&self) -> Self::State {
        (0, Value::Nil)
    }
    fn step(&self, (current, holds): &Self::State, step: &Step) -> Option<Self::State> {
        match step {
            Step::Read { version, value } => (version == current && value == holds).then(|| (*current, holds.clone())),
            Step::Write { version, value } => version.is_none_or(|version| version == current + 1).then(|| (current + 1, value.clone())),
            Step::Cas { expected, version, value } => {
                (expected == current && version.is_none_or(|version| version == current + 1)).then(|| (current + 1, value.clone()))
            }
            Step::Refused { expected } => (expected != current).then(|| (*current, holds.clone())),
        }
    }
    fn entries(&self, calls: &[Keyed<'_>]) -> Result<Vec<Entry<Step>>, Malformed> {
        entries(calls)
    }
}
