//! How many more names may be remembered: counted in storage now and then, and down from there.
//!
//! Rows that went away meanwhile are noticed at the next count only, so the bound holds without a counter that every failed login
//! would have to write.

use std::sync::Mutex;

use crate::barrier::{BarrierError, Txn};
use crate::core::keys;
use crate::types::Timestamp;

/// How long a count that found no room is believed, in milliseconds.
const COUNT_AGAIN_MS: u64 = 10_000;

/// Room for names.
#[derive(Debug)]
pub(super) struct Room(Mutex<Counted>);

#[derive(Debug)]
struct Counted {
    most: usize,
    left: usize,
    at: Option<Timestamp>,
}

impl Room {
    pub(super) fn new(most: usize) -> Self {
        Self(Mutex::new(Counted { most, left: 0, at: None }))
    }

    /// Takes the place of one name that has none yet. Whoever then does not commit has wasted it until the next count.
    pub(super) fn take(&self, txn: &Txn, now: Timestamp) -> Result<bool, BarrierError> {
        let mut counted = self.0.lock().expect("no holder of this lock panics");
        if counted.left == 0 && counted.at.is_none_or(|at| now.0.abs_diff(at.0) >= COUNT_AGAIN_MS) {
            let most = counted.most;
            counted.left = most.saturating_sub(txn.stored_paths(&keys::lockouts_seen(), None, most)?.len());
            counted.at = Some(now);
            if counted.left == 0 {
                tracing::warn!(most, "too many names fail to log in: new ones that nobody has are not remembered");
            }
        }
        let has_room = counted.left > 0;
        counted.left = counted.left.saturating_sub(1);
        Ok(has_room)
    }

    /// Forgets the count: this node becomes active, and others have written meanwhile.
    pub(super) fn forget(&self) {
        let mut counted = self.0.lock().expect("no holder of this lock panics");
        (counted.left, counted.at) = (0, None);
    }

    #[cfg(test)]
    pub(super) fn shrink(&self, most: usize) {
        *self.0.lock().unwrap() = Counted { most, left: 0, at: None };
    }
}
