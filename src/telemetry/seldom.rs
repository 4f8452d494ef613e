//! What strangers can cause is said once a minute, with how often it went unsaid, so that they cannot fill the log.

use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How often it is said.
const EVERY: Duration = Duration::from_secs(60);

/// When something was said last, and how often it happened since.
#[derive(Debug, Default)]
pub struct Seldom(Mutex<Option<(Instant, u64)>>);

impl Seldom {
    /// Whether it may be said this time, and how often before it was not.
    pub fn may_say(&self, now: Instant) -> Option<u64> {
        let mut said = self.0.lock().expect("no holder of this lock panics");
        match &mut *said {
            Some((at, unsaid)) if now.saturating_duration_since(*at) < EVERY => {
                *unsaid += 1;
                None
            }
            other => Some(other.replace((now, 0)).map_or(0, |(_, unsaid)| unsaid)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_said_once_a_minute() {
        let log = Seldom::default();
        let start = Instant::now();
        let at = |secs| start + Duration::from_secs(secs);
        assert_eq!(log.may_say(at(0)), Some(0));
        for secs in 1..60 {
            assert_eq!(log.may_say(at(secs)), None);
        }
        assert_eq!(log.may_say(at(60)), Some(59));
        assert_eq!(log.may_say(at(61)), None);
    }
}
