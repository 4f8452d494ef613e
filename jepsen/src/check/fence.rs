//! One primary at a time: what is acknowledged, by which cluster, in which epoch.
//!
//! | `:f` | value | with |
//! | --- | --- | --- |
//! | `add` | a unique element | on its `ok` `:cluster`, `:epoch`, `:position` if known |
//! | `read` | `ok`: all elements of the cluster | `:cluster`, `:epoch` |
//! | `promote` | `ok` or `info` of the harness: `{:cluster c, :epoch e, :position p}` | |
//! | `contact` | `info` of the harness: `{:cluster c, :epoch e}`: `c` has heard of `e` | |
//!
//! Always: an epoch belongs to one cluster; after contact with a higher epoch nothing is acknowledged in a lower one. After an ordered
//! change (demote, then promote) epochs do not go back in real time. After a forced one the old primary may acknowledge until contact;
//! what it acknowledged beyond the position of the promotion is divergent: it is counted, and never merged.

use std::collections::{BTreeMap, HashMap};

use super::lines::facts;
use super::verdict::Verdict;
use crate::core::{Call, History, Malformed, Op, Outcome, Value, calls};

/// How roles were changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// The old primary was demoted first.
    Ordered,
    /// The old primary could not be reached.
    Forced,
}

struct Acknowledged<'a> {
    call: Call<'a>,
    cluster: &'a str,
    epoch: i64,
    position: Option<i64>,
}

/// Checks all acknowledgements.
///
/// # Errors
/// A line lacks a part.
pub fn check(history: &History, change: Change) -> Result<Verdict, Malformed> {
    let calls = calls(history)?;
    let mut acknowledged = Vec::new();
    for call in calls.iter().filter(|call| call.f() == "add" && call.outcome == Outcome::Ok) {
        let Some(end) = call.end else { continue };
        let epoch = end.extra.get("epoch").and_then(Value::as_int);
        let (Some(cluster), Some(epoch)) = (end.cluster.as_deref(), epoch) else {
            return Err(Malformed::new(call.ended, "an acknowledged `add` has a :cluster and an :epoch"));
        };
        acknowledged.push(Acknowledged { call: *call, cluster, epoch, position: end.extra.get("position").and_then(Value::as_int) });
    }
    let epochs: std::collections::BTreeSet<i64> = acknowledged.iter().map(|add| add.epoch).collect();
    let mut children = vec![one_cluster_each(&acknowledged), after_contact(history, &acknowledged)?];
    if change == Change::Ordered {
        children.push(never_back(&acknowledged));
    } else {
        children.push(never_merged(history, &calls, &acknowledged)?);
    }
    if epochs.len() < 2 {
        children.push(Verdict::unknown("evidence", format!("{} epochs acknowledged anything: no change of roles was seen", epochs.len())));
    }
    Ok(Verdict::all("fence", children))
}

fn one_cluster_each(acknowledged: &[Acknowledged<'_>]) -> Verdict {
    let mut owners: HashMap<i64, &Acknowledged<'_>> = HashMap::new();
    for add in acknowledged {
        let owner = owners.entry(add.epoch).or_insert(add);
        if owner.cluster != add.cluster {
            let text = format!("epoch {} acknowledged at {} and at {}", add.epoch, owner.cluster, add.cluster);
            return Verdict::invalid("one cluster for each epoch", text, owner.call.lines().chain(add.call.lines()).collect());
        }
    }
    Verdict::valid("one cluster for each epoch", format!("{} epochs", owners.len()))
}

fn after_contact(history: &History, acknowledged: &[Acknowledged<'_>]) -> Result<Verdict, Malformed> {
    let name = "silent after contact";
    // What `promote` names has heard of its own epoch too.
    for contact in facts(history, "contact").chain(facts(history, "promote")) {
        let (cluster, epoch) = (contact.text("cluster")?, contact.number("epoch")?);
        let late = acknowledged.iter().find(|add| add.cluster == cluster && add.epoch < epoch && add.call.began > contact.place);
        if let Some(add) = late {
            let text = format!("{cluster} knew epoch {epoch}, and acknowledged in epoch {}", add.epoch);
            let witness: Vec<Op> = std::iter::once(contact.op.clone()).chain(add.call.lines()).collect();
            return Ok(Verdict::invalid(name, text, witness));
        }
    }
    Ok(Verdict::valid(name, "nobody acknowledged in an epoch that it knew to be over"))
}

fn never_back(acknowledged: &[Acknowledged<'_>]) -> Verdict {
    let name = "epochs never go back";
    let mut by_begin: Vec<&Acknowledged<'_>> = acknowledged.iter().collect();
    let mut by_end = by_begin.clone();
    by_begin.sort_by_key(|add| add.call.began);
    by_end.sort_by_key(|add| add.call.ended);
    let mut ended = by_end.into_iter().peekable();
    let mut highest: Option<&Acknowledged<'_>> = None;
    for add in by_begin {
        while let Some(before) = ended.next_if(|before| before.call.is_before(&add.call)) {
            highest = highest.into_iter().chain([before]).max_by_key(|add| add.epoch);
        }
        if let Some(before) = highest.filter(|before| before.epoch > add.epoch) {
            let text = format!("{} acknowledged in epoch {}, then {} in epoch {}", before.cluster, before.epoch, add.cluster, add.epoch);
            return Verdict::invalid(name, text, before.call.lines().chain(add.call.lines()).collect());
        }
    }
    Verdict::valid(name, format!("{} acknowledgements", acknowledged.len()))
}

fn never_merged(history: &History, calls: &[Call<'_>], acknowledged: &[Acknowledged<'_>]) -> Result<Verdict, Malformed> {
    let name = "divergent writes are never merged";
    let mut forks: BTreeMap<i64, i64> = BTreeMap::new();
    for promotion in facts(history, "promote") {
        forks.insert(promotion.number("epoch")?, promotion.number("position")?);
    }
    // Divergent: beyond where some later epoch forked off.
    let is_divergent = |add: &Acknowledged<'_>, epoch: i64| {
        add.position.is_some_and(|position| forks.iter().any(|(later, fork)| add.epoch < *later && *later <= epoch && position > *fork))
    };
    let newest = forks.keys().last().copied().unwrap_or(0);
    let divergent = acknowledged.iter().filter(|add| is_divergent(add, newest)).count();
    for read in calls.iter().filter(|call| call.f() == "read") {
        let Some(end) = read.end.filter(|_| read.outcome == Outcome::Ok) else { continue };
        let Some(epoch) = end.extra.get("epoch").and_then(Value::as_int) else {
            return Err(Malformed::new(read.ended, "an answered `read` has an :epoch"));
        };
        let elements =
            end.value.as_list().ok_or_else(|| Malformed::new(read.ended, format!("`read` answers a list, not {}", end.value)))?;
        if let Some(add) = acknowledged.iter().find(|add| is_divergent(add, epoch) && elements.contains(add.call.argument())) {
            let text = format!(
                "{} was acknowledged by {} in epoch {} beyond the fork, and is read in epoch {epoch}",
                add.call.argument(),
                add.cluster,
                add.epoch
            );
            return Ok(Verdict::invalid(name, text, add.call.lines().chain(read.lines()).collect()));
        }
    }
    Ok(Verdict::valid(name, format!("{divergent} of {} acknowledged writes are beyond a fork (lost by the promotion)", acknowledged.len())))
}
