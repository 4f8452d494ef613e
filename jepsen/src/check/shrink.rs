//! The shortest part of a history that still fails: fewer keys, then an earlier end, then fewer calls.
//!
//! A part must fail for the reason of the whole. Where leaving calls out cannot make a good history bad (whole keys, all after a moment,
//! reads and refusals, which only constrain), failing is enough; anything else may go only if the verdict then shows the same lines.
//! A write that is left out alone would otherwise turn every read of it into a finding.

use std::collections::{BTreeMap, BTreeSet};

use super::compose::Named;
use super::verdict::{Valid, Verdict};
use super::wgl::Limits;
use crate::core::{History, Kind, Malformed, Op, Outcome, Process, Value, calls};

/// Checkers for which a history without some keys, without its end, or without reads is as good as before.
const MONOTONE: &[&str] = &["versioned", "versioned-search", "cas-register", "set", "mutex", "lifecycle", "policy", "append"];

/// Most verdicts asked for: each reads what is left of the history.
const VERDICTS_MAX: usize = 4000;

/// A failing part, and why it fails.
#[derive(Debug, Clone)]
pub struct Shrunk {
    /// The lines, with the indices they had.
    pub history: History,
    /// What the checker says of them.
    pub verdict: Verdict,
    /// Verdicts asked for on the way.
    pub verdicts: usize,
}

/// Lines that stay or go together: a call, or one line of the nemesis.
type Item = Vec<Op>;

/// Shrinks a failing history; nothing if it does not fail.
///
/// # Errors
/// The checker cannot read the history.
pub fn shrink(history: &History, named: &Named, limits: Limits) -> Result<Option<Shrunk>, Malformed> {
    let verdict = (named.check)(history, limits)?;
    if verdict.valid != Valid::False {
        return Ok(None);
    }
    let is_constraint: BTreeSet<u64> = calls(history)?
        .iter()
        .filter(|call| call.outcome == Outcome::Fail || matches!(call.f(), "read" | "probe") || is_reading(call.invoke))
        .map(|call| call.invoke.index)
        .collect();
    let is_monotone = MONOTONE.contains(&named.name);
    let mut search = Search { named, limits, witness: witness(&verdict), verdict, verdicts: 1 };
    let mut items = items(history);
    // Whole keys: first all at once to those of the witness, then one by one.
    let keys: BTreeSet<Value> = items.iter().filter_map(key).collect();
    for gone in keys {
        let fewer = items.iter().filter(|item| key(item).as_ref() != Some(&gone)).cloned().collect();
        search.try_part(&mut items, fewer, is_monotone);
    }
    let faults_gone = items.iter().filter(|item| item[0].process != Process::Nemesis).cloned().collect();
    search.try_part(&mut items, faults_gone, is_monotone);
    search.earlier_end(&mut items, is_monotone);
    search.fewer(&mut items, |item| is_constraint.contains(&item[0].index), is_monotone);
    search.fewer(&mut items, |_| true, false);
    Ok(Some(Shrunk { history: assemble(&items), verdict: search.verdict, verdicts: search.verdicts }))
}

/// A transaction that only reads.
fn is_reading(op: &Op) -> bool {
    let reads = |part: &Value| part.as_list().and_then(|part| part.first()).and_then(Value::as_str) == Some("r");
    op.f == "txn" && op.value.as_list().is_some_and(|parts| parts.iter().all(reads))
}

struct Search<'a> {
    named: &'a Named,
    limits: Limits,
    witness: BTreeSet<u64>,
    verdict: Verdict,
    verdicts: usize,
}

impl Search<'_> {
    /// Takes the part if it fails as well (`any_reason`), or for the same lines.
    fn try_part(&mut self, items: &mut Vec<Item>, part: Vec<Item>, any_reason: bool) -> bool {
        if part.len() == items.len() || self.verdicts >= VERDICTS_MAX {
            return false;
        }
        self.verdicts += 1;
        let Ok(verdict) = (self.named.check)(&assemble(&part), self.limits) else { return false };
        let is_failing = verdict.valid == Valid::False && (any_reason || witness(&verdict) == self.witness);
        if is_failing {
            self.witness = witness(&verdict);
            self.verdict = verdict;
            *items = part;
        }
        is_failing
    }

    /// The earliest end at which it fails: by halves, as a history that fails goes on failing.
    fn earlier_end(&mut self, items: &mut Vec<Item>, any_reason: bool) {
        let places: Vec<u64> = assemble(items).ops.iter().map(|op| op.index).collect();
        let (mut good, mut bad) = (0, places.len());
        while good + 1 < bad {
            let middle = good + (bad - good) / 2;
            let cut = |item: &Item| -> Item { item.iter().filter(|op| op.index < places[middle]).cloned().collect() };
            let part: Vec<Item> = items.iter().map(cut).filter(|item| !item.is_empty()).collect();
            // Calls that lose their end are not fewer, so the length does not tell.
            self.verdicts += 1;
            let verdict = (self.named.check)(&assemble(&part), self.limits).ok().filter(|verdict| verdict.valid == Valid::False);
            match verdict.filter(|verdict| any_reason || witness(verdict) == self.witness) {
                Some(verdict) => {
                    (self.witness, self.verdict, bad) = (witness(&verdict), verdict, middle);
                    *items = part;
                }
                None => good = middle,
            }
        }
    }

    /// Leaves out ever smaller chunks of those that may go.
    fn fewer(&mut self, items: &mut Vec<Item>, may_go: impl Fn(&Item) -> bool, any_reason: bool) {
        let mut chunk = items.len();
        while chunk > 0 {
            let mut from = 0;
            while from < items.len() {
                let goes = |place: usize| (from..from + chunk).contains(&place) && may_go(&items[place]);
                let part = (0..items.len()).filter(|place| !goes(*place)).map(|place| items[place].clone()).collect();
                if !self.try_part(items, part, any_reason) {
                    from += chunk;
                }
            }
            chunk /= 2;
        }
    }
}

/// The lines that show why, of all that is false.
fn witness(verdict: &Verdict) -> BTreeSet<u64> {
    let mine = verdict.witness.iter().map(|op| op.index);
    let theirs = verdict.children.iter().filter(|child| child.valid == Valid::False).flat_map(witness);
    mine.chain(theirs).collect()
}

fn items(history: &History) -> Vec<Item> {
    let mut items: Vec<Item> = Vec::new();
    let mut open: BTreeMap<Process, usize> = BTreeMap::new();
    for op in &history.ops {
        match (op.process, op.kind) {
            (Process::Client(_), Kind::Invoke) => {
                open.insert(op.process, items.len());
                items.push(vec![op.clone()]);
            }
            (Process::Client(_), _) => match open.remove(&op.process) {
                Some(begun) => items[begun].push(op.clone()),
                None => items.push(vec![op.clone()]),
            },
            (Process::Nemesis, _) => items.push(vec![op.clone()]),
        }
    }
    items
}

/// The key of a client's call, if its value is `[key value]`.
fn key(item: &Item) -> Option<Value> {
    let op = item.first().filter(|op| op.process != Process::Nemesis && op.f != "txn")?;
    op.value.as_pair().map(|(key, _)| key.clone())
}

fn assemble(items: &[Item]) -> History {
    let mut ops: Vec<Op> = items.iter().flatten().cloned().collect();
    ops.sort_by_key(|op| op.index);
    History { ops }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::compose::named;
    use crate::core::Rng;

    /// Three keys with many calls; one read of one key is stale.
    fn long_and_bad() -> History {
        let mut rng = Rng::new(3);
        let mut history = History::default();
        let mut versions = [0_i64; 3];
        for number in 0..600_i64 {
            let key = rng.index(3);
            let argument = |seen: Value| Value::pair(key as i64, seen);
            let process = rng.below(4);
            if rng.chance(0.5) {
                versions[key] += 1;
                let op = Op::invoke(process, "write", argument(Value::pair(Value::Nil, number)));
                history.push(op.clone());
                history.push(op.complete(Kind::Ok, argument(Value::pair(versions[key], number))));
            } else {
                let op = Op::invoke(process, "read", argument(Value::Nil));
                history.push(op.clone());
                let version = if number == 311 { versions[key] - 1 } else { versions[key] };
                let written = history.ops.iter().rev().find(|op| op.kind == Kind::Ok && op.value == argument_of(key, version, &op.value));
                let value = written.map_or(Value::Nil, |op| op.value.as_pair().unwrap().1.as_pair().unwrap().1.clone());
                history.push(op.complete(Kind::Ok, argument(Value::pair(version, value))));
            }
        }
        history
    }

    fn argument_of(key: usize, version: i64, value: &Value) -> Value {
        let written = value.as_pair().and_then(|(_, seen)| seen.as_pair()).map_or(Value::Nil, |(_, written)| written.clone());
        Value::pair(key as i64, Value::pair(version, written))
    }

    #[test]
    fn one_key_and_its_writes_up_to_the_stale_read_are_left() {
        let history = long_and_bad();
        for name in ["versioned", "versioned-search"] {
            let shrunk = shrink(&history, named(name).unwrap(), Limits::default()).unwrap().expect("it fails");
            let keys: BTreeSet<Value> = items(&shrunk.history).iter().filter_map(key).collect();
            assert_eq!(keys.len(), 1, "{name}");
            let reads: Vec<&Op> = shrunk.history.ops.iter().filter(|op| op.f == "read" && op.kind == Kind::Ok).collect();
            assert_eq!(reads.len(), 1, "{name}: the stale read alone is left of the reads\n{}", shrunk.verdict);
            assert!(shrunk.history.ops.len() < 200, "{name}: {} lines", shrunk.history.ops.len());
            assert!(shrunk.verdict.to_string().contains("false"));
        }
    }

    #[test]
    fn a_history_that_holds_is_not_shrunk() {
        let mut history = long_and_bad();
        history.ops.truncate(100);
        assert!(shrink(&history, named("versioned").unwrap(), Limits::default()).unwrap().is_none());
    }
}
