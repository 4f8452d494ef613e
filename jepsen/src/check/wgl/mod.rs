//! Linearizability by search, for objects of any model: after Wing and Gong, with Lowe's memory of configurations, key by key.
//!
//! Exact while it lasts; the search is bounded, and a search that was given up is `unknown`. Where each answer tells a version, use
//! `register`: it never searches.

mod kv;
mod models;
mod search;

use std::fmt::Debug;
use std::hash::Hash;

use super::keyed::{Keyed, by_key, unkeyed};
use super::verdict::Verdict;
use crate::core::{History, Malformed, Op, calls};

pub use kv::Lifecycle;
pub use models::{Mutex, Register, RegisterStep, Set};
pub use search::{Entry, Found, Limits, search};

/// An object with one thread: what a step does to a state, and which steps a state allows.
///
/// Calls whose result is not known (`info`) are steps too: they may be taken at any time after their beginning, or never.
pub trait Model {
    /// What the object holds.
    type State: Clone + Eq + Hash + Debug;
    /// What a call did, with its result.
    type Step: Debug;

    /// The functions of this object, by `:f`.
    fn functions(&self) -> &'static [&'static str];
    /// What a fresh object holds.
    fn initial(&self) -> Self::State;
    /// The state after this step, if the state allows it.
    fn step(&self, state: &Self::State, step: &Self::Step) -> Option<Self::State>;
    /// What the calls of one object say.
    ///
    /// # Errors
    /// A line says nothing that this model knows.
    fn entries(&self, calls: &[Keyed<'_>]) -> Result<Vec<Entry<Self::Step>>, Malformed>;
}

/// Is there one object for the whole history, or one for each key?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Objects {
    /// Values are `[key value]`.
    PerKey,
    /// Values are plain.
    One,
}

/// Lines shown of a history that cannot be linearized.
const WITNESS_LINES_MAX: usize = 24;

/// Searches for a linearization of each object.
///
/// # Errors
/// A line says nothing that this model knows.
pub fn check<M: Model>(name: &str, history: &History, model: &M, objects: Objects, limits: Limits) -> Result<Verdict, Malformed> {
    let calls = calls(history)?;
    match objects {
        Objects::One => object(name.to_owned(), model, &unkeyed(&calls, model.functions()), limits),
        Objects::PerKey => {
            let keys = by_key(&calls, model.functions())?;
            let children = keys.iter().map(|(key, calls)| object(format!("{name} {key}"), model, calls, limits));
            Ok(Verdict::all(name, children.collect::<Result<_, _>>()?))
        }
    }
}

fn object<M: Model>(name: String, model: &M, calls: &[Keyed<'_>], limits: Limits) -> Result<Verdict, Malformed> {
    let entries = model.entries(calls)?;
    Ok(match search(model, &entries, limits) {
        Found::Order(order) if order.is_empty() => Verdict::unknown(name, "no call was answered: nothing to check"),
        Found::Order(order) => {
            Verdict::valid(name, format!("{} of {} steps in an order that explains all answers", order.len(), entries.len()))
        }
        Found::GaveUp { steps } => Verdict::unknown(name, format!("the search was given up after {steps} steps")),
        Found::Stuck { at, blocked, state } => {
            let last = calls[entries[blocked].source].call.end.map_or(0, |end| end.index);
            let text = format!(
                "no order explains the history up to operation {last}, {:?}; without it the best order leaves {state:?}",
                entries[blocked].step,
            );
            Verdict::invalid(name, text, witness(&entries, calls, at, blocked))
        }
    })
}

/// The call that no order takes in, those that overlap it, and the last that ended before it.
fn witness<S>(entries: &[Entry<S>], calls: &[Keyed<'_>], at: usize, blocked: usize) -> Vec<Op> {
    let mut near: Vec<&Entry<S>> = entries.iter().filter(|entry| entry.began <= at).collect();
    // Nearest first: the blocked one, then by how late it ended.
    near.sort_by_key(|entry| (entry.source != entries[blocked].source, usize::MAX - entry.ended.min(at), usize::MAX - entry.began));
    near.truncate(WITNESS_LINES_MAX / 2);
    let shown = |entry: &&Entry<S>| {
        let call = calls[entry.source].call;
        [Some(call.invoke), call.end.filter(|_| entry.ended <= at)].into_iter().flatten().cloned().collect::<Vec<_>>()
    };
    let mut lines: Vec<Op> = near.iter().flat_map(shown).collect();
    lines.sort_by_key(|op| op.index);
    lines
}
