//! What the histories show, by `jepsen`'s checkers. A verdict that is not known is as bad as a false one.

use jepsen::check::setfull::{self, Stale};
use jepsen::check::{Valid, Verdict, policy, register, unwrap, uses, wgl};
use jepsen::core::{History, Kind, Value};

use crate::clients::{COPIES, LOCAL, LOGINS, POLICY, REGISTER, REVOKED, SET, USES, WRAP};

/// So many wrong passwords lock a user out.
const GUESSES: usize = 5;

/// Decides on one workload's history; one that was closed early may be empty.
///
/// # Errors
/// With the verdict, unless it holds.
pub fn history(workload: &'static str, history: &History, is_closed: bool) -> Result<(), String> {
    match workload {
        REGISTER if !is_closed && !history.ops.iter().any(|op| op.kind == Kind::Ok) => Err("no client ever succeeded".to_owned()),
        REGISTER => holds(register::check(history).map_err(|error| error.to_string())?),
        // Sets are read at the end only: nothing may be missed in any read.
        SET => holds(setfull::check(history, Stale::Refused).map_err(|error| error.to_string())?),
        USES => told(&uses::check(history).map_err(|error| error.to_string())?),
        WRAP => told(&unwrap::check(history).map_err(|error| error.to_string())?),
        POLICY => told(&policy::check(history, wgl::Limits::default()).map_err(|error| error.to_string())?),
        REVOKED => match history.ops.iter().find(|op| op.kind == Kind::Ok) {
            Some(op) => Err(format!("token {} was good after the token that made it was revoked", op.value)),
            None => Ok(()),
        },
        LOGINS => match history.ops.iter().filter(|op| op.kind == Kind::Ok).count() {
            0..=GUESSES => Ok(()),
            more => Err(format!("{more} wrong passwords of one user were looked at, not {GUESSES}")),
        },
        COPIES => copies(history),
        // There may be fewer clusters; and what was local is gone with all else where a cluster was filled anew.
        local if LOCAL.contains(&local) && (is_closed || history.ops.is_empty()) => Ok(()),
        local if LOCAL.contains(&local) => holds(setfull::check(history, Stale::Refused).map_err(|error| error.to_string())?),
        other => Err(format!("no checker for {other}")),
    }
}

/// Keys that nobody got to are no failure here: a simulation is short.
fn holds(verdict: Verdict) -> Result<(), String> {
    let bad: Vec<String> = verdict
        .children
        .iter()
        .filter(|child| child.valid == Valid::False || (child.valid == Valid::Unknown && !child.text.contains("no call was answered")))
        .map(ToString::to_string)
        .collect();
    if bad.is_empty() { Ok(()) } else { Err(bad.join("\n")) }
}

/// A token that nobody came to use up or to open shows nothing, and is no failure.
fn told(verdict: &Verdict) -> Result<(), String> {
    let bad: Vec<String> = verdict.children.iter().filter(|child| child.valid == Valid::False).map(ToString::to_string).collect();
    if bad.is_empty() { Ok(()) } else { Err(bad.join("\n")) }
}

/// What a cluster with a copy shows of a key never becomes older, for whoever asks after he was told.
fn copies(history: &History) -> Result<(), String> {
    let version = |value: &Value| value.as_pair().and_then(|(key, seen)| Some((key.as_int()?, seen.as_pair()?.0.as_int()?)));
    // The highest version that was told of each key, and what it was when each call began.
    let (mut told, mut begun) = (std::collections::BTreeMap::new(), std::collections::BTreeMap::new());
    for op in &history.ops {
        let key = op.value.as_pair().and_then(|(key, _)| key.as_int()).unwrap_or_default();
        let of = (op.cluster.clone(), key);
        match op.kind {
            Kind::Invoke => drop(begun.insert(op.process, told.get(&of).copied().unwrap_or(0))),
            Kind::Ok => {
                let Some((_, seen)) = version(&op.value) else { continue };
                let before = begun.remove(&op.process).unwrap_or(0);
                if seen < before {
                    return Err(format!("key {key} was at version {before} in cluster {:?} and then at {seen}", op.cluster));
                }
                let highest = told.entry(of).or_insert(0);
                *highest = seen.max(*highest);
            }
            _ => drop(begun.remove(&op.process)),
        }
    }
    Ok(())
}
