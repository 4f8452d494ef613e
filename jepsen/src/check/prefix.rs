//! A secondary is the primary at some position: every batch of reads equals one state of the primary, and the position never decreases.
//!
//! `write` and `cas` at the primary answer `[k [version value]]`, with `:position` if it is known: where in the primary's order the write
//! stands. `snapshot` answers `[[k [version value]] …]`, all read from one state of a secondary; an absent key is `[k [0 nil]]`.
//! With positions the check is exact up to writes of unknown outcome; without them real time orders what it can: a batch that shows a
//! write and misses one that ended before it began is of no position at all.
//!
//! While a secondary compares itself with its primary and repairs what differs, it is at no position: what was read then, or up to
//! [`SETTLING`] later, is left out. Lines of the nemesis tell when: `compared`, `{:cluster c :from ns :to ns}`.

use std::collections::BTreeMap;

use super::keyed::by_key;
use super::lines::{Fact, facts};
use super::verdict::Verdict;
use crate::core::{Call, History, Malformed, Op, Value, calls};

/// A standby may be that far behind the node that compares.
const SETTLING: u64 = 2_000_000_000;

/// A write of one key: who made this version, and where it stands.
struct Version<'a> {
    version: i64,
    value: &'a Value,
    position: Option<i64>,
    call: Call<'a>,
}

/// One key of a batch.
struct Seen<'a> {
    key: &'a Value,
    version: i64,
    value: &'a Value,
}

/// A bound of a position, and the write that sets it.
type Bound<'a> = Option<(i64, Call<'a>)>;

/// Checks all batches of each secondary's node.
///
/// # Errors
/// A line is no write or batch.
pub fn check(history: &History) -> Result<Verdict, Malformed> {
    let calls = calls(history)?;
    let mut writes: BTreeMap<&Value, Vec<Version<'_>>> = BTreeMap::new();
    let mut loose: BTreeMap<(&Value, &Value), Call<'_>> = BTreeMap::new();
    for (key, calls) in by_key(&calls, &["write", "cas"])? {
        let versions = writes.entry(key).or_default();
        for keyed in calls {
            let value = keyed.argument.as_pair().map_or(keyed.argument, |(_, value)| value);
            let Some(result) = keyed.result else {
                loose.insert((key, value), keyed.call);
                continue;
            };
            let pair = result.as_pair().and_then(|(version, value)| Some((version.as_int()?, value)));
            let (version, value) = pair.ok_or_else(|| keyed.malformed(format!("a write answers [key [version value]], not {result}")))?;
            let position = keyed.call.extra("position").and_then(Value::as_int);
            versions.push(Version { version, value, position, call: keyed.call });
        }
        versions.sort_by_key(|version| version.version);
    }
    let comparisons = comparisons(history)?;
    let mut nodes: BTreeMap<String, Vec<(Call<'_>, Vec<Seen<'_>>)>> = BTreeMap::new();
    for call in calls.iter().filter(|call| call.f() == "snapshot") {
        let Some(result) = call.result() else { continue };
        if comparisons.iter().any(|(cluster, from, to)| call.invoke.cluster.as_deref() == Some(*cluster) && overlaps(call, *from, *to)) {
            continue;
        }
        let place = [call.invoke.cluster.as_deref(), call.invoke.node.as_deref()].into_iter().flatten().collect::<Vec<_>>().join(" ");
        nodes.entry(place).or_default().push((*call, batch(call, result)?));
    }
    Ok(Verdict::all("prefix", nodes.iter().map(|(node, batches)| one_node(node, batches, &writes, &loose)).collect()))
}

/// Cluster, beginning and end of each comparison, in nanoseconds.
fn comparisons(history: &History) -> Result<Vec<(&str, u64, u64)>, Malformed> {
    let one = |fact: Fact<'_>| Ok((fact.number("from")?, fact.number("to")?));
    let moment = |at: i64| u64::try_from(at).unwrap_or(0);
    facts(history, "compared").map(|fact| one(fact).and_then(|(from, to)| Ok((fact.text("cluster")?, moment(from), moment(to))))).collect()
}

fn overlaps(call: &Call<'_>, from: u64, to: u64) -> bool {
    call.invoke.time <= to.saturating_add(SETTLING) && call.end.is_none_or(|end| end.time >= from)
}

fn batch<'a>(call: &Call<'a>, result: &'a Value) -> Result<Vec<Seen<'a>>, Malformed> {
    let refuse = || Malformed::new(call.ended, format!("`snapshot` answers [[key [version value]] …], not {result}"));
    let one = |pair: &'a Value| {
        let (key, seen) = pair.as_pair()?;
        let (version, value) =
            if seen.is_nil() { (0, &Value::Nil) } else { seen.as_pair().and_then(|(n, value)| Some((n.as_int()?, value)))? };
        Some(Seen { key, version, value })
    };
    result.as_list().ok_or_else(refuse)?.iter().map(|pair| one(pair).ok_or_else(refuse)).collect()
}

fn one_node<'a>(
    node: &str,
    batches: &[(Call<'a>, Vec<Seen<'a>>)],
    writes: &BTreeMap<&'a Value, Vec<Version<'a>>>,
    loose: &BTreeMap<(&'a Value, &'a Value), Call<'a>>,
) -> Verdict {
    let name = format!("prefix at {node}");
    // The lowest position at which the node can stand, and the batch that says so.
    let mut stands: Option<(i64, Call<'a>)> = None;
    let mut with_positions = 0;
    for (call, batch) in batches {
        let (mut low, mut high): (Bound<'a>, Bound<'a>) = (None, None);
        let (mut shown, mut missed): (Option<Call<'a>>, Option<Call<'a>>) = (None, None);
        for seen in batch {
            let versions = writes.get(seen.key).map_or(&[][..], Vec::as_slice);
            let next = versions.partition_point(|version| version.version <= seen.version);
            let made = versions[..next].last().filter(|version| version.version == seen.version);
            let writer = match made {
                Some(made) if made.value != seen.value => {
                    let text = format!("{} holds {} at version {}, where {} was written", seen.key, seen.value, seen.version, made.value);
                    return Verdict::invalid(name, text, made.call.lines().chain(call.lines()).collect());
                }
                Some(made) => Some(made.call),
                None if seen.version == 0 && seen.value.is_nil() => None,
                None => match loose.get(&(seen.key, seen.value)) {
                    Some(writer) => Some(*writer),
                    None => {
                        let text = format!("{} holds {} at version {}, which nobody wrote", seen.key, seen.value, seen.version);
                        return Verdict::invalid(name, text, call.lines().collect());
                    }
                },
            };
            if let Some(writer) = writer.filter(|writer| call.ended < writer.began) {
                let text = format!("{} holds {} before its write began", seen.key, seen.value);
                return Verdict::invalid(name, text, call.lines().chain(writer.lines()).collect());
            }
            shown = shown.into_iter().chain(writer).max_by_key(|call| call.began);
            missed = missed.into_iter().chain(versions[next..].iter().map(|version| version.call)).min_by_key(|call| call.ended);
            let at = |version: &Version<'a>| version.position.map(|position| (position, version.call));
            low = low.into_iter().chain(versions[..next].iter().rev().find_map(at)).max_by_key(|(position, _)| *position);
            high = high.into_iter().chain(versions[next..].iter().find_map(at)).min_by_key(|(position, _)| *position);
        }
        if let (Some(shown), Some(missed)) = (shown, missed)
            && missed.is_before(&shown)
        {
            let text = "a batch shows a write and misses one that had ended before it began";
            return Verdict::invalid(name, text, witness(&[missed, shown, *call]));
        }
        with_positions += usize::from(low.is_some() || high.is_some());
        // The state is at or after `low` and before `high`.
        if let (Some((low, shown)), Some((high, missed))) = (low, high)
            && low >= high
        {
            let text = format!("a batch shows position {low} and misses position {high}");
            return Verdict::invalid(name, text, witness(&[missed, shown, *call]));
        }
        if let (Some((stood, before)), Some((high, missed))) = (stands, high)
            && stood >= high
            && before.is_before(call)
        {
            let text = format!("a batch of position {stood} or later was read, then one that misses position {high}");
            return Verdict::invalid(name, text, witness(&[missed, before, *call]));
        }
        if let Some((low, _)) = low
            && stands.is_none_or(|(stood, _)| stood < low)
        {
            stands = Some((low, *call));
        }
    }
    match (batches.is_empty(), with_positions) {
        (true, _) => Verdict::unknown(name, "nothing was read"),
        (_, 0) => Verdict::valid(name, format!("{} batches in real time's order (no positions are known)", batches.len())),
        (_, count) => {
            Verdict::valid(name, format!("{} batches of one position each, {count} bounded by known ones, never going back", batches.len()))
        }
    }
}

fn witness(calls: &[Call<'_>]) -> Vec<Op> {
    let mut lines: Vec<Op> = calls.iter().flat_map(Call::lines).collect();
    lines.sort_by_key(|op| op.index);
    lines
}
