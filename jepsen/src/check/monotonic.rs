//! Sessions: what one client saw never becomes older, through any node of a cluster, and what it asked to see is there.
//!
//! `read` answers `[k [version value]]`. A session is `:session`, or the process. With `:asked`, a position, the answer must be of that
//! position or later: not `:position` below it, nor a version below one that was acknowledged (`write`, `cas`) at such a position.

use std::collections::{BTreeMap, HashMap};

use super::keyed::{Keyed, by_key};
use super::verdict::Verdict;
use crate::core::{Call, History, Malformed, Op, Outcome, Process, Value, calls};

/// Checks all sessions.
///
/// # Errors
/// A line is no read or write of a versioned register.
pub fn check(history: &History) -> Result<Verdict, Malformed> {
    let calls = calls(history)?;
    let keys = by_key(&calls, &["read", "write", "cas"])?;
    let mut sessions: BTreeMap<String, Vec<(Call<'_>, &Value, i64)>> = BTreeMap::new();
    let mut asked: Option<Verdict> = None;
    let (mut reads, mut with_position) = (0_usize, 0_usize);
    for (key, calls) in &keys {
        // Acknowledged writes in the order of their positions, with the highest version up to each.
        let mut written: Vec<(i64, i64, Call<'_>)> = Vec::new();
        for keyed in calls.iter().filter(|keyed| keyed.call.f() != "read" && keyed.call.outcome == Outcome::Ok) {
            if let Some(position) = keyed.call.extra("position").and_then(Value::as_int) {
                written.push((position, version(keyed)?, keyed.call));
            }
        }
        written.sort_by_key(|(position, ..)| *position);
        for at in 1..written.len() {
            if written[at].1 < written[at - 1].1 {
                (written[at].1, written[at].2) = (written[at - 1].1, written[at - 1].2);
            }
        }
        for keyed in calls.iter().filter(|keyed| keyed.call.f() == "read" && keyed.call.outcome == Outcome::Ok) {
            let (call, seen) = (keyed.call, version(keyed)?);
            reads += 1;
            sessions.entry(session(&call)).or_default().push((call, key, seen));
            let Some(asked_for) = call.invoke.extra.get("asked").and_then(Value::as_int) else { continue };
            with_position += 1;
            if let Some(position) = call.end.and_then(|end| end.extra.get("position")).and_then(Value::as_int)
                && position < asked_for
            {
                let text = format!("asked for position {asked_for} and answered at {position}");
                asked.get_or_insert(Verdict::invalid("asked positions", text, call.lines().collect()));
            }
            let before = written[..written.partition_point(|(position, ..)| *position <= asked_for)].last();
            if let Some((position, highest, write)) = before.filter(|(_, highest, _)| *highest > seen) {
                let text =
                    format!("asked for position {asked_for} and saw version {seen} of {key}; {highest} was acknowledged at {position}");
                let witness = write.lines().chain(call.lines()).collect();
                asked.get_or_insert(Verdict::invalid("asked positions", text, witness));
            }
        }
    }
    if reads == 0 {
        return Ok(Verdict::unknown("monotonic", "nothing was read"));
    }
    let mut children: Vec<Verdict> = sessions.into_iter().map(|(name, reads)| session_verdict(name, reads)).collect();
    children.extend(
        asked.or_else(|| {
            (with_position > 0).then(|| Verdict::valid("asked positions", format!("{with_position} reads are as new as asked")))
        }),
    );
    Ok(Verdict::all("monotonic", children))
}

fn session(call: &Call<'_>) -> String {
    match (call.extra("session"), call.invoke.process) {
        (Some(session), _) => session.to_string(),
        (None, Process::Client(number)) => format!("of process {number}"),
        (None, Process::Nemesis) => String::new(),
    }
}

fn session_verdict(name: String, mut reads: Vec<(Call<'_>, &Value, i64)>) -> Verdict {
    let name = format!("session {name}");
    // By key: the highest version of a read that ended, and that read.
    let mut highest: HashMap<&Value, (i64, Call<'_>)> = HashMap::new();
    reads.sort_by_key(|(call, ..)| call.began);
    let mut by_end = reads.clone();
    by_end.sort_by_key(|(call, ..)| call.ended);
    let mut ended = by_end.into_iter().peekable();
    for (call, key, seen) in &reads {
        while let Some((before, key, version)) = ended.next_if(|(before, ..)| before.ended < call.began) {
            let high = highest.entry(key).or_insert((version, before));
            if high.0 < version {
                *high = (version, before);
            }
        }
        if let Some((high, before)) = highest.get(key).filter(|(high, _)| high > seen) {
            let witness: Vec<Op> = before.lines().chain(call.lines()).collect();
            return Verdict::invalid(name, format!("saw version {high} of {key}, then {seen}"), witness);
        }
    }
    Verdict::valid(name, format!("{} reads, none older than one before", reads.len()))
}

/// The version that a call answered; absent is 0.
fn version(keyed: &Keyed<'_>) -> Result<i64, Malformed> {
    let Some(result) = keyed.result.filter(|result| !result.is_nil()) else { return Ok(0) };
    let version = result.as_pair().and_then(|(version, _)| version.as_int());
    version.ok_or_else(|| keyed.malformed(format!("`{}` answers [key [version value]], not {result}", keyed.call.f())))
}
