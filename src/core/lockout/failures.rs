//! What is stored of a name's failed logins, and what one more makes of it.

use serde::{Deserialize, Serialize};

use super::Settings;
use crate::types::Timestamp;

/// What is stored of a name's failures.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Failures {
    pub(super) count: u32,
    /// Locked until then, in milliseconds since the epoch; zero if not.
    locked_until_ms: u64,
    /// Nothing of it counts any more from then on.
    pub(super) ends_ms: u64,
}

impl Failures {
    pub(super) fn is_locked(&self, now: Timestamp) -> bool {
        now.0 < self.locked_until_ms
    }

    /// With one more failure; `None` while locked, because nothing counts then.
    pub(super) fn and_one_more(&self, settings: Settings, now: Timestamp) -> Option<Self> {
        if self.is_locked(now) {
            return None;
        }
        let is_first = self.locked_until_ms > 0 || self.ends_ms <= now.0;
        let count = if is_first { 1 } else { self.count + 1 };
        let after = |secs: u64| now.0.saturating_add(secs.saturating_mul(1000));
        Some(if settings.threshold > 0 && count >= settings.threshold {
            let locked_until_ms = after(settings.duration_secs);
            Self { count, locked_until_ms, ends_ms: locked_until_ms }
        } else {
            Self { count, locked_until_ms: 0, ends_ms: if bug!(176) && !is_first { self.ends_ms } else { after(settings.reset_secs) } }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_near_each_other_add_up_to_a_lock() {
        let settings = Settings { threshold: 2, duration_secs: 10, reset_secs: 5 };
        let fail = |before: &Failures, at_secs: u64| before.and_one_more(settings, Timestamp(at_secs * 1000));
        let once = fail(&Failures::default(), 100).unwrap();
        assert_eq!(once, Failures { count: 1, locked_until_ms: 0, ends_ms: 105_000 });
        assert_eq!(fail(&once, 105).unwrap().count, 1, "too late to be the second");
        let twice = fail(&once, 104).unwrap();
        assert_eq!(twice, Failures { count: 2, locked_until_ms: 114_000, ends_ms: 114_000 });
        assert_eq!(fail(&twice, 113), None, "a lock is not made longer");
        assert_eq!(fail(&twice, 114).unwrap().count, 1);
        let thrice = Settings { threshold: 3, ..settings };
        let late = once.and_one_more(thrice, Timestamp(104_000)).unwrap();
        assert_eq!(late, Failures { count: 2, locked_until_ms: 0, ends_ms: 109_000 }, "each lengthens the time for the next");
        let never = Settings { threshold: 0, ..settings };
        assert_eq!(once.and_one_more(never, Timestamp(104_000)).unwrap().locked_until_ms, 0);
    }
}
