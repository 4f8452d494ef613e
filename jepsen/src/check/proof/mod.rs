//! Proof that the checkers check: against all permutations, against another search, and on good histories that were made bad.
//!
//! `JEPSEN_PROOF_HISTORIES` says how many small histories; the seed is fixed, so that a failure is found again.

mod appends;
mod brute;
mod families;
mod make;
mod mutations;
mod oracle;
mod plain;

use crate::check::versioned::{Step, Versioned};
use crate::check::wgl::Entry;
use crate::core::Value;

/// How many small histories, unless the environment says otherwise.
const HISTORIES_DEFAULT: u64 = 1_000_000;

fn histories() -> u64 {
    std::env::var("JEPSEN_PROOF_HISTORIES").ok().map_or(HISTORIES_DEFAULT, |count| count.parse().expect("a number of histories"))
}

/// Is this order of entries one that explains the history? A certificate, checked without any search.
fn explains(entries: &[Entry<Step>], order: &[usize]) -> bool {
    let is_whole = (0..entries.len()).all(|place| entries[place].ended == usize::MAX || order.contains(&place));
    let mut latest_begin = 0;
    let keeps_real_time = order.iter().all(|place| {
        // Whoever is taken now must not have ended before one that was taken earlier began.
        let is_in_time = entries[*place].ended > latest_begin;
        latest_begin = latest_begin.max(entries[*place].began);
        is_in_time
    });
    let mut state = (0, 0);
    let follows_the_rules = order.iter().all(|place| brute::apply(state, &entries[*place].step).map(|next| state = next).is_some());
    is_whole && keeps_real_time && follows_the_rules
}

fn number(value: &Value) -> i64 {
    value.as_int().unwrap_or(0)
}

const MODEL: Versioned = Versioned;
