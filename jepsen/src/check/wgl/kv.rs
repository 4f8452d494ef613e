//! A key of KV version 2 with its whole life: versions, deletion and its undoing, destruction, forgetting, and how many are kept.
//!
//! | `:f` | invocation | `:ok` |
//! | --- | --- | --- |
//! | `write` | `[k [expected value]]`, `expected` nil for any | `[k version]` |
//! | `read` | `[k version]`, 0 for the newest | `[k [version value]]`, `[k [version :deleted]]`, `[k [version :destroyed]]`, none: `[k nil]` |
//! | `delete` | `[k [versions…]]`, empty for the newest | |
//! | `undelete`, `destroy` | `[k [versions…]]` | |
//! | `forget` | `[k nil]`: the key with all that is known of it | |
//! | `keep` | `[k count]`: `max_versions` | |
//!
//! A `write` that fails with `:error "mismatch"` saw another version. Too many versions are trimmed by the next write, not by `keep`.
//! Not here: what time does (`delete_version_after`): a history has no clock that all nodes share.

use std::collections::BTreeMap;

use super::{Entry, Model};
use crate::check::keyed::Keyed;
use crate::check::versioned::MISMATCH;
use crate::core::{Malformed, Outcome, Value};

/// Versions that are kept when nobody says otherwise.
const VERSIONS_DEFAULT: i64 = 10;

/// The model of one key's life.
#[derive(Debug, Clone, Copy)]
pub struct Lifecycle;

/// What is left of one version.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Life {
    /// It can be read.
    Alive(Value),
    /// It can be read once it is undeleted.
    Deleted(Value),
    /// It is gone, and its number is known.
    Destroyed,
}

/// All that is known of a key; none of it if it was never written, or forgotten.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Known {
    current: i64,
    keep: i64,
    versions: BTreeMap<i64, Life>,
}

/// What a call did.
#[derive(Debug, Clone)]
pub enum Step {
    /// Made a version.
    Write {
        /// The version it asked for.
        expected: Option<i64>,
        /// What came of it, if answered.
        version: Option<i64>,
        /// What was written.
        value: Value,
    },
    /// A write that saw another version than this.
    Refused(i64),
    /// Asked for a version (0: the newest) and saw this.
    Read(i64, Option<(i64, Seen)>),
    /// Deleted these, or the newest.
    Delete(Vec<i64>),
    /// Took their deletion back.
    Undelete(Vec<i64>),
    /// Destroyed these.
    Destroy(Vec<i64>),
    /// Forgot the key.
    Forget,
    /// Set how many are kept.
    Keep(i64),
}

/// What a read saw of a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// Its value.
    Value(Value),
    /// That it is deleted.
    Deleted,
    /// That it is destroyed.
    Destroyed,
}

impl Known {
    fn write(&mut self, value: &Value) {
        self.current += 1;
        self.versions.insert(self.current, Life::Alive(value.clone()));
        let keep = if self.keep > 0 { self.keep } else { VERSIONS_DEFAULT };
        let oldest = self.current - keep + 1;
        self.versions.retain(|number, _| *number >= oldest);
    }
    fn read(&self, number: i64) -> Option<(i64, Seen)> {
        let number = if number == 0 { self.current } else { number };
        let seen = match self.versions.get(&number)? {
            Life::Alive(value) => Seen::Value(value.clone()),
            Life::Deleted(_) => Seen::Deleted,
            Life::Destroyed => Seen::Destroyed,
        };
        Some((number, seen))
    }
    fn change(&mut self, numbers: &[i64], change: impl Fn(&mut Life)) {
        for number in numbers {
            if let Some(life) = self.versions.get_mut(number) {
                change(life);
            }
        }
    }
}

impl Model for Lifecycle {
    type State = Option<Known>;
    type Step = Step;

    fn functions(&self) -> &'static [&'static str] {
        &["write", "read", "delete", "undelete", "destroy", "forget", "keep"]
    }
    fn initial(&self) -> Option<Known> {
        None
    }
    fn step(&self, state: &Option<Known>, step: &Step) -> Option<Option<Known>> {
        let current = state.as_ref().map_or(0, |known| known.current);
        let mut next = state.clone();
        match step {
            Step::Read(number, seen) => return (state.as_ref().and_then(|known| known.read(*number)) == *seen).then_some(next),
            Step::Refused(expected) => return (*expected != current).then_some(next),
            Step::Write { expected, version, value } => {
                if expected.is_some_and(|expected| expected != current) || version.is_some_and(|version| version != current + 1) {
                    return None;
                }
                next.get_or_insert_default().write(value);
            }
            Step::Keep(count) => next.get_or_insert_default().keep = *count,
            Step::Forget => next = None,
            Step::Delete(numbers) => {
                let newest = [current];
                let numbers = if numbers.is_empty() { &newest } else { numbers.as_slice() };
                if let Some(known) = &mut next {
                    known.change(numbers, |life| {
                        if let Life::Alive(value) = life {
                            *life = Life::Deleted(std::mem::take(value));
                        }
                    });
                }
            }
            Step::Undelete(numbers) => {
                if let Some(known) = &mut next {
                    known.change(numbers, |life| {
                        if let Life::Deleted(value) = life {
                            *life = Life::Alive(std::mem::take(value));
                        }
                    });
                }
            }
            Step::Destroy(numbers) => {
                if let Some(known) = &mut next {
                    known.change(numbers, |life| *life = Life::Destroyed);
                }
            }
        }
        Some(next)
    }

    fn entries(&self, calls: &[Keyed<'_>]) -> Result<Vec<Entry<Step>>, Malformed> {
        let mut entries = Vec::new();
        for (source, keyed) in calls.iter().enumerate() {
            if let Some(step) = said(keyed)? {
                entries.push(Entry { began: keyed.call.began, ended: keyed.call.ended, step, source });
            }
        }
        Ok(entries)
    }
}

fn said(keyed: &Keyed<'_>) -> Result<Option<Step>, Malformed> {
    let (call, argument) = (&keyed.call, keyed.argument);
    let refuse = |takes: &str| Malformed::new(call.began, format!("`{}` takes [key {takes}], not {argument}", call.f()));
    let number = || argument.as_int().ok_or_else(|| refuse("number"));
    let numbers = || {
        let members = argument.as_list().ok_or_else(|| refuse("[versions]"))?;
        members.iter().map(|member| member.as_int().ok_or_else(|| refuse("[versions]"))).collect::<Result<Vec<_>, _>>()
    };
    if call.f() == "write" {
        let (expected, value) = argument.as_pair().ok_or_else(|| refuse("[expected value]"))?;
        let expected = expected.as_int();
        if call.outcome == Outcome::Fail {
            let is_mismatch = call.error() == Some(MISMATCH);
            return Ok(expected.filter(|_| is_mismatch).map(Step::Refused));
        }
        let version = keyed
            .result
            .map(|result| result.as_int().ok_or_else(|| keyed.malformed(format!("`write` answers [key version], not {result}"))));
        return Ok(Some(Step::Write { expected, version: version.transpose()?, value: value.clone() }));
    }
    if call.outcome == Outcome::Fail {
        return Ok(None);
    }
    Ok(match call.f() {
        "read" => match keyed.result {
            None => None,
            Some(result) if result.is_nil() => Some(Step::Read(number()?, None)),
            Some(result) => {
                let pair = result.as_pair().and_then(|(version, seen)| Some((version.as_int()?, seen)));
                let (version, seen) = pair.ok_or_else(|| keyed.malformed(format!("`read` answers [key [version seen]], not {result}")))?;
                let seen = match seen {
                    Value::Keyword(name) if name == "deleted" => Seen::Deleted,
                    Value::Keyword(name) if name == "destroyed" => Seen::Destroyed,
                    value => Seen::Value(value.clone()),
                };
                Some(Step::Read(number()?, Some((version, seen))))
            }
        },
        "delete" => Some(Step::Delete(if argument.is_nil() { Vec::new() } else { numbers()? })),
        "undelete" => Some(Step::Undelete(numbers()?)),
        "destroy" => Some(Step::Destroy(numbers()?)),
        "keep" => Some(Step::Keep(number()?)),
        _ => Some(Step::Forget),
    })
}
