//! A versioned register, exactly and in one sweep: who answers a version has said where it stands in the order, so nothing is searched.
//!
//! Linearizable is: versions of writes are distinct, each is made by a write that may have happened, a read's value is the one written at
//! its version; and in real time no call that ended has a higher version than one that began later (nor an equal one, if that is a write).
//! Writes of unknown outcome take the version at which their value was read, or a version that nobody else made: the earliest to begin
//! takes the lowest. A CAS refused for its version must have had another one inside its window.
//!
//! Time O(n log n) a key. Only one thing is left to the search: a history found wanting while a CAS of unknown outcome is still unplaced,
//! as it fits one version only and so is no interval.
//! Not here: deletion and trimming of versions (`wgl::Lifecycle`).

use std::collections::{BTreeMap, HashMap};

use super::keyed::{Keyed, by_key};
use super::verdict::Verdict;
use super::versioned::{FUNCTIONS, Step, Versioned, entries};
use super::wgl::{Entry, Found, Limits, search};
use crate::core::{History, Malformed, Value, calls};

/// Checks each key.
///
/// # Errors
/// A line is no read, write or CAS of a versioned register, or a value is written twice.
pub fn check(history: &History) -> Result<Verdict, Malformed> {
    let calls = calls(history)?;
    let keys = by_key(&calls, FUNCTIONS)?;
    let children = keys.iter().map(|(key, calls)| one_key(key, calls));
    Ok(Verdict::all("register", children.collect::<Result<_, _>>()?))
}

fn one_key(key: &Value, calls: &[Keyed<'_>]) -> Result<Verdict, Malformed> {
    let name = format!("register {key}");
    let entries = entries(calls)?;
    if entries.iter().all(|entry| entry.ended == usize::MAX) {
        return Ok(Verdict::unknown(name, "no call was answered: nothing to check"));
    }
    Ok(match decide(&entries) {
        Decision::Linearizable { versions } => {
            Verdict::valid(name, format!("{} calls agree on the order of {versions} versions", entries.len()))
        }
        Decision::Unknown => Verdict::unknown(name, "the search for the place of a CAS of unknown outcome was given up"),
        Decision::Broken(Broken { text, calls: mut places, value }) => {
            places.sort_unstable();
            let mut witness: Vec<_> = places.iter().flat_map(|place| calls[entries[*place].source].call.lines()).collect();
            // A value from nowhere may be from a write that failed: show it.
            let attempt =
                value.and_then(|value| calls.iter().find(|call| call.argument.as_pair().is_some_and(|(_, written)| *written == value)));
            witness.extend(attempt.into_iter().flat_map(|attempt| attempt.call.lines()));
            witness.sort_by_key(|op| op.index);
            witness.dedup_by_key(|op| op.index);
            Verdict::invalid(name, text, witness)
        }
    })
}

/// What the sweep found.
#[derive(Debug)]
pub(super) enum Decision {
    Linearizable { versions: i64 },
    Broken(Broken),
    Unknown,
}

/// Why there is no order.
#[derive(Debug)]
pub(super) struct Broken {
    text: String,
    /// The entries that show it.
    calls: Vec<usize>,
    /// A value that came from nowhere.
    value: Option<Value>,
}

fn broken<T>(text: String, calls: impl IntoIterator<Item = usize>) -> Result<T, Broken> {
    Err(Broken { text, calls: calls.into_iter().collect(), value: None })
}

/// Decides for one key.
pub(super) fn decide(entries: &[Entry<Step>]) -> Decision {
    let mut sweep = Sweep { entries, versions: vec![None; entries.len()], top: 0, writers: BTreeMap::new() };
    let Err(found) = sweep.run() else { return Decision::Linearizable { versions: sweep.top } };
    let has_loose_cas = (0..entries.len()).any(|place| matches!(entries[place].step, Step::Cas { version: None, .. }));
    if !has_loose_cas {
        return Decision::Broken(found);
    }
    match search(&Versioned, entries, Limits::default()) {
        Found::Order(_) => Decision::Linearizable { versions: sweep.top },
        Found::Stuck { .. } => Decision::Broken(found),
        Found::GaveUp { .. } => Decision::Unknown,
    }
}

struct Sweep<'a> {
    entries: &'a [Entry<Step>],
    /// By entry: the version it saw or made, once that is known.
    versions: Vec<Option<i64>>,
    /// The highest version.
    top: i64,
    /// By version: who made it.
    writers: BTreeMap<i64, usize>,
}

impl Sweep<'_> {
    fn run(&mut self) -> Result<(), Broken> {
        self.place_answered()?;
        self.place_reads()?;
        let mut loose = self.fill_gaps()?;
        self.check_real_time()?;
        self.check_refused(&mut loose)
    }

    /// Gives a write its version.
    fn place(&mut self, writer: usize, version: i64) -> Result<(), Broken> {
        if version < 1 {
            return broken(format!("a write made version {version}; the first is 1"), [writer]);
        }
        if let Step::Cas { expected, .. } = &self.entries[writer].step
            && expected + 1 != version
        {
            return broken(format!("a CAS that expected version {expected} made version {version}"), [writer]);
        }
        if let Some(other) = self.writers.insert(version, writer) {
            return broken(format!("two writes made version {version}"), [other, writer]);
        }
        self.versions[writer] = Some(version);
        self.top = self.top.max(version);
        Ok(())
    }

    fn place_answered(&mut self) -> Result<(), Broken> {
        for place in 0..self.entries.len() {
            if let Step::Write { version: Some(version), .. } | Step::Cas { version: Some(version), .. } = self.entries[place].step {
                self.place(place, version)?;
            }
        }
        Ok(())
    }

    /// Reads say which value stands at which version, also of writes that were not answered.
    fn place_reads(&mut self) -> Result<(), Broken> {
        let entries = self.entries;
        let mut by_value: HashMap<&Value, usize> = HashMap::new();
        for (place, entry) in entries.iter().enumerate() {
            if let Step::Write { value, .. } | Step::Cas { value, .. } = &entry.step {
                by_value.insert(value, place);
            }
        }
        for (place, entry) in entries.iter().enumerate() {
            let Step::Read { version, value } = &entry.step else { continue };
            self.versions[place] = Some(*version);
            if *version == 0 && value.is_nil() {
                continue;
            }
            let Some(&writer) = by_value.get(value).filter(|_| *version > 0) else {
                let text = format!("a read saw {value} at version {version}, which no write that may have happened wrote");
                return Err(Broken { text, calls: vec![place], value: Some(value.clone()) });
            };
            match self.versions[writer] {
                Some(made) if made == *version => {}
                Some(made) => {
                    return broken(
                        format!("a read saw {value} at version {version}, but it was written at version {made}"),
                        [writer, place],
                    );
                }
                None => self.place(writer, *version).map_err(|mut found| {
                    found.calls.push(place);
                    found
                })?,
            }
        }
        Ok(())
    }

    /// Versions that nobody is known to have made are made by writes of unknown outcome. Gives those that are left.
    fn fill_gaps(&mut self) -> Result<Loose, Broken> {
        let mut loose = Loose::of(self.entries, &self.versions);
        let missing = usize::try_from(self.top).unwrap_or(usize::MAX) - self.writers.len();
        // Before anything is made for each missing version: a wild number must not cost its size.
        let gaps: Vec<i64> =
            (1..=self.top).filter(|version| !self.writers.contains_key(version)).take(missing.min(loose.len() + 1)).collect();
        let mut seen: Vec<(i64, usize, usize)> =
            (0..self.entries.len()).filter_map(|place| Some((self.versions[place]?, self.entries[place].ended, place))).collect();
        seen.sort_unstable();
        // By place in `seen`: the first end among this and all higher versions.
        let mut first_end = vec![(usize::MAX, usize::MAX); seen.len() + 1];
        for at in (0..seen.len()).rev() {
            first_end[at] = first_end[at + 1].min((seen[at].1, seen[at].2));
        }
        for version in gaps {
            let (deadline, witness) = first_end[seen.partition_point(|(other, ..)| *other < version)];
            let Some(writer) = loose.take(self.entries, version, deadline) else {
                let above = self.writers.range(version..).next().map(|(_, writer)| *writer);
                let calls = [Some(witness).filter(|witness| *witness != usize::MAX), above];
                return broken(format!("no write that may have happened made version {version}"), calls.into_iter().flatten());
            };
            self.place(writer, version)?;
        }
        Ok(loose)
    }

    /// What ended before has no higher version, and no equal one if this is a write.
    fn check_real_time(&self) -> Result<(), Broken> {
        let placed = || (0..self.entries.len()).filter(|place| self.versions[*place].is_some());
        let (mut by_begin, mut by_end): (Vec<usize>, Vec<usize>) = (placed().collect(), placed().collect());
        by_begin.sort_by_key(|place| self.entries[*place].began);
        by_end.sort_by_key(|place| self.entries[*place].ended);
        let mut ended = by_end.into_iter().peekable();
        let mut highest: Option<(i64, usize)> = None;
        for place in by_begin {
            let entry = &self.entries[place];
            while let Some(before) = ended.next_if(|before| self.entries[*before].ended < entry.began) {
                highest = highest.max(self.versions[before].map(|version| (version, before)));
            }
            let (Some((high, before)), Some(version)) = (highest, self.versions[place]) else { continue };
            let is_read = matches!(entry.step, Step::Read { .. });
            if high > version || (high == version && !is_read) {
                let text = match (is_read, self.entries[before].step.is_read()) {
                    (true, _) => format!("a read saw version {version} although version {high} had been seen or made before it began"),
                    (false, true) => format!("version {high} was read before the write of version {version} began"),
                    (false, false) => format!("a write made version {version} although version {high} had been made before it began"),
                };
                return broken(text, [before, place]);
            }
        }
        Ok(())
    }

    /// Each refused CAS stands at some version other than the one it expected: the lowest that those before it leave.
    fn check_refused(&mut self, loose: &mut Loose) -> Result<(), Broken> {
        let mut refused: Vec<usize> = (0..self.entries.len()).filter(|place| self.entries[*place].step.is_refused()).collect();
        if refused.is_empty() {
            return Ok(());
        }
        refused.sort_by_key(|place| self.entries[*place].ended);
        let mut by_end: Vec<(usize, i64)> =
            (0..self.entries.len()).filter_map(|place| Some((self.entries[place].ended, self.versions[place]?))).collect();
        by_end.sort_unstable();
        raise_to_running_maximum(&mut by_end);
        let mut by_begin: Vec<(usize, i64)> = (0..self.entries.len())
            .filter_map(|place| {
                let entry = &self.entries[place];
                Some((entry.began, self.versions[place]? - i64::from(!entry.step.is_read())))
            })
            .collect();
        by_begin.sort_unstable();
        for at in (1..by_begin.len()).rev() {
            by_begin[at - 1].1 = by_begin[at - 1].1.min(by_begin[at].1);
        }
        let mut stand: Vec<(usize, i64)> = Vec::with_capacity(refused.len());
        for place in refused {
            let entry = &self.entries[place];
            let Step::Refused { expected } = entry.step else { continue };
            let before = |list: &[(usize, i64)]| {
                list[..list.partition_point(|(ended, _)| *ended < entry.began)].last().map_or(0, |(_, version)| *version)
            };
            let lowest = before(&by_end).max(before(&stand));
            let version = if lowest == expected { lowest + 1 } else { lowest };
            let highest =
                by_begin[by_begin.partition_point(|(began, _)| *began <= entry.ended)..].first().map_or(i64::MAX, |(_, version)| *version);
            let text = || format!("a CAS was refused although the version was the expected {expected} all the time it ran");
            if version > highest {
                return broken(text(), [place]);
            }
            if version > self.top {
                let Some(writer) = loose.take(self.entries, version, entry.ended) else { return broken(text(), [place]) };
                self.place(writer, version)?;
            }
            stand.push((entry.ended, version.max(stand.last().map_or(0, |(_, version)| *version))));
        }
        Ok(())
    }
}

fn raise_to_running_maximum(list: &mut [(usize, i64)]) {
    for at in 1..list.len() {
        list[at].1 = list[at].1.max(list[at - 1].1);
    }
}

impl Step {
    fn is_read(&self) -> bool {
        matches!(self, Step::Read { .. })
    }
    fn is_refused(&self) -> bool {
        matches!(self, Step::Refused { .. })
    }
}

/// Writes of unknown outcome that have no version yet.
struct Loose {
    /// Plain writes, the last to begin first.
    writes: Vec<usize>,
    /// CAS by the version they would make.
    cas: HashMap<i64, Vec<usize>>,
}

impl Loose {
    fn of(entries: &[Entry<Step>], versions: &[Option<i64>]) -> Loose {
        let mut loose = Loose { writes: Vec::new(), cas: HashMap::new() };
        for place in (0..entries.len()).filter(|place| versions[*place].is_none()) {
            match entries[place].step {
                Step::Write { .. } => loose.writes.push(place),
                Step::Cas { expected, .. } => loose.cas.entry(expected + 1).or_default().push(place),
                _ => {}
            }
        }
        loose.writes.sort_by_key(|place| usize::MAX - entries[*place].began);
        loose
    }
    fn len(&self) -> usize {
        self.writes.len() + self.cas.len()
    }
    /// One that may make this version and began before the deadline. A CAS first: it fits nowhere else.
    fn take(&mut self, entries: &[Entry<Step>], version: i64, deadline: usize) -> Option<usize> {
        let cas = self.cas.get(&version).and_then(|cas| cas.iter().copied().min_by_key(|place| entries[*place].began));
        if let Some(cas) = cas.filter(|cas| entries[*cas].began < deadline) {
            self.cas.remove(&version);
            return Some(cas);
        }
        self.writes.pop_if(|place| entries[*place].began < deadline)
    }
}
