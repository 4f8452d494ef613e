//! The receiving side, with the gate between appends and snapshots.
//!
//! While a snapshot is being installed no entries are accepted, and while entries are unanswered none is installed: openraft forgets
//! log ids at once when it accepts a snapshot, though an apply that needs them may still be under way. A second snapshot is refused
//! at once, so that none pile up. Empty appends pass: they are the heartbeats.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest, VoteRequest};
use tokio::sync::{Mutex as AsyncMutex, Notify, OwnedRwLockReadGuard, RwLock};
use tokio::time::Instant;

use super::adapter::StateMachine;
use super::contact::Heard;
use super::log::LogControl;
use super::metrics;
use super::reach::Reach;
use super::snapshot::{Files, Shelf};
use super::transport::{Call, Receiver};
use super::types::{Snapshot, Types};
use super::wire::{REMOVED, SnapshotHead, decode, decode_append, encode, encode_appended};

/// Answers the other nodes.
pub struct Gated {
    pub raft: openraft::Raft<Types, StateMachine>,
    pub log: LogControl,
    pub shelf: Arc<Shelf>,
    /// Held for reading by each append with entries until it is answered, for writing by an installation.
    pub gate: Arc<RwLock<()>>,
    /// Held by an installation.
    pub installing: AsyncMutex<()>,
    /// Before this moment no vote is given: a leader may still hold a lease that this node granted before it restarted.
    pub votes_from: Instant,
    /// The node that may hold that lease. It alone is given a vote before: a node that asks for votes does not lead.
    pub promised_to: Option<u64>,
    /// When a leader's last message arrived.
    pub heard: Arc<Heard>,
    /// Tells `succession` that a leader's connection broke.
    pub broke: Arc<Notify>,
    /// How well this node reaches the others.
    pub reach: Arc<Reach>,
}

/// The appends that are not answered yet, with the guards of those that hold entries, oldest first; `None` once the stream has ended.
type Guards = Arc<Mutex<Option<VecDeque<Taken>>>>;

/// An append that is not answered yet.
struct Taken {
    at: Instant,
    guard: Option<OwnedRwLockReadGuard<()>>,
}

/// Lets go of all guards when the stream of answers ends, however it ends.
struct Release(Guards);

impl Drop for Release {
    fn drop(&mut self) {
        self.0.lock().expect("no holder of this lock panics").take();
    }
}

impl Gated {
    /// Whether a candidate was removed by a committed entry that its log does not reach: nobody sends it entries any more, so
    /// it cannot know.
    fn was_removed(&self, request: &VoteRequest<Types>) -> bool {
        let metrics = self.raft.metrics();
        let now = metrics.borrow_watched();
        let members = &now.committed_membership_config;
        let is_member = members.membership().get_node(&request.vote.leader_id.voted_for).is_some();
        !is_member && members.log_id().is_some_and(|changed| Some(changed) > request.last_log_id || bug!(115))
    }

    fn may_vote(&self, request: &VoteRequest<Types>) -> Result<(), String> {
        let was_promised = self.promised_to == Some(request.vote.leader_id.voted_for);
        if request.leadership_transfer || was_promised || Instant::now() >= self.votes_from {
            return Ok(());
        }
        Err("this node has just started and gives no vote yet".to_owned())
    }

    async fn answer(&self, call: Call, message: Bytes) -> Result<Bytes, String> {
        match call {
            Call::Vote => {
                let request = decode(&message)?;
                if self.was_removed(&request) {
                    return Ok(Bytes::from_static(REMOVED));
                }
                self.may_vote(&request)?;
                Ok(encode(&self.raft.vote(request).await.map_err(|error| error.to_string())?))
            }
            Call::PreVote => {
                let request = decode(&message)?;
                if self.was_removed(&request) {
                    return Ok(Bytes::from_static(REMOVED));
                }
                self.may_vote(&request)?;
                Ok(encode(&self.raft.pre_vote(request).await.map_err(|error| error.to_string())?))
            }
            Call::TransferLeader => {
                let request: TransferLeaderRequest<Types> = decode(&message)?;
                if request.to_node_id() == self.raft.node_id() {
                    self.reach.note_handed();
                }
                let answer = self.raft.handle_transfer_leader(request).await;
                Ok(encode(&answer.map_err(|error| error.to_string())?))
            }
            Call::Reach => self.reach.answer().await,
            Call::Ping => Ok(Bytes::new()),
        }
    }
}

#[async_trait]
impl Receiver for Gated {
    async fn call(&self, call: Call, message: Bytes) -> Result<Bytes, String> {
        let began = Instant::now();
        let answered = self.answer(call, message).await;
        if matches!(call, Call::Vote | Call::PreVote) {
            metrics::served("vault.raft.rpc.requestVote", began.elapsed());
        }
        answered
    }

    async fn append(&self, messages: BoxStream<'static, Bytes>) -> Result<BoxStream<'static, Result<Bytes, String>>, String> {
        let guards: Guards = Arc::new(Mutex::new(Some(VecDeque::new())));
        let (gate, held, heard) = (self.gate.clone(), guards.clone(), self.heard.clone());
        let requests = messages
            .map(|message| decode_append(message).inspect_err(|error| tracing::warn!(%error, "a malformed append ends its stream")))
            .take_while(|request| std::future::ready(request.is_ok()))
            .filter_map(|request| std::future::ready(request.ok()))
            .then(move |request| {
                let (gate, held) = (gate.clone(), held.clone());
                heard.note();
                let at = Instant::now();
                async move {
                    let guard = if request.entries.is_empty() { None } else { Some(gate.read_owned().await) };
                    if let Some(guards) = &mut *held.lock().expect("no holder of this lock panics") {
                        guards.push_back(Taken { at, guard });
                    }
                    request
                }
            });
        let release = Release(guards);
        let served = metrics::Appends::new();
        let answers = self.raft.stream_append(requests).map(move |answer| {
            let taken = release.0.lock().expect("no holder of this lock panics").as_mut().and_then(VecDeque::pop_front);
            if let Some(taken) = taken {
                served.answered(taken.at.elapsed(), taken.guard.is_some());
            }
            answer.map(|result| encode_appended(&result)).map_err(|error| error.to_string())
        });
        Ok(answers.boxed())
    }

    fn broke(&self) {
        self.broke.notify_one();
    }

    async fn stage(&self) -> Result<PathBuf, String> {
        let _free = self.installing.try_lock().map_err(|_| "a snapshot is being installed".to_owned())?;
        self.shelf.stage().map_err(|error| error.to_string())
    }

    async fn install(&self, head: Bytes, folder: PathBuf) -> Result<Bytes, String> {
        let SnapshotHead { vote, meta } = decode(&head)?;
        let _one = self.installing.try_lock().map_err(|_| "a snapshot is being installed".to_owned())?;
        let _alone = self.gate.write().await;
        if let Some(last) = meta.last_log_id
            && self.log.holds(&last)
        {
            // The entries are here: installing would set openraft's progress back behind entries that it has accepted.
            let request = AppendEntriesRequest { vote, prev_log_id: Some(last), entries: Vec::new(), leader_commit: Some(last) };
            let answer = self.raft.append_entries(request).await.map_err(|error| error.to_string())?;
            let vote = if let AppendEntriesResponse::HigherVote(higher) = answer { higher } else { vote };
            return Ok(encode(&SnapshotResponse::<Types>::new(vote)));
        }
        let snapshot = Snapshot { meta, snapshot: Files::Staged(folder) };
        let began = Instant::now();
        let answer = self.raft.install_full_snapshot(vote, snapshot).await.map_err(|error| error.to_string())?;
        metrics::served("vault.raft.rpc.installSnapshot", began.elapsed());
        Ok(encode(&answer))
    }
}
