//! Appends to lists in transactions, strictly serializable: by `adya`, which infers the order of transactions and looks for cycles.
//!
//! `:f :txn`, value `[[:append k v] [:r k nil]]`; the `ok` has what was read. Where each transaction touches one key, each key is decided
//! for itself (strict serializability is local then). What `adya` cannot see is added: an append that was acknowledged and is missing from
//! a read that began later, even if no read ever showed it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use adya::history::{Id, Interner, Mop, Op as TheirOp, OpType, ReadValue, Scalar};
use adya::{Opts, Valid as TheirValid, Workload};

use super::verdict::Verdict;
use crate::core::{Call, History, Kind, Malformed, Op, Outcome, Process, Value, calls};

/// Anomalies shown of each kind.
const ANOMALIES_SHOWN_MAX: usize = 3;

/// One part of a transaction.
#[derive(Debug, Clone, Copy)]
enum Part<'a> {
    Append(&'a Value, &'a Value),
    /// Nothing if it was not answered.
    Read(&'a Value, Option<&'a [Value]>),
}

impl<'a> Part<'a> {
    fn key(&self) -> &'a Value {
        match self {
            Part::Append(key, _) | Part::Read(key, _) => key,
        }
    }
}

fn parts(op: &Op) -> Result<Vec<Part<'_>>, Malformed> {
    let refuse = |value: &Value| {
        Malformed::new(
            usize::try_from(op.index).unwrap_or(usize::MAX),
            format!("a transaction is [[:append k v] [:r k nil] …], not {value}"),
        )
    };
    let mut parts = Vec::new();
    for part in op.value.as_list().ok_or_else(|| refuse(&op.value))? {
        parts.push(match part.as_list() {
            Some([f, key, value]) if f.as_str() == Some("append") => Part::Append(key, value),
            Some([f, key, Value::Nil]) if f.as_str() == Some("r") => Part::Read(key, (op.kind == Kind::Ok).then_some(&[])),
            Some([f, key, Value::List(seen)]) if f.as_str() == Some("r") => Part::Read(key, Some(seen)),
            _ => return Err(refuse(part)),
        });
    }
    Ok(parts)
}

/// Checks all keys.
///
/// # Errors
/// A line is no transaction of appends and reads, or an element is appended twice to a key.
pub fn check(history: &History) -> Result<Verdict, Malformed> {
    let calls: Vec<Call<'_>> = calls(history)?.into_iter().filter(|call| call.f() == "txn").collect();
    let mut appended = BTreeSet::new();
    let mut by_key: BTreeMap<&Value, Vec<Call<'_>>> = BTreeMap::new();
    let mut is_local = true;
    for call in &calls {
        let parts = parts(call.invoke)?;
        for part in &parts {
            if let Part::Append(key, value) = part
                && !appended.insert((*key, *value))
            {
                return Err(Malformed::new(call.began, format!("{value} is appended twice to {key}: elements must be unique")));
            }
        }
        let keys: BTreeSet<&Value> = parts.iter().map(Part::key).collect();
        is_local &= keys.len() <= 1;
        by_key.entry(keys.into_iter().next().unwrap_or(&Value::Nil)).or_default().push(*call);
    }
    let mut children = vec![missing(&calls)?];
    if is_local {
        for (key, calls) in by_key {
            children.push(isolation(format!("strict serializable {key}"), &calls)?);
        }
    } else {
        children.push(isolation("strict serializable".to_owned(), &calls)?);
    }
    Ok(Verdict::all("append", children))
}

/// No read misses what was acknowledged before it began.
fn missing(calls: &[Call<'_>]) -> Result<Verdict, Malformed> {
    // By key: acknowledged elements in the order of their acknowledgements.
    let mut acknowledged: HashMap<&Value, Vec<(usize, &Value, &Call<'_>)>> = HashMap::new();
    for call in calls.iter().filter(|call| call.outcome == Outcome::Ok) {
        for part in parts(call.invoke)? {
            if let Part::Append(key, value) = part {
                acknowledged.entry(key).or_default().push((call.ended, value, call));
            }
        }
    }
    acknowledged.values_mut().for_each(|elements| elements.sort_by_key(|(ended, ..)| *ended));
    let mut reads = 0;
    for call in calls {
        let Some(end) = call.end.filter(|end| end.kind == Kind::Ok) else { continue };
        for part in parts(end)? {
            let Part::Read(key, Some(seen)) = part else { continue };
            reads += 1;
            let seen: BTreeSet<&Value> = seen.iter().collect();
            let before = acknowledged.get(key).into_iter().flatten().take_while(|(ended, ..)| *ended < call.began);
            if let Some((_, element, append)) = before.into_iter().find(|(_, element, _)| !seen.contains(element)) {
                let text = format!("a read of {key} misses {element}, which was acknowledged before it began");
                return Ok(Verdict::invalid("nothing missing", text, append.lines().chain(call.lines()).collect()));
            }
        }
    }
    Ok(match reads {
        0 => Verdict::unknown("nothing missing", "nothing was read"),
        reads => Verdict::valid("nothing missing", format!("{reads} reads show all that was acknowledged before they began")),
    })
}

fn isolation(name: String, calls: &[Call<'_>]) -> Result<Verdict, Malformed> {
    let mut lines: Vec<&Op> = calls.iter().flat_map(|call| [Some(call.invoke), call.end]).flatten().collect();
    lines.sort_by_key(|op| op.index);
    let mut interner = Interner::default();
    let ops = lines.iter().map(|op| their_op(op, &mut interner)).collect::<Result<Vec<_>, _>>()?;
    let report = adya::check(&adya::History::from_ops(ops, interner), Workload::ListAppend, &Opts::default());
    let found = report.anomalies.values().flatten();
    let text = match report.valid {
        TheirValid::True => format!("{} transactions without a cycle", calls.len()),
        _ => report
            .anomalies
            .values()
            .flat_map(|kind| kind.iter().take(ANOMALIES_SHOWN_MAX))
            .map(|a| format!("{}: {}", a.kind, a.explanation))
            .collect::<Vec<_>>()
            .join("; "),
    };
    let guilty: BTreeSet<u64> = found.take(ANOMALIES_SHOWN_MAX).flat_map(|anomaly| anomaly.ops.iter().copied()).collect();
    Ok(match report.valid {
        TheirValid::True => Verdict::valid(name, text),
        // Had one of them been carried out all the same, the list would be there, and be read at the end.
        TheirValid::Unknown if calls.iter().all(|call| call.outcome != Outcome::Ok) => {
            Verdict::valid(name, format!("{} transactions, none of them acknowledged", calls.len()))
        }
        TheirValid::Unknown if report.anomaly_types.iter().all(|kind| kind == "empty-transaction-graph") && has_no_reads(calls) => {
            Verdict::unknown(name, "nothing was read")
        }
        // One transaction, or several that no order binds: any order will do.
        TheirValid::Unknown if report.anomaly_types.iter().all(|kind| kind == "empty-transaction-graph") => {
            Verdict::valid(name, format!("{} transactions that nothing orders", calls.len()))
        }
        TheirValid::Unknown => Verdict::unknown(name, text),
        TheirValid::False => {
            let is_guilty =
                |call: &&Call<'_>| call.end.is_some_and(|end| guilty.contains(&end.index)) || guilty.contains(&call.invoke.index);
            let mut witness: Vec<Op> = calls.iter().filter(is_guilty).flat_map(Call::lines).collect();
            if witness.is_empty() {
                witness = disagreeing(calls);
            }
            witness.sort_by_key(|op| op.index);
            Verdict::invalid(name, text, witness)
        }
    })
}

/// Two reads of a key of which neither begins with the other: of this, `adya` names no transactions.
fn disagreeing(calls: &[Call<'_>]) -> Vec<Op> {
    let mut longest: HashMap<&Value, (&[Value], Call<'_>)> = HashMap::new();
    for call in calls {
        let Some(Ok(parts)) = call.end.filter(|end| end.kind == Kind::Ok).map(parts) else { continue };
        for part in parts {
            let Part::Read(key, Some(seen)) = part else { continue };
            let (before, first) = longest.entry(key).or_insert((seen, *call));
            if !seen.starts_with(before) && !before.starts_with(seen) {
                return first.lines().chain(call.lines()).collect();
            }
            if seen.len() > before.len() {
                (*before, *first) = (seen, *call);
            }
        }
    }
    Vec::new()
}

fn has_no_reads(calls: &[Call<'_>]) -> bool {
    let reads = |op: &Op| parts(op).is_ok_and(|parts| parts.iter().any(|part| matches!(part, Part::Read(..))));
    !calls.iter().any(|call| call.outcome == Outcome::Ok && reads(call.invoke))
}

fn their_op(op: &Op, interner: &mut Interner) -> Result<TheirOp, Malformed> {
    let mut id = |value: &Value| -> Id {
        interner.intern(match value {
            Value::Int(number) => Scalar::Int(*number),
            other => Scalar::Str(other.to_string()),
        })
    };
    // A line that ended without an answer has no value of its own at times.
    let parts = if op.value.is_nil() { Vec::new() } else { parts(op)? };
    let value = parts.into_iter().map(|part| match part {
        Part::Append(key, value) => Mop::Append { key: id(key), value: id(value) },
        Part::Read(key, None) => Mop::Read { key: id(key), value: ReadValue::Nil },
        Part::Read(key, Some(seen)) => Mop::Read { key: id(key), value: ReadValue::List(seen.iter().map(&mut id).collect()) },
    });
    let value = value.collect();
    let kind = match op.kind {
        Kind::Invoke => OpType::Invoke,
        Kind::Ok => OpType::Ok,
        Kind::Fail => OpType::Fail,
        Kind::Info => OpType::Info,
    };
    let process = match op.process {
        Process::Client(number) => i64::try_from(number).ok(),
        Process::Nemesis => None,
    };
    Ok(TheirOp { index: op.index, kind, process, value, time: i64::try_from(op.time).ok() })
}
