//! Until when a copy is known to be whole: lag as time, also while nothing is written. Pure.
//!
//! A mark says "at this time, the primary stood there". Once the copy has reached a mark's place it holds all that the primary had
//! at the mark's time. Both sides keep marks: the secondary of what it applied, the primary of what each secondary acknowledged.

use std::collections::VecDeque;

use crate::types::{Timestamp, WalIndex};

/// Marks that wait to be reached: a minute of heartbeats. Older ones say nothing that newer ones do not say better.
const MARKS_MAX: usize = 64;

/// The marks of one copy.
#[derive(Clone, Debug, Default)]
pub struct Freshness {
    waiting: VecDeque<(Timestamp, WalIndex)>,
    fresh_at: Option<Timestamp>,
    primary_at: WalIndex,
    reached: WalIndex,
}

impl Freshness {
    /// At `now` of the primary's clock, the primary stood at `at`.
    pub fn mark(&mut self, now: Timestamp, at: WalIndex) {
        self.primary_at = at;
        if self.waiting.len() == MARKS_MAX {
            // Thin out the newer half's start, keep the oldest: it is the next to be reached.
            self.waiting.remove(MARKS_MAX / 2);
        }
        self.waiting.push_back((now, at));
        self.settle();
    }

    /// The primary stands at `at`: without a time, as no copy can be asked about it now.
    pub fn stands(&mut self, at: WalIndex) {
        self.primary_at = self.primary_at.max(at);
    }

    /// The copy stands at `at`.
    pub fn reach(&mut self, at: WalIndex) {
        self.reached = at;
        self.settle();
    }

    /// The copy stands at `at`, with a record that the primary committed at `time`: so it holds all that the primary had then. Known
    /// with each record, where marks come once a second.
    pub fn hold(&mut self, at: WalIndex, time: Timestamp) {
        self.reach(at);
        self.fresh_at = self.fresh_at.max(Some(time));
    }

    fn settle(&mut self) {
        while let Some((time, _)) = self.waiting.pop_front_if(|(_, at)| *at <= self.reached) {
            self.fresh_at = self.fresh_at.max(Some(time));
        }
    }

    /// The primary's time up to which the copy is known to be whole; `None` before the first mark was reached.
    pub fn fresh_at(&self) -> Option<Timestamp> {
        self.fresh_at
    }

    /// Where the copy stands.
    pub fn reached(&self) -> WalIndex {
        self.reached
    }

    /// How many records the copy is known to be behind.
    pub fn records_behind(&self) -> u64 {
        if bug!(98) { 0 } else { self.primary_at.0.saturating_sub(self.reached.0) }
    }

    /// How long the copy has been behind, in milliseconds; zero while it is not.
    pub fn lag_ms(&self, now: Timestamp) -> Option<u64> {
        match self.fresh_at {
            _ if self.primary_at.0 > 0 && self.records_behind() == 0 => Some(0),
            Some(fresh_at) => Some(now.0.saturating_sub(fresh_at.0)),
            None => None,
        }
    }

    /// How old the newest reached mark is, in milliseconds: Vault's canary age. Includes the difference of the clocks.
    pub fn age_ms(&self, now: Timestamp) -> Option<u64> {
        self.fresh_at.map(|fresh_at| now.0.saturating_sub(fresh_at.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_as_fresh_as_the_newest_mark_it_reached() {
        let mut copy = Freshness::default();
        assert_eq!(copy.lag_ms(Timestamp(1)), None);
        copy.mark(Timestamp(1000), WalIndex(5));
        copy.mark(Timestamp(2000), WalIndex(9));
        assert_eq!((copy.fresh_at(), copy.records_behind()), (None, 9));
        copy.reach(WalIndex(6));
        assert_eq!((copy.fresh_at(), copy.records_behind()), (Some(Timestamp(1000)), 3));
        assert_eq!(copy.lag_ms(Timestamp(3500)), Some(2500));
        copy.reach(WalIndex(9));
        assert_eq!((copy.lag_ms(Timestamp(3500)), copy.age_ms(Timestamp(3500))), (Some(0), Some(1500)));
        copy.mark(Timestamp(4000), WalIndex(9));
        assert_eq!(copy.age_ms(Timestamp(4001)), Some(1));
    }

    #[test]
    fn a_record_says_how_fresh_a_copy_is_between_two_marks() {
        let mut copy = Freshness::default();
        copy.mark(Timestamp(1000), WalIndex(5));
        copy.reach(WalIndex(5));
        // Three more came in, two are applied.
        copy.stands(WalIndex(8));
        copy.hold(WalIndex(7), Timestamp(1900));
        assert_eq!((copy.records_behind(), copy.lag_ms(Timestamp(1980))), (1, Some(80)));
        // Clocks of two nodes may differ: it does not grow older.
        copy.hold(WalIndex(8), Timestamp(1850));
        assert_eq!((copy.lag_ms(Timestamp(1990)), copy.age_ms(Timestamp(1990))), (Some(0), Some(90)));
    }

    #[test]
    fn marks_are_bounded_and_the_oldest_is_kept() {
        let mut copy = Freshness::default();
        for n in 1..1000 {
            copy.mark(Timestamp(n), WalIndex(n));
        }
        assert_eq!(copy.waiting.len(), MARKS_MAX);
        copy.reach(WalIndex(1));
        assert_eq!(copy.fresh_at(), Some(Timestamp(1)));
    }
}
