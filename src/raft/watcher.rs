//! Watches openraft: publishes this node's status, makes voters of learners that have caught up, and ends the process when
//! openraft has died. Its metrics do not say so: the sign is that their channel closes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use openraft::Instant;
use openraft::RaftMetrics;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::{ChangeMembers, ServerState};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::adapter::StateMachine;
use super::contact::{Heard, RoundTrips, contacts};
use super::fatal::stop_process;
use super::left_over::LeftOver;
use super::membership::{is_halfway, is_settled};
use super::removal::Removal;
use super::types::Types;
use super::{Peer, RaftStatus, metrics};
use crate::types::{Index, NodeId, Term};

/// A learner that lacks no more entries than this has caught up.
const CAUGHT_UP_ENTRIES: u64 = 500;

/// How long nothing is tried after a learner could not be made a voter.
const PROMOTE_PAUSE: Duration = Duration::from_millis(200);

/// How often what a leader knows of its followers becomes numbers.
const MEASURE_EVERY: Duration = Duration::from_secs(1);

/// A leader that no majority has answered for so many leases is none that anyone should ask.
const LEASES_WITHOUT_QUORUM: u32 = 4;

/// A leader that has not been heard for so many leases is none that anyone should be sent to, nor one that was not heard since this node
/// started. Where nobody can be elected, openraft goes on naming the last one.
const LEASES_UNHEARD: u32 = 8;

/// Starts watching.
pub fn spawn(
    raft: openraft::Raft<Types, StateMachine>,
    me: NodeId,
    folder: PathBuf,
    told_removed: watch::Receiver<bool>,
    heir: watch::Receiver<Option<NodeId>>,
    closing: Arc<AtomicBool>,
    lease: Duration,
    round_trips: RoundTrips,
    heard: Arc<Heard>,
) -> (watch::Receiver<RaftStatus>, JoinHandle<()>) {
    // Once a member, a node that is in the membership no longer was removed; before, it is on its way in.
    let was_member = folder.join(MEMBER).exists();
    let removal = Removal::kept_in(&folder);
    let first = {
        let metrics = raft.metrics();
        let now = metrics.borrow_watched();
        status_of(&now, me, false, false, was_member, removal.holds(&now))
    };
    let (publish, status) = watch::channel(first);
    let task =
        tokio::spawn(watch_metrics(raft, me, folder, was_member, removal, told_removed, heir, closing, publish, lease, round_trips, heard));
    (status, task)
}

/// There once this node was a member.
const MEMBER: &str = "member";
async fn watch_metrics(
    raft: openraft::Raft<Types, StateMachine>,
    me: NodeId,
    folder: PathBuf,
    mut was_member: bool,
    mut removal: Removal,
    mut told_removed: watch::Receiver<bool>,
    mut heir: watch::Receiver<Option<NodeId>>,
    closing: Arc<AtomicBool>,
    publish: watch::Sender<RaftStatus>,
    lease: Duration,
    round_trips: RoundTrips,
    heard: Arc<Heard>,
) {
    let mut changes = raft.metrics();
    let mut promoting: Option<JoinHandle<()>> = None;
    let mut left_over = LeftOver::default();
    let mut part = ServerState::Learner;
    let mut is_told = false;
    let (mut measured, mut led, mut candidate_since) = (None, BTreeSet::new(), None);
    loop {
        let now = changes.borrow_watched().clone();
        if let Err(fatal) = &now.running_state
            && !closing.load(Ordering::Acquire)
            && !bug!(13)
        {
            stop_process("run raft", fatal);
        }
        if std::mem::take(&mut is_told) {
            removal.told(&folder, &now);
        }
        let is_leader = now.state == ServerState::Leader && has_quorum(&now, lease);
        let is_heard = heard.ago().is_some_and(|ago| ago < lease * LEASES_UNHEARD);
        let mut status = status_of(&now, me, is_leader, is_heard, was_member, removal.holds(&now));
        status.heir = heir.borrow_and_update().filter(|_| is_leader);
        if !was_member && status.peers.iter().any(|peer| peer.id == me) {
            was_member = true;
            if let Err(error) = std::fs::write(folder.join(MEMBER), b"") {
                tracing::warn!(%error, "it could not be noted that this node is a member");
            }
        }
        metrics::standing(status.committed.0, status.applied.0, status.peers.len());
        if measured.is_none_or(|at: std::time::Instant| at.elapsed() >= MEASURE_EVERY) {
            measured = Some(std::time::Instant::now());
            let names: BTreeMap<NodeId, String> = status.peers.iter().map(|peer| (peer.id, peer.member.name.clone())).collect();
            let acked = now.last_quorum_acked.as_ref().filter(|_| is_leader).map(|acked| acked.elapsed());
            metrics::followers(&contacts(&now, &round_trips, &heard), acked, &names, &mut led);
        }
        if now.state != part {
            part = now.state;
            match part {
                ServerState::Candidate => candidate_since = Some(std::time::Instant::now()),
                _ => candidate_since.take().into_iter().for_each(|since| metrics::elected(since.elapsed())),
            }
            let name = match part {
                ServerState::Leader => "leader",
                ServerState::Candidate => "candidate",
                ServerState::Follower => "follower",
                ServerState::Learner => "learner",
                ServerState::Shutdown => "shutdown",
            };
            tracing::info!(part = name, term = status.term.0, leader = ?status.leader, "this node's part in the raft group changed");
            metrics::became(name);
        }
        let is_left_over = left_over.is_so(&now, tokio::time::Instant::now());
        if promoting.as_ref().is_none_or(JoinHandle::is_finished) {
            let next = if is_left_over { Some(Next::Finish) } else { ripe_learner(&now).map(Next::Promote) };
            promoting = next.map(|next| tokio::spawn(change_voters(raft.clone(), next)));
        }
        publish.send_if_modified(|published| {
            let is_new = *published != status;
            *published = status;
            is_new
        });
        let has_ended = tokio::select! {
            changed = changes.changed() => changed.is_err(),
            // Time alone takes a leader's majority away, and a follower's leader.
            () = tokio::time::sleep(lease) => false,
            // The network that tells lives as long as the core.
            Ok(()) = told_removed.changed() => {
                is_told = true;
                false
            }
            // Whoever names heirs does so for good.
            Ok(()) = heir.changed() => false,
        };
        if has_ended {
            if closing.load(Ordering::Acquire) || bug!(13) {
                return;
            }
            stop_process("run raft", &"its core has ended");
        }
    }
}

/// `is_leader`: this node leads, with a majority; `is_heard`: another one that leads was heard lately.
fn status_of(
    metrics: &RaftMetrics<Types>,
    me: NodeId,
    is_leader: bool,
    is_heard: bool,
    was_member: bool,
    told_removed: bool,
) -> RaftStatus {
    // What is committed: a change that is only under way may never happen. While voters change, only those of both sets count.
    let membership = metrics.committed_membership_config.membership();
    let votes = |id: &u64| membership.get_joint_config().iter().all(|voters| voters.contains(id));
    let mut peers: Vec<Peer> =
        membership.nodes().map(|(id, seat)| Peer { id: NodeId(*id), member: seat.member.clone(), is_voter: votes(id) }).collect();
    peers.sort_by(|a, b| a.member.name.cmp(&b.member.name).then(a.id.cmp(&b.id)));
    let is_member = metrics.membership_config.membership().get_node(&me.0).is_some() && !told_removed;
    RaftStatus {
        id: me,
        leader: metrics.current_leader.map(NodeId).filter(|leader| if *leader == me { is_leader } else { is_heard }),
        is_leader,
        term: Term(metrics.current_term),
        committed: Index(metrics.cluster_committed.map_or(0, |id| id.index)),
        applied: Index(metrics.last_applied.map_or(0, |id| id.index)),
        is_removed: was_member && !is_member && !peers.is_empty(),
        heir: None,
        is_halfway: is_halfway(metrics),
        peers,
    }
}

/// Whether a majority has answered this leader lately. openraft lets a leader that is cut off go on calling itself one.
fn has_quorum(metrics: &RaftMetrics<Types>, lease: Duration) -> bool {
    let voters = metrics.membership_config.membership().voter_ids().count();
    voters <= 1 || metrics.last_quorum_acked.is_none_or(|acked| acked.elapsed() < lease * if bug!(4) { 10 } else { LEASES_WITHOUT_QUORUM })
}

/// A learner that is meant to vote and has caught up, if this node leads and may change the membership.
fn ripe_learner(metrics: &RaftMetrics<Types>) -> Option<u64> {
    let replication = metrics.replication.as_ref()?;
    let membership = metrics.membership_config.membership();
    if metrics.state != ServerState::Leader || !is_settled(metrics) {
        return None;
    }
    let last = metrics.last_log_index.unwrap_or(0);
    let voters: std::collections::BTreeSet<u64> = membership.voter_ids().collect();
    membership.nodes().find_map(|(id, seat)| {
        let matched = replication.get(id).copied().flatten().map(|id| id.index)?;
        let is_ripe = seat.wants_vote && !voters.contains(id) && matched + CAUGHT_UP_ENTRIES >= last;
        is_ripe.then_some(*id)
    })
}

/// What is to be done about the voters.
#[derive(Clone, Copy)]
enum Next {
    /// The second entry of a change that another leader began: the newer set alone.
    Finish,
    /// This learner is to vote.
    Promote(u64),
}

async fn change_voters(raft: openraft::Raft<Types, StateMachine>, next: Next) {
    let (added, keeps_former) = match next {
        Next::Finish => (BTreeSet::new(), false),
        Next::Promote(learner) => (BTreeSet::from([learner]), true),
    };
    match (raft.change_membership(ChangeMembers::AddVoterIds(added), keeps_former).await, next) {
        (Ok(_), Next::Finish) => tracing::info!("a change of voters that another leader began is finished"),
        (Ok(_), Next::Promote(learner)) => tracing::info!(peer = %NodeId(learner), "a peer has caught up and votes from now on"),
        (Err(error), next) => {
            match next {
                Next::Finish => tracing::warn!(%error, "a change of voters that another leader began could not be finished"),
                Next::Promote(learner) => {
                    tracing::warn!(peer = %NodeId(learner), %error, "a peer has caught up but could not become a voter");
                }
            }
            // A leader that is handing over refuses at once, and each try changes its metrics: without a pause, two tasks would do nothing else.
            tokio::time::sleep(PROMOTE_PAUSE).await;
        }
    }
}
