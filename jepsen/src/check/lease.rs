//! Leases end: each credential made at the backend belongs to one lease, and is revoked there when that ends: not before, not much later.
//!
//! | `:f` | who | value |
//! | --- | --- | --- |
//! | `lease` | a client | `ok` `{:lease l, :credential c, :ttl ms}` |
//! | `renew` | a client | `{:lease l}`, `ok` `{:lease l, :ttl ms}` |
//! | `revoke` | a client | `{:lease l}` |
//! | `backend-create`, `backend-revoke` | the harness, `info` | `{:credential c}`, with `:since` if it happened at some time between that and the line |
//!
//! A credential that no client was told of (the answer was lost, the node died) must go as well, within [`Options::orphan`].

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::lines::{Fact, facts, part};
use super::outage::Outages;
use super::verdict::Verdict;
use crate::core::{Call, History, Malformed, Op, Outcome, Value, calls};

/// What is allowed.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// How much before its end a credential may go: lifetimes are whole seconds.
    pub early: Duration,
    /// How much after its end: failover and the work itself, not counting [`Outages`].
    pub late: Duration,
    /// How long a credential that no client was told of may live.
    pub orphan: Duration,
}

impl Default for Options {
    fn default() -> Options {
        Options { early: Duration::from_secs(1), late: Duration::from_secs(10), orphan: Duration::from_secs(60) }
    }
}

/// One credential at the backend.
#[derive(Default)]
struct Credential<'a> {
    created: Option<Fact<'a>>,
    revoked: Vec<Fact<'a>>,
    leases: Vec<Call<'a>>,
}

/// Checks each credential.
///
/// # Errors
/// A line lacks a part.
pub fn check(history: &History, options: Options) -> Result<Verdict, Malformed> {
    let calls = calls(history)?;
    let mut credentials: BTreeMap<&Value, Credential<'_>> = BTreeMap::new();
    for fact in facts(history, "backend-create") {
        credentials.entry(fact.part("credential")?).or_default().created = Some(fact);
    }
    for fact in facts(history, "backend-revoke") {
        credentials.entry(fact.part("credential")?).or_default().revoked.push(fact);
    }
    // What was done to each lease later.
    let mut later: BTreeMap<&Value, Vec<Call<'_>>> = BTreeMap::new();
    for call in &calls {
        match (call.f(), call.end.filter(|_| call.outcome == Outcome::Ok)) {
            ("lease", Some(end)) => credentials.entry(part(end, call.ended, "credential")?).or_default().leases.push(*call),
            ("renew" | "revoke", _) => later.entry(part(call.invoke, call.began, "lease")?).or_default().push(*call),
            _ => {}
        }
    }
    let end = history.ops.iter().map(|op| op.time).max().unwrap_or(0);
    let mut children = Vec::new();
    let outages = Outages::of(history);
    let (mut pending, mut leases) = (0, BTreeSet::new());
    for (name, credential) in &credentials {
        if credential.created.is_none() && credential.leases.is_empty() {
            continue; // revoking what was never made does no harm
        }
        match judge(name, credential, &later, (options, &outages), end)? {
            Some(verdict) => children.push(verdict),
            None => pending += 1,
        }
        leases.extend(credential.leases.iter().map(|call| call.result()));
    }
    if children.iter().all(Verdict::is_valid) {
        let count = children.len();
        return Ok(match (count, pending) {
            (0, _) => Verdict::unknown("leases", format!("no credential came to its end ({pending} still alive)")),
            _ => Verdict::valid(
                "leases",
                format!("{count} credentials of {} leases ended when they should, {pending} are alive", leases.len()),
            ),
        });
    }
    children.retain(|child| !child.is_valid());
    Ok(Verdict::all("leases", children))
}

/// Nothing while the history ends before the credential must.
fn judge(
    name: &Value,
    credential: &Credential<'_>,
    later: &BTreeMap<&Value, Vec<Call<'_>>>,
    (options, outages): (Options, &Outages),
    end: u64,
) -> Result<Option<Verdict>, Malformed> {
    let name = format!("credential {name}");
    let nanoseconds = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    let facts_lines = || credential.created.iter().chain(&credential.revoked).map(|fact| fact.op.clone());
    let Some(created) = credential.created else {
        return Ok(Some(Verdict::invalid(name, "a client has it, and the backend never made it", lines(&credential.leases, Vec::new()))));
    };
    let first_revoked = credential.revoked.iter().map(Fact::earliest).min();
    let lease = match credential.leases.as_slice() {
        [] => {
            let deadline = outages.deadline(created.earliest(), nanoseconds(options.orphan));
            return Ok(match first_revoked {
                Some(at) if at <= deadline => Some(Verdict::valid(name, "no client was told of it, and it was revoked")),
                None if end <= deadline => None,
                _ => Some(Verdict::invalid(
                    name,
                    "an orphan: no client was told of it, and it was not revoked in time",
                    facts_lines().collect(),
                )),
            });
        }
        [one] => *one,
        several => return Ok(Some(Verdict::invalid(name, "it belongs to several leases", lines(several, facts_lines().collect())))),
    };
    let ttl = |call: &Call<'_>| -> Result<u64, Malformed> {
        let Some(answer) = call.end else { return Ok(0) };
        let ttl = part(answer, call.ended, "ttl")?.as_int().and_then(|ms| u64::try_from(ms).ok());
        Ok(ttl.ok_or_else(|| Malformed::new(call.ended, ":ttl is a number of milliseconds"))?.saturating_mul(1_000_000))
    };
    let Some(answer) = lease.end else { return Ok(None) };
    let later = later.get(part(answer, lease.ended, "lease")?).map_or(&[][..], Vec::as_slice);
    let renewals = || later.iter().filter(|call| call.f() == "renew");
    let revocations = || later.iter().filter(|call| call.f() == "revoke" && call.outcome != Outcome::Fail);
    let shown = || lines(&[&[lease], later].concat(), facts_lines().collect());

    // Too early: before what the last acknowledged renewal promised, and nobody asked for it.
    if let Some(at) = credential.revoked.iter().map(Fact::latest).min() {
        let mut promised = lease.invoke.time.saturating_add(ttl(&lease)?);
        for renewal in renewals().filter(|call| call.outcome == Outcome::Ok && call.end.is_some_and(|end| end.time <= at)) {
            promised = renewal.invoke.time.saturating_add(ttl(renewal)?);
        }
        let is_asked_for = revocations().any(|call| call.invoke.time <= at);
        if !is_asked_for && at.saturating_add(nanoseconds(options.early)) < promised {
            let text = format!("revoked {:.3} s before its end", promised.saturating_sub(at) as f64 / 1e9);
            return Ok(Some(Verdict::invalid(name, text, shown())));
        }
    }
    // Too late: after all that may have kept it alive.
    let mut last = answer.time.saturating_add(ttl(&lease)?);
    for renewal in renewals().filter(|call| call.outcome != Outcome::Fail) {
        let ended = renewal.end.map_or(end, |end| end.time);
        let length = if renewal.outcome == Outcome::Ok { ttl(renewal)? } else { ttl(&lease)? };
        last = last.max(ended.saturating_add(length));
    }
    for revocation in revocations().filter(|call| call.outcome == Outcome::Ok) {
        last = last.min(revocation.end.map_or(end, |end| end.time));
    }
    let deadline = outages.deadline(last, nanoseconds(options.late));
    Ok(match first_revoked {
        Some(at) if at <= deadline => Some(Verdict::valid(name, "revoked when it should be")),
        Some(at) => {
            let text = format!("revoked {:.3} s after its end", at.saturating_sub(last) as f64 / 1e9);
            Some(Verdict::invalid(name, text, shown()))
        }
        None if end <= deadline => None,
        None => Some(Verdict::invalid(name, "its lease ended, and it was never revoked", shown())),
    })
}

fn lines(calls: &[Call<'_>], facts: Vec<Op>) -> Vec<Op> {
    let mut lines: Vec<Op> = calls.iter().flat_map(Call::lines).chain(facts).collect();
    lines.sort_by_key(|op| op.index);
    lines
}
