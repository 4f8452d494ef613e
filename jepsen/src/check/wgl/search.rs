//! The search itself: linearize the earliest call that the state allows, go back when an answer has no place, and never visit a
//! configuration (what was taken, what it left) twice.
//!
//! Not here: what steps mean (`Model`), keys, verdicts.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use super::Model;

/// One step with its time: it took effect between two places of the history.
#[derive(Debug, Clone)]
pub struct Entry<S> {
    /// After this place.
    pub began: usize,
    /// Before this place; `usize::MAX` if at any time or never.
    pub ended: usize,
    /// What it did.
    pub step: S,
    /// Which call said so: for those who made the entry.
    pub source: usize,
}

/// How long to search.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Most steps tried. Each may be remembered: a few hundred bytes, more for long histories.
    pub steps: u64,
    /// Longest time; none where a run must be the same every time.
    pub time: Option<Duration>,
}

impl Default for Limits {
    /// Five million steps (about a gigabyte for histories of ordinary size) or a minute.
    fn default() -> Limits {
        Limits { steps: 5_000_000, time: Some(Duration::from_secs(60)) }
    }
}

/// What the search found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found<T> {
    /// An order (places in `entries`) that the model allows. Steps that may never have happened are in it only if needed.
    Order(Vec<usize>),
    /// There is none: the history up to place `at`, where `blocked` ends, has no order, and without that line it has.
    Stuck {
        /// Place in the history.
        at: usize,
        /// Place in `entries`.
        blocked: usize,
        /// What the best order before it leaves.
        state: T,
    },
    /// It took too long.
    GaveUp {
        /// Steps tried.
        steps: u64,
    },
}

#[derive(Clone, Copy)]
enum Event {
    Call(usize),
    Return(usize),
}

/// Events in the order of their places, as a list from which calls are lifted once they are linearized. Node 0 is before the first.
struct Events {
    events: Vec<Event>,
    next: Vec<usize>,
    previous: Vec<usize>,
    /// By entry: its return.
    returns: Vec<Option<usize>>,
}

impl Events {
    fn new<S>(entries: &[Entry<S>]) -> Events {
        let mut placed: Vec<(usize, Event)> = Vec::with_capacity(entries.len() * 2);
        for (number, entry) in entries.iter().enumerate() {
            placed.push((entry.began, Event::Call(number)));
            if entry.ended != usize::MAX {
                placed.push((entry.ended, Event::Return(number)));
            }
        }
        placed.sort_by_key(|(place, _)| *place);
        let count = placed.len();
        let mut returns = vec![None; entries.len()];
        let mut events = vec![Event::Call(usize::MAX)];
        for (node, (_, event)) in placed.into_iter().enumerate() {
            if let Event::Return(number) = event {
                returns[number] = Some(node + 1);
            }
            events.push(event);
        }
        // The end of the list is node `count + 1`, so that nothing is a special case.
        Events { events, next: (1..=count + 2).collect(), previous: (0..=count + 1).map(|node| node.saturating_sub(1)).collect(), returns }
    }
    fn first(&self) -> usize {
        self.next[0]
    }
    fn get(&self, node: usize) -> Option<Event> {
        self.events.get(node).copied()
    }
    fn unlink(&mut self, node: usize) {
        let (previous, next) = (self.previous[node], self.next[node]);
        self.next[previous] = next;
        self.previous[next] = previous;
    }
    fn relink(&mut self, node: usize) {
        let (previous, next) = (self.previous[node], self.next[node]);
        self.next[previous] = node;
        self.previous[next] = node;
    }
}

/// Which entries were taken. Kept so that what is long past costs nothing: those that must be taken come first, in the order of their
/// beginnings, and a full start is only counted.
struct Taken {
    must: Vec<u64>,
    may: Vec<u64>,
    /// By entry: may it be left out, and its bit.
    bit: Vec<(bool, usize)>,
}

impl Taken {
    fn new<S>(entries: &[Entry<S>]) -> Taken {
        let mut order: Vec<usize> = (0..entries.len()).collect();
        order.sort_by_key(|number| entries[*number].began);
        let (mut must, mut may) = (0, 0);
        let mut bit = vec![(false, 0); entries.len()];
        for number in order {
            let is_optional = entries[number].ended == usize::MAX;
            let count = if is_optional { &mut may } else { &mut must };
            bit[number] = (is_optional, *count);
            *count += 1;
        }
        Taken { must: vec![0; must / 64 + 1], may: vec![0; may / 64 + 1], bit }
    }
    fn flip(&mut self, entry: usize) {
        let (is_optional, bit) = self.bit[entry];
        let words = if is_optional { &mut self.may } else { &mut self.must };
        words[bit / 64] ^= 1 << (bit % 64);
    }
    fn key(&self) -> Box<[u64]> {
        let full = self.must.iter().take_while(|word| **word == u64::MAX).count();
        let trimmed = |words: &[u64]| words.len() - words.iter().rev().take_while(|word| **word == 0).count();
        let (must, may) = (trimmed(&self.must).max(full), trimmed(&self.may));
        let mut key = Vec::with_capacity(1 + must - full + may);
        key.push((full as u64) << 32 | (must as u64));
        key.extend_from_slice(&self.must[full..must]);
        key.extend_from_slice(&self.may[..may]);
        key.into_boxed_slice()
    }
}

/// Searches for an order of all entries that ended, and of those others that are needed, which the model allows and real time too.
pub fn search<M: Model>(model: &M, entries: &[Entry<M::Step>], limits: Limits) -> Found<M::State> {
    let started = Instant::now();
    let mut events = Events::new(entries);
    let mut taken = Taken::new(entries);
    let mut seen: HashSet<(Box<[u64]>, M::State)> = HashSet::new();
    let mut path: Vec<(usize, M::State)> = Vec::new();
    let mut state = model.initial();
    let mut stuck: Option<(usize, usize, M::State)> = None;
    let mut steps = 0_u64;
    let mut node = events.first();
    loop {
        match events.get(node) {
            // No answer is left without a place.
            None => {
                let order = path.iter().filter_map(|(node, _)| match events.get(*node) {
                    Some(Event::Call(entry)) => Some(entry),
                    _ => None,
                });
                return Found::Order(order.collect());
            }
            Some(Event::Call(entry)) => {
                steps += 1;
                let out_of_time = || limits.time.is_some_and(|longest| started.elapsed() > longest);
                if steps > limits.steps || (steps.is_multiple_of(4096) && out_of_time()) {
                    return Found::GaveUp { steps };
                }
                let after = model.step(&state, &entries[entry].step);
                // What need not have happened and changes nothing is left out.
                let after = after.filter(|after| events.returns[entry].is_some() || *after != state);
                if let Some(after) = after {
                    taken.flip(entry);
                    if seen.insert((taken.key(), after.clone())) {
                        path.push((node, std::mem::replace(&mut state, after)));
                        events.unlink(node);
                        if let Some(returned) = events.returns[entry] {
                            events.unlink(returned);
                        }
                        node = events.first();
                        continue;
                    }
                    taken.flip(entry);
                }
                node = events.next[node];
            }
            Some(Event::Return(entry)) => {
                let at = entries[entry].ended;
                if stuck.as_ref().is_none_or(|(furthest, ..)| *furthest < at) {
                    stuck = Some((at, entry, state.clone()));
                }
                let Some((back, before)) = path.pop() else {
                    let (at, blocked, state) = stuck.expect("set above at the latest");
                    return Found::Stuck { at, blocked, state };
                };
                if let Some(Event::Call(undone)) = events.get(back) {
                    if let Some(returned) = events.returns[undone] {
                        events.relink(returned);
                    }
                    events.relink(back);
                    taken.flip(undone);
                }
                state = before;
                node = events.next[back];
            }
        }
    }
}
