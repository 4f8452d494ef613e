//! Random histories of a versioned register: good ones by running one, bad ones by altering those.

use std::fmt::Write as _;

use crate::check::versioned::Step;
use crate::check::wgl::Entry;
use crate::core::{Rng, Value};

/// What a process is about.
#[derive(Clone)]
enum Phase {
    Idle,
    Sent { began: usize, step: Step },
    Done { began: usize, step: Step },
}

/// A history that a register made: each call took effect once between its lines; some were never answered, some never took effect.
pub(super) fn good(rng: &mut Rng, calls: usize, processes: usize) -> Vec<Entry<Step>> {
    let mut phases = vec![Phase::Idle; processes];
    let (mut entries, mut clock, mut sent) = (Vec::new(), 0, 0);
    let mut state = (0_i64, Value::Nil);
    let finish = |began, ended, step, entries: &mut Vec<Entry<Step>>| entries.push(Entry { began, ended, step, source: 0 });
    loop {
        let process = rng.index(processes);
        clock += 1;
        phases[process] = match phases[process].clone() {
            Phase::Idle if sent == calls => {
                if phases.iter().all(|phase| matches!(phase, Phase::Idle)) {
                    break;
                }
                Phase::Idle
            }
            Phase::Idle => {
                sent += 1;
                let value = Value::Int(sent as i64);
                // Around the newest version, so that a CAS may hit or miss.
                let expected = (state.0 + rng.below(3) as i64 - 1).max(0);
                let step = match rng.below(10) {
                    0..4 => Step::Read { version: 0, value: Value::Nil },
                    4..7 => Step::Write { version: None, value },
                    _ => Step::Cas { expected, version: None, value },
                };
                Phase::Sent { began: clock, step }
            }
            Phase::Sent { began, step } => {
                if rng.chance(0.1) {
                    // Lost on the way: nobody knows.
                    if !matches!(step, Step::Read { .. }) {
                        finish(began, usize::MAX, step, &mut entries);
                    }
                    Phase::Idle
                } else {
                    let answered = match step {
                        Step::Read { .. } => Step::Read { version: state.0, value: state.1.clone() },
                        Step::Cas { expected, .. } if expected != state.0 => Step::Refused { expected },
                        Step::Write { value, .. } => {
                            state = (state.0 + 1, value.clone());
                            Step::Write { version: Some(state.0), value }
                        }
                        Step::Cas { expected, value, .. } => {
                            state = (state.0 + 1, value.clone());
                            Step::Cas { expected, version: Some(state.0), value }
                        }
                        refused @ Step::Refused { .. } => refused,
                    };
                    Phase::Done { began, step: answered }
                }
            }
            Phase::Done { began, step } => {
                let is_lost = rng.chance(0.15);
                match step {
                    Step::Write { value, .. } if is_lost => finish(began, usize::MAX, Step::Write { version: None, value }, &mut entries),
                    Step::Cas { expected, value, .. } if is_lost => {
                        finish(began, usize::MAX, Step::Cas { expected, version: None, value }, &mut entries);
                    }
                    step => finish(began, clock, step, &mut entries),
                }
                Phase::Idle
            }
        };
    }
    entries
}

/// A small history, altered more often than not.
pub(super) fn small(rng: &mut Rng) -> Vec<Entry<Step>> {
    let (calls, processes) = (1 + rng.index(7), 1 + rng.index(4));
    let mut entries = good(rng, calls, processes);
    for _ in 0..rng.below(3) {
        alter(rng, &mut entries);
    }
    entries
}

/// The ways in which [`alter`] makes a good history bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Change {
    Swap,
    Drop,
    Alter,
    Move,
}

/// Changes one thing, if the chosen call has it.
pub(super) fn alter(rng: &mut Rng, entries: &mut Vec<Entry<Step>>) -> Option<Change> {
    if entries.is_empty() {
        return None;
    }
    let (place, other) = (rng.index(entries.len()), rng.index(entries.len()));
    Some(match rng.below(4) {
        0 => {
            // Two calls change what they did, at their times.
            if entries[place].ended == usize::MAX || entries[other].ended == usize::MAX || place == other {
                return None;
            }
            let step = entries[place].step.clone();
            entries[place].step = std::mem::replace(&mut entries[other].step, step);
            Change::Swap
        }
        1 => {
            entries.swap_remove(place);
            Change::Drop
        }
        2 => {
            let by = if rng.chance(0.5) { 1 } else { -1 };
            match &mut entries[place].step {
                Step::Read { version, .. } if rng.chance(0.5) => *version += by,
                Step::Read { value, .. } => *value = Value::Int((super::number(value) + by).max(1)),
                Step::Write { version: Some(version), .. } | Step::Cas { version: Some(version), .. } => *version += by,
                Step::Refused { expected } => *expected += by,
                Step::Cas { expected, .. } => *expected += by,
                Step::Write { .. } => return None,
            }
            Change::Alter
        }
        _ => {
            // The call is made earlier or later than it was, by an odd distance of half places: no two lines at one place.
            if entries[place].ended == usize::MAX {
                return None;
            }
            spread(entries);
            let length = entries[place].ended - entries[place].began;
            let last = entries.iter().map(|entry| if entry.ended == usize::MAX { entry.began } else { entry.ended }).max().unwrap_or(0);
            let began = rng.index(last / 4 + 1) * 4 + 1;
            entries[place].began = began;
            entries[place].ended = began + (length / 4) * 4 + 2;
            Change::Move
        }
    })
}

/// Leaves room between places.
fn spread(entries: &mut [Entry<Step>]) {
    let mut places: Vec<usize> = entries.iter().flat_map(|entry| [entry.began, entry.ended]).filter(|place| *place != usize::MAX).collect();
    places.sort_unstable();
    let at = |place: usize| if place == usize::MAX { place } else { places.partition_point(|other| *other < place) * 4 };
    for entry in entries.iter_mut() {
        (entry.began, entry.ended) = (at(entry.began), at(entry.ended));
    }
}

/// For the message of a failed proof.
pub(super) fn show(entries: &[Entry<Step>]) -> String {
    let mut sorted: Vec<_> = entries.iter().collect();
    sorted.sort_by_key(|entry| entry.began);
    sorted.iter().fold(String::new(), |mut text, entry| {
        let ended = if entry.ended == usize::MAX { "never".to_owned() } else { entry.ended.to_string() };
        let _ = writeln!(text, "  {:>4} to {ended:>5}: {:?}", entry.began, entry.step);
        text
    })
}
