//! Changes of voters that were left halfway.
//!
//! A change takes two entries, and the second is for the same leader to propose. If it leads no more by then, majorities of both sets of
//! voters are needed from then on: one node less can be missing, a new node never votes, and nobody says so. The next leader finishes it.

use std::time::Duration;

use openraft::{RaftMetrics, ServerState};
use tokio::time::Instant;

use super::membership::{is_halfway, is_settled};
use super::types::{LogId, Types};

/// A second entry that is not proposed for so long is nobody's any more.
const LEFT_OVER_AFTER: Duration = Duration::from_secs(2);

/// Since when the voters have been halfway, and since which entry.
#[derive(Default)]
pub(super) struct LeftOver(Option<(Option<LogId>, Instant)>);

impl LeftOver {
    /// Whether this node leads, and the voters have been in the midst of one change for longer than that takes.
    pub(super) fn is_so(&mut self, metrics: &RaftMetrics<Types>, now: Instant) -> bool {
        let membership = &metrics.membership_config;
        if metrics.state != ServerState::Leader || !is_settled(metrics) || !is_halfway(metrics) || bug!(139) {
            self.0 = None;
            return false;
        }
        match self.0 {
            Some((id, since)) if id == *membership.log_id() => now.duration_since(since) > LEFT_OVER_AFTER,
            _ => {
                self.0 = Some((*membership.log_id(), now));
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::sync::Arc;

    use openraft::{Membership, StoredMembership};

    use super::super::types::{Seat, log_id};
    use super::*;

    /// What a leader knows whose newest membership, of `entry`, has these sets of voters.
    fn leads(entry: u64, voters: &[&[u64]]) -> RaftMetrics<Types> {
        let sets: Vec<BTreeSet<u64>> = voters.iter().map(|set| set.iter().copied().collect()).collect();
        let seats: BTreeMap<u64, Seat> = (1..=4).map(|id| (id, Seat::default())).collect();
        let mut now = RaftMetrics::new_initial(1);
        now.state = ServerState::Leader;
        now.membership_config = Arc::new(StoredMembership::new(Some(log_id(2, entry)), Membership::new(sets, seats).unwrap()));
        now.committed_membership_config = now.membership_config.clone();
        now
    }

    #[test]
    fn voters_that_stay_halfway_are_left_over() {
        let (halfway, start) = (leads(7, &[&[1, 2, 3], &[1, 2, 3, 4]]), Instant::now());
        let later = |times: u32| start + (LEFT_OVER_AFTER + Duration::from_millis(1)) * times;
        let mut left_over = LeftOver::default();
        assert!(!left_over.is_so(&halfway, start), "whoever began it may be about to finish it");
        assert!(!left_over.is_so(&halfway, start + LEFT_OVER_AFTER));
        assert!(left_over.is_so(&halfway, later(1)));
        assert!(left_over.is_so(&halfway, later(1)), "until it is finished");
        assert!(!left_over.is_so(&leads(9, &[&[1, 2, 3, 4], &[1, 2, 3]]), later(1)), "that is another change");
        assert!(!left_over.is_so(&leads(10, &[&[1, 2, 3]]), later(2)), "it was finished");
        assert!(!left_over.is_so(&halfway, later(2)), "time begins anew");
    }

    #[test]
    fn only_a_leader_finishes_what_is_committed() {
        let halfway = leads(7, &[&[1, 2, 3], &[1, 2, 3, 4]]);
        let (mut follows, mut under_way) = (halfway.clone(), halfway.clone());
        follows.state = ServerState::Follower;
        under_way.committed_membership_config = leads(6, &[&[1, 2, 3]]).committed_membership_config;
        let start = Instant::now();
        let later = start + LEFT_OVER_AFTER * 2;
        for other in [follows, under_way] {
            let mut left_over = LeftOver::default();
            left_over.is_so(&other, start);
            assert!(!left_over.is_so(&other, later));
            assert!(!left_over.is_so(&halfway, later), "time begins with that");
        }
    }
}
