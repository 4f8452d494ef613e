//! Challenges that wait for their answers. Pure, and bounded: strangers can ask for them.

use std::collections::BTreeMap;

use tokio::time::Instant;

use crate::types::Secret;
use crate::types::limits::{JOIN_CHALLENGE_LIFE, JOIN_CHALLENGES_MAX};

/// What was asked of whom, and when.
#[derive(Debug, Default)]
pub(super) struct Challenges(BTreeMap<String, (Secret<Vec<u8>>, Instant)>);

/// How an answer was judged.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is right.
    Right,
    /// It is wrong: the challenge is used up all the same.
    Wrong,
    /// There is no such challenge, or no longer.
    Unexpected,
}

impl Challenges {
    /// Expects `answer` of `server_id` from now on. The oldest gives way where there are too many.
    pub(super) fn expect(&mut self, server_id: &str, answer: Secret<Vec<u8>>, now: Instant) {
        self.0.retain(|_, (_, at)| now.saturating_duration_since(*at) < JOIN_CHALLENGE_LIFE);
        if !self.0.contains_key(server_id) && self.0.len() >= JOIN_CHALLENGES_MAX {
            let oldest = self.0.iter().min_by_key(|(_, (_, at))| *at).map(|(id, _)| id.clone());
            oldest.map(|id| self.0.remove(&id));
        }
        self.0.insert(server_id.to_owned(), (answer, now));
    }

    /// Judges the answer of `server_id`, once.
    pub(super) fn judge(&mut self, server_id: &str, answer: &[u8], now: Instant) -> Verdict {
        let Some((expected, at)) = self.0.remove(server_id) else { return Verdict::Unexpected };
        if now.saturating_duration_since(at) >= JOIN_CHALLENGE_LIFE {
            return Verdict::Unexpected;
        }
        if expected.same_as(answer) { Verdict::Right } else { Verdict::Wrong }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn answer(byte: u8) -> Secret<Vec<u8>> {
        Secret::new(vec![byte; 16])
    }

    #[test]
    fn an_answer_is_judged_once() {
        let (mut challenges, now) = (Challenges::default(), Instant::now());
        challenges.expect("a", answer(1), now);
        assert_eq!(challenges.judge("b", &[1; 16], now), Verdict::Unexpected);
        assert_eq!(challenges.judge("a", &[2; 16], now), Verdict::Wrong);
        assert_eq!(challenges.judge("a", &[1; 16], now), Verdict::Unexpected);
        challenges.expect("a", answer(1), now);
        assert_eq!(challenges.judge("a", &[1; 16], now), Verdict::Right);
    }

    #[test]
    fn challenges_expire() {
        let (mut challenges, now) = (Challenges::default(), Instant::now());
        challenges.expect("a", answer(1), now);
        assert_eq!(challenges.judge("a", &[1; 16], now + JOIN_CHALLENGE_LIFE), Verdict::Unexpected);
    }

    #[test]
    fn strangers_cannot_make_a_node_remember_more_than_its_bound() {
        let (mut challenges, now) = (Challenges::default(), Instant::now());
        for number in 0..10 * JOIN_CHALLENGES_MAX {
            challenges.expect(&format!("{number}"), answer(1), now + Duration::from_millis(number as u64));
        }
        assert_eq!(challenges.0.len(), JOIN_CHALLENGES_MAX);
        let last = format!("{}", 10 * JOIN_CHALLENGES_MAX - 1);
        assert_eq!(challenges.judge(&last, &[1; 16], now + Duration::from_secs(1)), Verdict::Right);
    }
}
