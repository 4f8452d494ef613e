//! Changes of voters that were left halfway.
//!
//! A change takes two entries, and the second is for the same leader to propose. If it leads no more by then, majorities of both sets of
//! voters are needed from then on: one node less can be missing, a new node never votes, and nobody says so. The next leader finishes it.

use std::time::Duration;

use openraft::{RaftMetrics, ServerState};
use tokio::time::Instant;

use super::membership::is_settled;
use super::types::{LogId, Types};

/// A second entry that is not proposed for so long is nobody's any more.
const LEFT_OVER_AFTER: Duration = Duration::from_secs(2);

/// Since when the voters have been halfway, and since which entry.
#[derive(Default)]
pub(super) struct LeftOver(Option<(Option<LogId>, Instant)>);

impl LeftOver {
    /// Whether this node leads, and the voters have been in the midst of one change for longer than that takes.
    pub(super) fn is_so(&mut self, metrics: &RaftMetrics<Types>) -> bool {
        let membership = &metrics.membership_config;
        let is_halfway = membership.membership().get_joint_config().len() > 1;
        if metrics.state != ServerState::Leader || !is_settled(metrics) || !is_halfway || bug!(139) {
            self.0 = None;
            return false;
        }
        match self.0 {
            Some((id, since)) if id == *membership.log_id() => since.elapsed() > LEFT_OVER_AFTER,
            _ => {
                self.0 = Some((*membership.log_id(), Instant::now()));
                false
            }
        }
    }
}
