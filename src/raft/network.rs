//! openraft's network over our `Transport`: encodes, limits what is under way, and notices when nothing moves any more.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use openraft::base::BoxFuture;
use openraft::errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Timeout, Unreachable};
use openraft::network::{RPCOption, RPCTypes, RaftNetworkFactory, RaftNetworkV2};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendResult, TransferLeaderRequest, TransferLeaderResponse,
    VoteRequest, VoteResponse,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, timeout};

use super::contact::{Line, RoundTrips};
use super::metrics;
use super::snapshot::Files;
use super::transport::{Call, Transport, TransportError};
use super::types::{Seat, Snapshot, Types, Vote};
use super::wire::{REMOVED, SnapshotHead, decode, decode_appended, encode, encode_append};
use crate::types::NodeId;

/// Append messages under way to one peer: enough to fill a long line, few enough to bound memory.
const WINDOW: usize = 64;

/// Makes the peers' networks.
#[derive(Clone)]
pub struct Network {
    pub transport: Arc<dyn Transport>,
    pub me: u64,
    /// Set when a peer says that this node was removed from the group.
    pub told_removed: Arc<watch::Sender<bool>>,
    /// A stream that answers nothing for so long, while something is unanswered, is given up.
    pub stall: Duration,
    /// How long heartbeats took.
    pub round_trips: RoundTrips,
}

impl RaftNetworkFactory<Types> for Network {
    type Network = PeerNetwork;

    async fn new_client(&mut self, target: u64, node: &Seat) -> PeerNetwork {
        PeerNetwork { network: self.clone(), target, seat: node.clone(), beats: None, metrics: metrics::ToPeer::new(&node.member.name) }
    }

    async fn new_heartbeat_client(&mut self, target: u64, node: &Seat) -> PeerNetwork {
        let beats = Some(self.round_trips.begin(target));
        PeerNetwork { beats, ..self.new_client(target, node).await }
    }
}

/// The way to one peer.
pub struct PeerNetwork {
    network: Network,
    target: u64,
    seat: Seat,
    /// For heartbeats: how long they take.
    beats: Option<Arc<Line>>,
    metrics: metrics::ToPeer,
}

/// A heartbeat under way: missed if it is dropped before it is answered.
struct Beat<'a> {
    line: &'a Line,
    at: Instant,
    missed_counts_as: Option<Duration>,
}

impl Beat<'_> {
    fn answered(mut self) {
        self.missed_counts_as = None;
        self.line.answered(self.at.elapsed());
    }
}

impl Drop for Beat<'_> {
    fn drop(&mut self) {
        self.missed_counts_as.into_iter().for_each(|time| self.line.missed(time));
    }
}

/// What was sent on one stream and is not answered yet, oldest first. The permits bound it.
#[derive(Clone, Default)]
struct Unanswered(Arc<Mutex<VecDeque<Sent>>>);

struct Sent {
    at: Instant,
    entries: usize,
    _permit: OwnedSemaphorePermit,
}

impl Unanswered {
    fn queue(&self) -> MutexGuard<'_, VecDeque<Sent>> {
        self.0.lock().expect("no holder of this lock panics")
    }
}

impl PeerNetwork {
    fn timed_out(&self, action: RPCTypes, timeout: Duration) -> Timeout<Types> {
        Timeout { action, id: self.network.me, target: self.target, timeout }
    }

    fn failed(&self, action: RPCTypes, ttl: Duration, error: &TransportError) -> RPCError<Types> {
        match error {
            TransportError::Unreachable(_) => RPCError::Unreachable(Unreachable::new(error)),
            TransportError::Broken(_) => RPCError::Network(NetworkError::new(error)),
            TransportError::Timeout => RPCError::Timeout(self.timed_out(action, ttl)),
        }
    }

    async fn call(&self, action: RPCTypes, call: Call, message: Bytes, option: &RPCOption) -> Result<Bytes, RPCError<Types>> {
        let ttl = option.soft_ttl();
        let sent = self.network.transport.call(NodeId(self.target), &self.seat.member, call, message);
        match timeout(ttl, sent).await {
            Ok(answer) => answer.map_err(|error| self.failed(action, ttl, &error)),
            Err(_) => Err(RPCError::Timeout(self.timed_out(action, ttl))),
        }
    }
}

impl PeerNetwork {
    async fn ask_for_vote(&self, call: Call, rpc: &VoteRequest<Types>, option: &RPCOption) -> Result<VoteResponse<Types>, RPCError<Types>> {
        let answer = self.call(RPCTypes::Vote, call, encode(rpc), option).await?;
        if answer == REMOVED {
            self.network.told_removed.send_replace(true);
            return Err(malformed("this node was removed from the group"));
        }
        decode(&answer).map_err(malformed)
    }
}

fn malformed(error: impl ToString) -> RPCError<Types> {
    RPCError::Unreachable(Unreachable::from_string(error))
}

impl RaftNetworkV2<Types> for PeerNetwork {
    type SnapshotData = Files;

    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<Types>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<Types>, RPCError<Types>> {
        let mut answers = RaftNetworkV2::stream_append(self, futures::stream::iter([rpc]), option).await?;
        match answers.next().await {
            Some(answer) => Ok(answer?.into()),
            None => Err(RPCError::Network(NetworkError::from_string("the stream ended without an answer"))),
        }
    }

    fn stream_append<'s, S>(
        &'s mut self,
        input: S,
        _option: RPCOption,
    ) -> BoxFuture<'s, Result<BoxStream<'s, Result<StreamAppendResult<Types>, RPCError<Types>>>, RPCError<Types>>>
    where
        S: Stream<Item = AppendEntriesRequest<Types>> + Send + Unpin + 'static,
    {
        Box::pin(async move {
            let (this, stall) = (&*self, self.network.stall);
            // One message a stream: openraft opens one for each heartbeat, and drops it when its time is over.
            let beat = self.beats.as_ref().map(|line| Beat { line, at: Instant::now(), missed_counts_as: Some(stall) });
            let unanswered = Unanswered::default();
            let window = Arc::new(Semaphore::new(WINDOW));
            let messages = {
                let unanswered = unanswered.clone();
                input.then(move |request| {
                    let (unanswered, window) = (unanswered.clone(), window.clone());
                    async move {
                        let permit = window.acquire_owned().await.expect("the window is never closed");
                        unanswered.queue().push_back(Sent { at: Instant::now(), entries: request.entries.len(), _permit: permit });
                        encode_append(&request)
                    }
                })
            };
            let opened = this.network.transport.append(NodeId(this.target), &this.seat.member, messages.boxed());
            let answers = match timeout(stall, opened).await {
                Ok(opened) => opened.map_err(|error| this.failed(RPCTypes::AppendEntries, stall, &error))?,
                Err(_) => return Err(RPCError::Timeout(this.timed_out(RPCTypes::AppendEntries, stall))),
            };
            let results = futures::stream::unfold(Some((answers, unanswered, beat)), move |state| async move {
                let (mut answers, unanswered, beat) = state?;
                let answer = loop {
                    match timeout(stall / 4, answers.next()).await {
                        Ok(answer) => break answer?,
                        Err(_) => {
                            let oldest = unanswered.queue().front().map(|sent| sent.at.elapsed());
                            if oldest.is_some_and(|age| age > stall) {
                                break Err(TransportError::Timeout);
                            }
                        }
                    }
                };
                let sent = unanswered.queue().pop_front();
                if let Some(sent) = sent
                    && answer.is_ok()
                {
                    let took = sent.at.elapsed();
                    beat.into_iter().for_each(Beat::answered);
                    this.metrics.answered(took, sent.entries);
                }
                let result = match answer {
                    Ok(bytes) => decode_appended(bytes).map_err(malformed),
                    Err(error) => Err(this.failed(RPCTypes::AppendEntries, stall, &error)),
                };
                let goes_on = matches!(result, Ok(Ok(_)));
                Some((result, goes_on.then_some((answers, unanswered, None))))
            });
            Ok(results.boxed())
        })
    }

    async fn vote(&mut self, rpc: VoteRequest<Types>, option: RPCOption) -> Result<VoteResponse<Types>, RPCError<Types>> {
        self.ask_for_vote(Call::Vote, &rpc, &option).await
    }

    async fn pre_vote(&mut self, rpc: VoteRequest<Types>, option: RPCOption) -> Result<VoteResponse<Types>, RPCError<Types>> {
        self.ask_for_vote(Call::PreVote, &rpc, &option).await
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot,
        cancel: impl Future<Output = ReplicationClosed> + Send + 'static,
        option: RPCOption,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        let began = Instant::now();
        let ttl = option.soft_ttl();
        let head = encode(&SnapshotHead { vote, meta: snapshot.meta });
        let folder = match &snapshot.snapshot {
            Files::Shelved(shelved) => shelved.state(),
            Files::Staged(folder) => folder.clone(),
        };
        let sent = self.network.transport.snapshot(NodeId(self.target), &self.seat.member, head, folder);
        let answer = tokio::select! {
            closed = cancel => return Err(StreamingError::Closed(closed)),
            answer = timeout(ttl, sent) => answer,
        };
        let answer = match answer {
            Ok(answer) => answer.map_err(|error| self.failed(RPCTypes::InstallSnapshot, ttl, &error))?,
            Err(_) => return Err(StreamingError::Timeout(self.timed_out(RPCTypes::InstallSnapshot, ttl))),
        };
        self.metrics.snapshot_sent(began.elapsed());
        decode(&answer).map_err(|error| StreamingError::Unreachable(Unreachable::from_string(error)))
    }

    async fn transfer_leader(
        &mut self,
        req: TransferLeaderRequest<Types>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<Types>, RPCError<Types>> {
        let answer = self.call(RPCTypes::TransferLeader, Call::TransferLeader, encode(&req), &option).await?;
        decode(&answer).map_err(malformed)
    }
}
