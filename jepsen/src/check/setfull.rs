//! Every element of a growing set: was it lost, seen late, never looked for, seen twice, or from nowhere? And how late?
//!
//! `add` takes an element, `read` answers a list of all. An element is *known* from the end of its `add`, or of the first read that shows
//! it. Known and missing from a read that began later is *stale* if a still later read has it, and *lost* if none has. A read that began
//! after the last `add` had ended is *final*: on each node that was read, the last such read must show everything.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::verdict::Verdict;
use crate::core::{Call, History, Malformed, Op, Outcome, Value, calls};

/// Elements named in a verdict.
const ELEMENTS_SHOWN_MAX: usize = 8;

/// Whether a read may miss what was known before it began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stale {
    /// As of a standby.
    Allowed,
    /// As through the active node.
    Refused,
}

/// What became of the elements, in numbers. Latencies are nanoseconds from known to the end of the last read that missed it, sorted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Additions begun.
    pub attempts: usize,
    /// Additions acknowledged.
    pub acknowledged: usize,
    /// Never acknowledged, but seen.
    pub recovered: usize,
    /// Known, and gone.
    pub lost: Vec<Value>,
    /// Known, missed, seen again.
    pub stale: Vec<Value>,
    /// Acknowledged, and no read began after that.
    pub never_read: Vec<Value>,
    /// Seen more than once in one read.
    pub duplicated: Vec<Value>,
    /// Seen, but never added, or its addition failed.
    pub unexpected: Vec<Value>,
    /// Of stale elements.
    pub stable_latencies: Vec<u64>,
}

impl Report {
    /// The latency below which this share of the stale elements stayed.
    pub fn quantile(&self, share: f64) -> Option<u64> {
        let last = self.stable_latencies.len().checked_sub(1)?;
        self.stable_latencies.get((last as f64 * share).round() as usize).copied()
    }
}

struct Read<'a> {
    call: Call<'a>,
    elements: HashSet<&'a Value>,
}

struct Fate<'a> {
    report: Report,
    /// By anomaly and element: the lines that show it.
    witnesses: BTreeMap<&'static str, Vec<Op>>,
    reads: Vec<Read<'a>>,
    /// Known elements, and from which place.
    known: Vec<(&'a Value, usize, Call<'a>)>,
    last_add: usize,
}

/// Checks the set.
///
/// # Errors
/// A line is no `add` or `read` of a set, or an element is added twice.
pub fn check(history: &History, stale: Stale) -> Result<Verdict, Malformed> {
    let fate = fate(history)?;
    let report = &fate.report;
    let none_or = |name: &str, what: &str, elements: &[Value]| match elements {
        [] => Verdict::valid(name, "none"),
        some => {
            Verdict::invalid(name, format!("{} {what}: {}", some.len(), shown(some)), fate.witnesses.get(name).cloned().unwrap_or_default())
        }
    };
    let mut children = vec![
        none_or("lost", "elements were known and are gone", &report.lost),
        none_or("unexpected", "elements were seen that no addition can have added", &report.unexpected),
        none_or("duplicated", "elements were seen twice in one read", &report.duplicated),
    ];
    children.push(match (report.never_read.as_slice(), fate.reads.is_empty()) {
        (_, true) => Verdict::unknown("read", "nothing was read"),
        ([], false) => {
            Verdict::valid("read", format!("{} reads cover all {} acknowledged elements", fate.reads.len(), report.acknowledged))
        }
        (some, false) => {
            Verdict::unknown("read", format!("no read began after {} elements were acknowledged: {}", some.len(), shown(some)))
        }
    });
    let milliseconds = |share| report.quantile(share).unwrap_or(0) as f64 / 1e6;
    let text = format!(
        "{} elements were missed after they were known and seen later; p50 {:.1} ms, p99 {:.1} ms, longest {:.1} ms",
        report.stale.len(),
        milliseconds(0.5),
        milliseconds(0.99),
        milliseconds(1.0)
    );
    children.push(match (stale, report.stale.is_empty()) {
        (_, true) => Verdict::valid("stale", "none"),
        (Stale::Allowed, false) => Verdict::valid("stale", text),
        (Stale::Refused, false) => Verdict::invalid("stale", text, fate.witnesses.get("stale").cloned().unwrap_or_default()),
    });
    children.extend(nodes(&fate));
    Ok(Verdict::all("set", children))
}

/// What became of the elements, in numbers.
///
/// # Errors
/// As [`check`].
pub fn report(history: &History) -> Result<Report, Malformed> {
    Ok(fate(history)?.report)
}

fn fate(history: &History) -> Result<Fate<'_>, Malformed> {
    let calls = calls(history)?;
    let mut adds: HashMap<&Value, Call<'_>> = HashMap::new();
    let mut reads = Vec::new();
    let mut last_add = 0;
    for call in &calls {
        match call.f() {
            "add" => {
                if adds.insert(call.argument(), *call).is_some() {
                    return Err(Malformed::new(call.began, format!("{} is added twice: elements must be unique", call.argument())));
                }
                last_add = last_add.max(if call.outcome == Outcome::Info { call.began } else { call.ended });
            }
            "read" => {
                let Some(result) = call.result() else { continue };
                let refuse = || Malformed::new(call.ended, format!("`read` answers a list, not {result}"));
                let list = if result.is_nil() { &[] } else { result.as_list().ok_or_else(refuse)? };
                reads.push((*call, list));
            }
            _ => {}
        }
    }
    let mut report = Report { attempts: adds.len(), ..Report::default() };
    let mut witnesses: BTreeMap<&'static str, Vec<Op>> = BTreeMap::new();
    let mut first_seen: HashMap<&Value, Call<'_>> = HashMap::new();
    let mut sets = Vec::new();
    for (call, list) in reads {
        let mut elements = HashSet::with_capacity(list.len());
        for element in list {
            if !elements.insert(element) && !report.duplicated.contains(element) {
                report.duplicated.push(element.clone());
                witnesses.entry("duplicated").or_insert_with(|| call.lines().collect());
            }
            let first = first_seen.entry(element).or_insert(call);
            if call.ended < first.ended {
                *first = call;
            }
        }
        sets.push(Read { call, elements });
    }
    let mut seen: Vec<_> = first_seen.iter().collect();
    seen.sort_by_key(|(element, _)| **element);
    for (element, read) in seen {
        let add = adds.get(*element);
        // A read cannot end before the addition it shows began.
        if add.is_none_or(|add| add.outcome == Outcome::Fail || read.ended < add.began) {
            report.unexpected.push((*element).clone());
            witnesses.entry("unexpected").or_insert_with(|| add.into_iter().flat_map(Call::lines).chain(read.lines()).collect());
        }
    }
    let mut known = Vec::new();
    let mut added: Vec<_> = adds.values().collect();
    added.sort_by_key(|add| add.began);
    for add in added {
        let element = add.argument();
        let first = first_seen.get(element);
        report.acknowledged += usize::from(add.outcome == Outcome::Ok);
        report.recovered += usize::from(add.outcome == Outcome::Info && first.is_some());
        let acknowledged = (add.outcome == Outcome::Ok).then_some(*add);
        let Some(knower) = [acknowledged, first.copied()].into_iter().flatten().min_by_key(|call| call.ended) else { continue };
        if add.outcome == Outcome::Fail {
            continue; // unexpected if seen
        }
        known.push((element, knower.ended, *add));
        let later = || sets.iter().filter(|read| read.call.began > knower.ended);
        let missing = later().filter(|read| !read.elements.contains(element)).max_by_key(|read| read.call.began);
        let Some(missing) = missing else {
            if later().next().is_none() && add.outcome == Outcome::Ok && first.is_none() {
                report.never_read.push(element.clone());
            }
            continue;
        };
        let mut lines = || add.lines().chain(missing.call.lines()).collect::<Vec<_>>();
        let is_seen_later = sets.iter().any(|read| read.elements.contains(element) && read.call.began > missing.call.began);
        if is_seen_later {
            report.stale.push(element.clone());
            witnesses.entry("stale").or_insert_with(&mut lines);
            let known_at = knower.end.map_or(0, |end| end.time);
            report.stable_latencies.push(missing.call.end.map_or(0, |end| end.time).saturating_sub(known_at));
        } else {
            report.lost.push(element.clone());
            witnesses.entry("lost").or_insert_with(lines);
        }
    }
    report.stable_latencies.sort_unstable();
    Ok(Fate { report, witnesses, reads: sets, known, last_add })
}

/// The last read of each node, if nodes are told.
fn nodes(fate: &Fate<'_>) -> Vec<Verdict> {
    let mut last: BTreeMap<&str, &Read<'_>> = BTreeMap::new();
    for read in &fate.reads {
        let Some(node) = read.call.end.and_then(|end| end.node.as_deref()) else { continue };
        let latest = last.entry(node).or_insert(read);
        if latest.call.began < read.call.began {
            *latest = read;
        }
    }
    let one = |(node, read): (&str, &Read<'_>)| {
        let name = format!("final read of {node}");
        if read.call.began < fate.last_add {
            return Verdict::unknown(name, "no read began after the last addition had ended");
        }
        let missing: Vec<_> = fate.known.iter().filter(|(element, ..)| !read.elements.contains(element)).collect();
        let Some((_, _, add)) = missing.first() else {
            return Verdict::valid(name, format!("shows {} elements", read.elements.len()));
        };
        let elements: Vec<Value> = missing.iter().map(|(element, ..)| (*element).clone()).collect();
        Verdict::invalid(
            name,
            format!("misses {} known elements: {}", elements.len(), shown(&elements)),
            add.lines().chain(read.call.lines()).collect(),
        )
    };
    last.into_iter().map(one).collect()
}

fn shown(elements: &[Value]) -> String {
    let mut text = elements.iter().take(ELEMENTS_SHOWN_MAX).map(Value::to_string).collect::<Vec<_>>().join(" ");
    if elements.len() > ELEMENTS_SHOWN_MAX {
        text.push_str(" …");
    }
    text
}
