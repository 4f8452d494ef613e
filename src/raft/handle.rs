//! A running member of the group, as the layers above hold it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use openraft::ReadPolicy;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::errors::{ClientWriteError, ForwardReason, InitializeError, RaftError};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::adapter::StateMachine;
use super::contact::{Heard, RoundTrips, contacts};
use super::log::LogControl;
use super::log_thread::LogCounts;
use super::proposals::{Ended, Proposals};
use super::receiver::Gated;
use super::transport::Receiver;
use super::types::{Payload, Seat, Types};
use super::{CommitError, Consensus, Contacts, Member, MembershipError, NotFresh, RaftStatus, membership, metrics};
use crate::machine::{Command, Outcome, encode_command};
use crate::pool::off_thread;
use crate::storage::Physical;
use crate::types::NodeId;
use crate::types::limits::{BATCH_BYTES_MAX, COMMIT_TIMEOUT, ENTRY_OVERHEAD_BYTES_MAX};

/// A new group's only node leads at once; this is for a very slow disk.
const BOOTSTRAP_WAIT: Duration = Duration::from_secs(10);
/// A leader waits this long for its lease before it refuses a write.
const LEASE_WAIT: Duration = Duration::from_millis(500);
const LEASE_PAUSE: Duration = Duration::from_millis(10);
/// A leader that cannot reach its followers for so long cannot prove anything.
const READ_WAIT: Duration = Duration::from_secs(5);
/// How long planted bug 4 trusts a proof.
#[cfg(feature = "chaos")]
const PROOF_TRUSTED: Duration = Duration::from_secs(10);

/// A running member of a Raft group.
pub struct Raft {
    raft: openraft::Raft<Types, StateMachine>,
    proposals: Proposals,
    log: LogControl,
    store: Arc<dyn Physical>,
    receiver: Arc<Gated>,
    round_trips: RoundTrips,
    heard: Arc<Heard>,
    status: watch::Receiver<RaftStatus>,
    closing: Arc<AtomicBool>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
    /// When a lease was found good last: planted bug 4 goes on trusting it.
    #[cfg(feature = "chaos")]
    proved: Mutex<tokio::time::Instant>,
}

impl Raft {
    pub(super) fn new(
        raft: openraft::Raft<Types, StateMachine>,
        log: LogControl,
        store: Arc<dyn Physical>,
        receiver: Arc<Gated>,
        round_trips: RoundTrips,
        status: watch::Receiver<RaftStatus>,
        closing: Arc<AtomicBool>,
        tasks: Vec<JoinHandle<()>>,
    ) -> Self {
        let heard = receiver.heard.clone();
        Self {
            proposals: Proposals::to(raft.clone()),
            raft,
            log,
            store,
            receiver,
            round_trips,
            heard,
            status,
            closing,
            tasks: Mutex::new(tasks),
            #[cfg(feature = "chaos")]
            proved: Mutex::new(tokio::time::Instant::now()),
        }
    }

    /// What the cluster listener hands incoming Raft messages to.
    pub fn receiver(&self) -> Arc<dyn Receiver> {
        self.receiver.clone()
    }

    /// How much the log has written and synced.
    pub fn log_counts(&self) -> &LogCounts {
        &self.log.counts
    }

    /// openraft's own metrics, for a checker.
    #[cfg(feature = "chaos")]
    pub fn metrics_in_words(&self) -> String {
        self.raft.metrics().borrow_watched().to_string()
    }

    /// Where this node's log and state begin and end.
    #[cfg(feature = "sim")]
    pub fn indexes(&self) -> super::Indexes {
        let metrics = self.raft.metrics();
        let now = metrics.borrow_watched();
        let index = |id: Option<super::types::LogId>| id.map_or(0, |id| id.index);
        super::Indexes {
            purged: index(now.purged),
            snapshot: index(now.snapshot),
            applied: index(now.last_applied),
            last: now.last_log_index.unwrap_or(0),
        }
    }

    async fn end(&self) {
        self.closing.store(true, Ordering::Release);
        // It only fails if the core has ended already.
        let _ = self.raft.shutdown().await;
        for task in self.tasks.lock().expect("no holder of this lock panics").drain(..) {
            task.abort();
        }
    }

    /// Ends as if the machine had died: what the log has not written is lost.
    #[cfg(test)]
    pub(super) async fn crash(&self) {
        self.log.pull_the_plug();
        self.end().await;
    }

    #[cfg(test)]
    pub(super) fn openraft(&self) -> &openraft::Raft<Types, StateMachine> {
        &self.raft
    }
}

impl Drop for Raft {
    fn drop(&mut self) {
        // Whoever lets go of the group has no more use for it: that its core ends after this is no failure.
        self.closing.store(true, Ordering::Release);
    }
}

#[async_trait]
impl Consensus for Raft {
    async fn propose(&self, command: &Command) -> Result<Outcome, CommitError> {
        let bytes = encode_command(command);
        let len = bytes.len();
        if len > BATCH_BYTES_MAX + ENTRY_OVERHEAD_BYTES_MAX {
            return Err(CommitError::TooLarge { bytes: len });
        }
        let began = Instant::now();
        let written = loop {
            let written = timeout(COMMIT_TIMEOUT, self.proposals.write(Payload(bytes.clone()))).await;
            // A leader without a lease has appended nothing, and usually has one in a moment: it was just elected.
            match &written {
                Ok(Ok(Err(ClientWriteError::ForwardToLeader(to))))
                    if to.reason == ForwardReason::LeaseExpired && began.elapsed() < LEASE_WAIT =>
                {
                    tokio::time::sleep(LEASE_PAUSE).await;
                }
                _ => break written,
            }
        };
        match written {
            Ok(Ok(Ok(written))) => {
                metrics::committed(began.elapsed(), len);
                // Without an outcome the entry was not a command of ours, which cannot be; saying "unknown" is never wrong.
                written.data.outcome.ok_or(CommitError::Unknown)
            }
            // Refused before it was appended. Any other error, or none in time, leaves it open whether it commits.
            Ok(Ok(Err(ClientWriteError::ForwardToLeader(to)))) => {
                let leader = to.leader_id.map(NodeId).filter(|leader| leader.0 != *self.raft.node_id());
                Err(CommitError::NotLeader { leader })
            }
            Ok(Ok(Err(ClientWriteError::LogEntryDiscarded(to)))) if bug!(141) => {
                Err(CommitError::NotLeader { leader: to.leader_id.map(NodeId) })
            }
            Ok(Ok(Err(_))) if bug!(112) => Ok(Outcome::Committed(self.store.positions())),
            Ok(Ok(Err(error))) => {
                tracing::warn!(%error, "the outcome of an entry is not known");
                Err(CommitError::Unknown)
            }
            Ok(Err(Ended)) | Err(_) => Err(CommitError::Unknown),
        }
    }

    async fn read_barrier(&self) -> Result<(), NotFresh> {
        metrics::verified();
        if bug!(3) && self.status.borrow().is_leader {
            return Ok(());
        }
        #[cfg(feature = "chaos")]
        if bug!(4) && self.status.borrow().is_leader && self.proved.lock().is_ok_and(|at| at.elapsed() < PROOF_TRUSTED) {
            return Ok(());
        }
        #[cfg(feature = "chaos")]
        if bug!(42) {
            for policy in [ReadPolicy::LeaseRead, ReadPolicy::ReadIndex] {
                if matches!(timeout(READ_WAIT, self.raft.get_read_linearizer(policy)).await, Ok(Ok(_))) {
                    return Ok(());
                }
            }
        }
        match timeout(READ_WAIT, self.raft.ensure_linearizable(ReadPolicy::LeaseRead)).await {
            Ok(Ok(_)) => {
                #[cfg(feature = "chaos")]
                self.proved.lock().expect("no holder of this lock panics").clone_from(&tokio::time::Instant::now());
                return Ok(());
            }
            // The lease has lapsed or is not there yet: ask the followers, unless another node is known to lead.
            Ok(Err(_)) if self.status.borrow().leader.is_none_or(|leader| leader.0 == *self.raft.node_id()) => {}
            _ => return Err(NotFresh),
        }
        match timeout(READ_WAIT, self.raft.ensure_linearizable(ReadPolicy::ReadIndex)).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(NotFresh),
        }
    }

    fn status(&self) -> watch::Receiver<RaftStatus> {
        self.status.clone()
    }

    fn contacts(&self) -> Contacts {
        contacts(&self.raft.metrics().borrow_watched(), &self.round_trips, &self.heard)
    }

    async fn bootstrap(&self, me: Member) -> Result<(), MembershipError> {
        let members = BTreeMap::from([(*self.raft.node_id(), Seat { member: me, wants_vote: true })]);
        match self.raft.initialize(members).await {
            Ok(()) => {}
            Err(RaftError::APIError(InitializeError::NotAllowed(_))) => return Ok(()),
            Err(error) => return Err(MembershipError::Busy(error.to_string())),
        }
        let led = self.raft.wait(Some(BOOTSTRAP_WAIT));
        let led = led.state(openraft::ServerState::Leader, "a new group's only node leads").await;
        led.map(|_| ()).map_err(|error| MembershipError::Busy(error.to_string()))
    }

    async fn add_peer(&self, id: NodeId, member: Member, voter: bool) -> Result<(), MembershipError> {
        membership::add(&self.raft, id, Seat { member, wants_vote: voter }).await
    }

    async fn remove_peer(&self, id: NodeId) -> Result<(), MembershipError> {
        membership::remove(&self.raft, id).await
    }

    async fn hand_over(&self) -> Result<(), MembershipError> {
        let heir = self.status.borrow().heir;
        membership::hand_over(&self.raft, heir).await
    }

    async fn shutdown(&self) {
        self.end().await;
        self.log.stop().await;
        let store = self.store.clone();
        // So that the next start has nothing to replay; if it fails, it replays.
        if let Ok(Err(error)) = off_thread(move || store.flush()).await {
            tracing::warn!(%error, "the state could not be flushed");
        }
    }
}
