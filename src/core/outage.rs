//! One stretch of time in which something cannot be reached: for how long it has lasted decides whether waiting makes sense.
//!
//! Nobody watches the thing itself, only those who try. A stretch that nobody met with for a while is over: the next failure begins
//! another one.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use tokio::time::Instant;

use crate::types::limits::FAILOVER_PATIENCE;

/// What of `K` cannot be reached, and since when.
#[derive(Debug)]
pub struct Outage<K> {
    stretch: Mutex<Option<Stretch<K>>>,
    /// Whether there is one: asked with every request.
    is_on: AtomicBool,
}

#[derive(Debug)]
struct Stretch<K> {
    of: K,
    since: Instant,
    met: Instant,
}

impl<K> Default for Outage<K> {
    fn default() -> Self {
        Self { stretch: Mutex::new(None), is_on: AtomicBool::new(false) }
    }
}

impl<K: PartialEq> Outage<K> {
    fn stretch(&self) -> MutexGuard<'_, Option<Stretch<K>>> {
        self.stretch.lock().expect("no holder of this lock panics")
    }

    /// `of` could not be reached at `now`. Whether that has lasted longer than a failover takes, so that nobody need wait for one.
    pub fn lasts(&self, of: K, now: Instant) -> bool {
        let mut stretch = self.stretch();
        let since = match &*stretch {
            Some(known) if known.of == of && now.saturating_duration_since(known.met) < FAILOVER_PATIENCE => known.since,
            _ => now,
        };
        *stretch = Some(Stretch { of, since, met: now });
        self.is_on.store(true, Ordering::Relaxed);
        now.saturating_duration_since(since) >= FAILOVER_PATIENCE
    }

    /// It was reached.
    pub fn ends(&self) {
        if self.is_on.load(Ordering::Relaxed) {
            self.is_on.store(false, Ordering::Relaxed);
            *self.stretch() = None;
        }
    }
}

/// Whether something that has been so for `length` has been so for longer than a failover takes.
pub fn outlasts_failover(length: Option<Duration>) -> bool {
    length.is_some_and(|length| length >= FAILOVER_PATIENCE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_lasts_when_it_is_met_with_all_along() {
        let outage = Outage::default();
        let start = Instant::now();
        let at = |secs: u64| start + Duration::from_secs(secs);
        for secs in 0..6 {
            assert!(!outage.lasts("a", at(secs)), "{secs}");
        }
        assert!(outage.lasts("a", at(6)));
        assert!(outage.lasts("a", at(11)));
        assert!(!outage.lasts("b", at(11)), "another one may be taking over");
        assert!(!outage.lasts("b", at(17)), "nobody met with it for so long: it may have been over meanwhile");
        assert!(!outage.lasts("b", at(22)));
        assert!(outage.lasts("b", at(23)));
        outage.ends();
        assert!(!outage.lasts("b", at(24)));
    }
}
