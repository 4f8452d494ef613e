//! Intentions about members, as calls to openraft: join, change of address, removal, handing over.
//!
//! A new peer is a learner first. The leader, whoever that is by then, makes it a voter when it has caught up (`watcher`), so that
//! a peer that never comes does not count in any majority.

use std::collections::BTreeSet;
use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver;
use openraft::errors::{ChangeMembershipError, ClientWriteError, RaftError};
use openraft::{ChangeMembers, Instant as _, RaftMetrics};

use super::MembershipError;
use super::adapter::StateMachine;
use super::types::{Seat, Types};
use crate::types::NodeId;
use crate::types::limits::COMMIT_TIMEOUT;

type Core = openraft::Raft<Types, StateMachine>;

/// Handing over takes milliseconds, or fails.
const HAND_OVER_WAIT: Duration = Duration::from_secs(5);
/// How far behind the furthest voter an heir may be: the first entry of a new leader may not have reached all.
const HEIR_LAG_MAX: u64 = 2;
/// A voter that answered none of so many heartbeats counts as one that is gone. A bad line may take several for one.
const HEARTBEATS_MISSED: u32 = 10;
/// As long, a new leader waits to hear of them.
const HEAR_WAIT: Duration = Duration::from_secs(2);
/// As long, a change that is under way may take to be committed.
const SETTLE_WAIT: Duration = Duration::from_secs(5);
/// Another change, such as a promotion, is waited for this long.
const BUSY_RETRIES: u32 = 50;
const BUSY_PAUSE: Duration = Duration::from_millis(100);

/// Adds a peer, or updates its addresses. Returns when the group has accepted it as a learner.
pub async fn add(raft: &Core, id: NodeId, seat: Seat) -> Result<(), MembershipError> {
    must_lead(raft)?;
    not_halfway(raft).await?;
    let (known, is_learner) = {
        let metrics = raft.metrics();
        let now = metrics.borrow_watched();
        let membership = now.membership_config.membership();
        (membership.get_node(&id.0).cloned(), membership.learner_ids().any(|learner| learner == id.0))
    };
    if is_learner || bug!(12) {
        // It may come back with an empty folder. That is harmless in one that counts in no majority; a voter must be removed first.
        let _ = raft.trigger().allow_next_revert(&id.0, true).await;
    }
    let change = match known {
        Some(known) if known == seat => return must_lead(raft),
        Some(_) => ChangeMembers::SetNodes([(id.0, seat)].into()),
        None => ChangeMembers::AddNodes([(id.0, seat)].into()),
    };
    change_members(raft, change, true).await
}

/// Removes a peer.
pub async fn remove(raft: &Core, id: NodeId) -> Result<(), MembershipError> {
    must_lead(raft)?;
    not_halfway(raft).await?;
    let (is_known, is_voter, voters) = {
        let metrics = raft.metrics();
        let now = metrics.borrow_watched();
        let membership = now.membership_config.membership();
        let voters: BTreeSet<u64> = membership.voter_ids().collect();
        (membership.get_node(&id.0).is_some(), voters.contains(&id.0), voters.len())
    };
    if !is_known {
        let settled = raft.wait(Some(SETTLE_WAIT)).metrics(is_settled, "the membership is committed").await;
        let busy = || MembershipError::Busy("another change of members is not committed yet".to_owned());
        return Err(settled.map_or_else(|_| busy(), |_| MembershipError::Unknown));
    }
    if is_voter && voters == 1 {
        return Err(MembershipError::Busy("the last voter cannot be removed".to_owned()));
    }
    if is_voter {
        leaves_a_majority(raft, id).await?;
    }
    let change = if is_voter { ChangeMembers::RemoveVoters([id.0].into()) } else { ChangeMembers::RemoveNodes([id.0].into()) };
    change_members(raft, change, false).await
}

/// Waits until no change of voters is halfway: whoever is to leave by it counts until then, and would leave though he has joined anew.
async fn not_halfway(raft: &Core) -> Result<(), MembershipError> {
    let is_whole = |now: &RaftMetrics<Types>| !now.state.is_leader() || !is_halfway(now);
    let found = raft.wait(Some(SETTLE_WAIT)).metrics(is_whole, "no change of voters is halfway").await;
    found.map(drop).map_err(|_| MembershipError::Busy("another change of voters is not finished yet".to_owned()))
}

/// Whether a change of voters has come to its first entry and not to its second.
pub fn is_halfway(now: &RaftMetrics<Types>) -> bool {
    now.membership_config.membership().get_joint_config().len() > 1
}

/// Whether the newest membership is committed: whom it lacks may otherwise be back with the next leader.
pub fn is_settled(now: &RaftMetrics<Types>) -> bool {
    now.membership_config.log_id() == now.committed_membership_config.log_id()
}

/// Whether the voters that answer this leader are a majority of those that there are without `id`.
fn is_majority_without(id: NodeId, within: Duration, now: &RaftMetrics<Types>) -> bool {
    let (left, answering) = voters_without(id, within, now);
    answering > left / 2 || bug!(152) && answering == left / 2
}

/// How many voters there are besides `id`, and how many of them answer this leader.
fn voters_without(id: NodeId, within: Duration, now: &RaftMetrics<Types>) -> (usize, usize) {
    let left: Vec<u64> = now.membership_config.membership().voter_ids().filter(|voter| *voter != id.0).collect();
    let answers = |voter: &&u64| **voter == now.id || has_answered(**voter, within, now);
    (left.len(), left.iter().filter(answers).count())
}

/// Without a voter that answers, those that do may be no majority of the rest: then the change itself could not end, nor any after it.
async fn leaves_a_majority(raft: &Core, id: NodeId) -> Result<(), MembershipError> {
    let within = patience(raft);
    let is_majority = move |now: &RaftMetrics<Types>| is_majority_without(id, within, now);
    let found = raft.wait(Some(HEAR_WAIT)).metrics(is_majority, "a majority without that voter").await;
    found.map(|_| ()).map_err(|_| {
        let (left, answering) = voters_without(id, within, &raft.metrics().borrow_watched());
        MembershipError::Busy(format!(
            "it would leave {left} voters, of which {answering} answer: no majority, so nothing could be written any more; \
             bring the others back, or remove them, first"
        ))
    })
}

/// Hands leadership to `preferred` if it is up to date, or to another voter that is.
pub async fn hand_over(raft: &Core, preferred: Option<NodeId>) -> Result<(), MembershipError> {
    let none = || MembershipError::Busy("no other voter could take over: none answers".to_owned());
    let within = patience(raft);
    // A leader of a moment ago has heard of nobody yet.
    let is_heard = move |now: &RaftMetrics<Types>| !now.state.is_leader() || !reached(within, now).is_empty();
    let now = raft.wait(Some(HEAR_WAIT)).metrics(is_heard, "a voter that could take over").await.map_err(|_| none())?;
    must_lead(raft)?;
    let me = now.id;
    let heir = choose_heir(&reached(within, &now), now.current_term, preferred).ok_or_else(none)?;
    raft.trigger().transfer_leader(heir).await.map_err(|error| MembershipError::Busy(error.to_string()))?;
    let is_moved = move |now: &RaftMetrics<Types>| now.current_leader.is_some_and(|leader| leader != me);
    let moved = raft.wait(Some(HAND_OVER_WAIT)).metrics(is_moved, "another node leads after a transfer").await;
    moved.map(|_| ()).map_err(|_| MembershipError::Busy("no other voter took over in time".to_owned()))
}

/// The other voters that answered this leader `within` so long, and which entry each has last. One that is gone would leave the group
/// without a leader for as long as an election takes.
fn reached(within: Duration, now: &RaftMetrics<Types>) -> Vec<(u64, u64)> {
    let voters: BTreeSet<u64> = now.membership_config.membership().voter_ids().filter(|voter| *voter != now.id).collect();
    let matched = now.replication.iter().flatten().filter_map(|(id, matched)| Some((*id, matched.as_ref()?.index)));
    matched.filter(|(id, _)| voters.contains(id) && has_answered(*id, within, now)).collect()
}

fn has_answered(voter: u64, within: Duration, now: &RaftMetrics<Types>) -> bool {
    let answered = now.heartbeat.as_ref().and_then(|acked| acked.get(&voter).copied().flatten());
    answered.is_some_and(|at| at.elapsed() < within)
}

fn patience(raft: &Core) -> Duration {
    Duration::from_millis(raft.config().heartbeat_interval) * HEARTBEATS_MISSED
}

/// Any voter that is nearly up to date; another one in another term, as the first may have handed leadership back.
fn choose_heir(reached: &[(u64, u64)], term: u64, preferred: Option<NodeId>) -> Option<u64> {
    let furthest = reached.iter().map(|(_, index)| *index).max()?;
    let fit: Vec<u64> = reached.iter().filter(|(_, index)| index + HEIR_LAG_MAX >= furthest).map(|(id, _)| *id).collect();
    if let Some(NodeId(id)) = preferred.filter(|heir| fit.contains(&heir.0)) {
        return Some(id);
    }
    // Terms go up by one at each transfer, also by those of others: taken as they are, their parity could decide.
    let spread = term.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    let place = usize::try_from(spread).unwrap_or(0) % fit.len();
    fit.get(place).copied()
}

fn must_lead(raft: &Core) -> Result<(), MembershipError> {
    if raft.is_leader() { Ok(()) } else { Err(MembershipError::NotLeader) }
}

async fn change_members(raft: &Core, change: ChangeMembers<u64, Seat>, retain: bool) -> Result<(), MembershipError> {
    let mut tries = 0;
    loop {
        let changed = tokio::time::timeout(COMMIT_TIMEOUT, raft.change_membership(change.clone(), retain)).await;
        let error = match changed {
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(error)) => error,
            Err(_) => return Err(MembershipError::Busy("no majority agreed in time".to_owned())),
        };
        match error {
            RaftError::APIError(ClientWriteError::ForwardToLeader(_)) => return Err(MembershipError::NotLeader),
            RaftError::APIError(ClientWriteError::ChangeMembershipError(
                ChangeMembershipError::InProgress(_) | ChangeMembershipError::UncommittedLeaderLog(_),
            )) if tries < BUSY_RETRIES => {
                tries += 1;
                tokio::time::sleep(BUSY_PAUSE).await;
            }
            error => return Err(MembershipError::Busy(error.to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use openraft::alias::InstantOf;
    use openraft::{Membership, StoredMembership};

    use super::super::types::log_id;
    use super::*;

    /// What a leader, 1, knows of the voters 2, 3 and 4 and the learner 5: the last entry of each, and how long ago it answered.
    fn knows(of: &[(u64, Option<u64>, Option<Duration>)]) -> RaftMetrics<Types> {
        let seats: BTreeMap<u64, Seat> = (1..=5).map(|id| (id, Seat::default())).collect();
        let mut now = RaftMetrics::new_initial(1);
        now.membership_config = Arc::new(StoredMembership::new(None, Membership::new(vec![(1..=4).collect()], seats).unwrap()));
        now.replication = Some(of.iter().map(|(id, last, _)| (*id, last.map(|index| log_id(2, index)))).collect());
        let at = |ago: Duration| (InstantOf::<Types>::now() - ago).into();
        now.heartbeat = Some(of.iter().map(|(id, _, ago)| (*id, ago.map(at))).collect());
        now
    }

    #[test]
    fn only_voters_that_answered_a_moment_ago_are_reached() {
        let (recent, old) = (Some(Duration::ZERO), Some(Duration::from_secs(9)));
        let within = Duration::from_secs(4);
        let now = knows(&[(1, Some(7), recent), (2, Some(7), recent), (3, Some(7), old), (4, Some(6), recent), (5, Some(7), recent)]);
        assert_eq!(reached(within, &now), [(2, 7), (4, 6)], "neither the leader, nor 3, which is gone, nor 5, which has no vote");
        let now = knows(&[(2, None, None), (3, None, recent), (4, Some(6), None)]);
        assert_eq!(reached(within, &now), [], "a leader that was just elected has heard of nobody");
    }

    #[test]
    fn half_of_the_voters_that_are_left_is_no_majority() {
        let (recent, old, within) = (Some(Duration::ZERO), Some(Duration::from_secs(9)), Duration::from_secs(4));
        let answering = |third, fourth| knows(&[(2, None, recent), (3, None, third), (4, None, fourth)]);
        for (third, fourth, is_majority) in [(recent, recent, true), (recent, old, true), (old, recent, true), (old, old, false)] {
            assert_eq!(is_majority_without(NodeId(2), within, &answering(third, fourth)), is_majority);
        }
        // Whoever is no voter leaves all four, of whom two are half.
        assert!(!is_majority_without(NodeId(5), within, &answering(old, old)));
        assert!(is_majority_without(NodeId(5), within, &answering(recent, old)));
    }

    #[test]
    fn an_heir_is_up_to_date_and_not_always_the_same() {
        assert_eq!(choose_heir(&[], 1, None), None);
        assert_eq!(choose_heir(&[(2, 10), (3, 50)], 1, None), Some(3));
        assert_eq!(choose_heir(&[(2, 10), (3, 50)], 1, Some(NodeId(2))), Some(3), "the preferred one lacks entries");
        assert!((1..20).all(|term| choose_heir(&[(2, 50), (3, 49)], term, Some(NodeId(3))) == Some(3)));
        let heirs =
            |first: u64, step: usize| (first..first + 20).step_by(step).filter_map(|term| choose_heir(&[(2, 50), (3, 49)], term, None));
        for (first, step) in [(1, 1), (1, 2), (2, 2), (1, 3)] {
            assert!(heirs(first, step).any(|heir| heir == 2) && heirs(first, step).any(|heir| heir == 3), "from {first} by {step}");
        }
    }
}
