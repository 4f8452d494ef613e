//! Evidence: were the faults really there, and did anybody work meanwhile? A run without its faults proves nothing, however good it looks.
//!
//! Lines of the nemesis: `:f :start-KIND`, value `[mode …]`, and on the line that tells what came of it `:outcome :installed` or
//! `:skipped`. A mode is covered if it was installed once.

use std::collections::{BTreeMap, BTreeSet};

use super::verdict::Verdict;
use crate::core::{History, Kind, Malformed, Op, Outcome, Process, Value, calls};

/// Was each of these modes installed?
pub fn faults(history: &History, required: &[String]) -> Verdict {
    let name = "faults";
    let mut installed: BTreeMap<&str, usize> = BTreeMap::new();
    let mut skipped: BTreeMap<&str, &str> = BTreeMap::new();
    for op in history.ops.iter().filter(|op| op.process == Process::Nemesis && op.f.starts_with("start-")) {
        let Some(mode) = mode(op) else { continue };
        match op.extra.get("outcome").and_then(Value::as_str) {
            Some("installed") => *installed.entry(mode).or_default() += 1,
            Some(_) => drop(skipped.insert(mode, op.error.as_deref().unwrap_or("no reason given"))),
            None => {}
        }
    }
    let missing: Vec<String> = required
        .iter()
        .filter(|mode| !installed.contains_key(mode.as_str()))
        .map(|mode| match skipped.get(mode.as_str()) {
            Some(why) => format!("{mode} (skipped: {why})"),
            None => format!("{mode} (never tried)"),
        })
        .collect();
    if !missing.is_empty() {
        return Verdict::unknown(name, format!("not enough evidence, never installed: {}", missing.join(", ")));
    }
    let all: Vec<String> = installed.iter().map(|(mode, count)| format!("{mode} {count}×")).collect();
    if all.is_empty() { Verdict::valid(name, "none were asked for") } else { Verdict::valid(name, all.join(", ")) }
}

/// The mode of a fault: `mode`, or the first of `[mode …]`.
pub(super) fn mode(op: &Op) -> Option<&str> {
    op.value.as_str().or_else(|| op.value.as_list()?.first()?.as_str())
}

/// Whether a line of the nemesis says that what it was to do was done.
pub(super) fn is_installed(op: &Op) -> bool {
    op.extra.get("outcome").and_then(Value::as_str) == Some("installed")
}

/// Did each function that was called succeed at least once?
///
/// # Errors
/// The lines make no calls.
pub fn activity(history: &History) -> Result<Verdict, Malformed> {
    let mut counts: BTreeMap<&str, [usize; 3]> = BTreeMap::new();
    for call in calls(history)? {
        let counts = counts.entry(call.f()).or_default();
        counts[match call.outcome {
            Outcome::Ok => 0,
            Outcome::Fail => 1,
            Outcome::Info => 2,
        }] += 1;
    }
    let text = counts.iter().map(|(f, [ok, fail, info])| format!("{f}: {ok} ok, {fail} fail, {info} info")).collect::<Vec<_>>().join("; ");
    let idle: BTreeSet<&str> = counts.iter().filter(|(_, [ok, ..])| *ok == 0).map(|(f, _)| *f).collect();
    Ok(if counts.is_empty() {
        Verdict::unknown("activity", "no client did anything")
    } else if idle.is_empty() {
        Verdict::valid("activity", text)
    } else {
        Verdict::unknown("activity", format!("never succeeded: {}. {text}", idle.into_iter().collect::<Vec<_>>().join(", ")))
    })
}

/// Does the history end well: is no fault left that was installed and never stopped?
pub fn healed(history: &History) -> Verdict {
    let mut open: BTreeMap<(&str, &Value), &Op> = BTreeMap::new();
    for op in history.ops.iter().filter(|op| op.process == Process::Nemesis && op.kind == Kind::Info) {
        let is_done = is_installed(op);
        if let (Some(kind), true) = (op.f.strip_prefix("start-"), is_done) {
            open.insert((kind, &op.value), op);
        } else if let (Some(kind), true) = (op.f.strip_prefix("stop-"), is_done) {
            open.remove(&(kind, &op.value));
        } else if op.f == "heal" && is_done {
            open.clear();
        }
    }
    match open.values().next() {
        None => Verdict::valid("healed", "no fault was left in force"),
        Some(first) => {
            Verdict { witness: vec![(*first).clone()], ..Verdict::unknown("healed", format!("{} faults were left in force", open.len())) }
        }
    }
}
