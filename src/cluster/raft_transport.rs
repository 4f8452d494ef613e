//! The sending side of Raft, over gRPC.
//!
//! Votes, append streams and snapshots have connections of their own. An append stream takes the less used one of two, so that a
//! heartbeat's short stream does not wait behind the entries of a long one.
//! Not here: what messages mean (`raft`).

use std::collections::HashMap;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use tonic::{Code, Status};

use super::connection::{Connection, DialError, Failure, origin};
use super::dialer::{Dialer, Lane};
use super::snapshot;
use super::wire::raft::raft_client::RaftClient;
use super::wire::raft::{AppendFrame, CallRequest, call_request::Kind};
use crate::raft::Member;
use crate::raft::transport::{Call, Transport, TransportError};
use crate::types::NodeId;
use crate::types::limits::RPC_MESSAGE_BYTES_MAX;

/// How long one message may wait for its answer. `raft` gives up sooner; this is for a peer that lives and never answers.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// How many connections append streams to one node share.
const APPEND_LANES: usize = 2;

type Load = Arc<[AtomicUsize; APPEND_LANES]>;

/// Sends Raft messages to other nodes of this cluster.
#[derive(Debug)]
pub struct RaftTransport {
    dialer: Dialer,
    load: Mutex<HashMap<NodeId, Load>>,
}

/// An open append stream, counted on its lane until it is dropped.
struct OnLane(Load, usize);

impl Drop for OnLane {
    fn drop(&mut self) {
        self.0[self.1].fetch_sub(1, Ordering::Relaxed);
    }
}

/// Messages as gRPC wants them. A type with a name, because the compiler cannot show that a future which holds a mapped, boxed stream
/// across the call is `Send`.
struct Frames(BoxStream<'static, Bytes>);

impl Stream for Frames {
    type Item = AppendFrame;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<AppendFrame>> {
        self.0.poll_next_unpin(cx).map(|message| message.map(|message| AppendFrame { message }))
    }
}

impl RaftTransport {
    /// Sends through `dialer`.
    pub fn new(dialer: Dialer) -> Self {
        Self { dialer, load: Mutex::default() }
    }

    async fn client(&self, member: &Member, lane: Lane) -> Result<RaftClient<Connection>, TransportError> {
        let connection = self.dialer.connect(&member.cluster_addr, Some(&member.name), lane).await.map_err(unreachable)?;
        Ok(RaftClient::with_origin(connection, origin())
            .max_decoding_message_size(RPC_MESSAGE_BYTES_MAX)
            .max_encoding_message_size(RPC_MESSAGE_BYTES_MAX))
    }

    /// The lane with the fewest streams, which is then one more.
    fn append_lane(&self, to: NodeId) -> (Lane, OnLane) {
        let mut load = self.load.lock().expect("no holder of this lock panics");
        let load = load.entry(to).or_default().clone();
        let lane = (0..APPEND_LANES).min_by_key(|lane| load[*lane].load(Ordering::Relaxed)).unwrap_or(0);
        load[lane].fetch_add(1, Ordering::Relaxed);
        (Lane::Append(u8::try_from(lane).unwrap_or(0)), OnLane(load, lane))
    }
}

#[async_trait]
impl Transport for RaftTransport {
    async fn call(&self, _to: NodeId, member: &Member, call: Call, message: Bytes) -> Result<Bytes, TransportError> {
        let kind = match call {
            Call::Vote => Kind::Vote,
            Call::PreVote => Kind::PreVote,
            Call::TransferLeader => Kind::TransferLeader,
            Call::Reach => Kind::Reach,
            Call::Ping => Kind::Ping,
        };
        let mut client = self.client(member, lane_of(call)).await?;
        let request = CallRequest { kind: kind.into(), message };
        let answer = tokio::time::timeout(CALL_TIMEOUT, client.call(request)).await.map_err(|_| TransportError::Timeout)?;
        Ok(answer.map_err(failed)?.into_inner().message)
    }

    async fn append(
        &self,
        to: NodeId,
        member: &Member,
        messages: BoxStream<'static, Bytes>,
    ) -> Result<BoxStream<'static, Result<Bytes, TransportError>>, TransportError> {
        let (lane, on_lane) = self.append_lane(to);
        let mut client = self.client(member, lane).await?;
        let answers = tokio::time::timeout(CALL_TIMEOUT, client.append(Frames(messages))).await.map_err(|_| TransportError::Timeout)?;
        let answers = answers.map_err(failed)?.into_inner().map(move |answer| {
            let _counted = &on_lane;
            answer.map(|frame| frame.message).map_err(failed)
        });
        Ok(answers.boxed())
    }

    async fn snapshot(&self, _to: NodeId, member: &Member, head: Bytes, folder: PathBuf) -> Result<Bytes, TransportError> {
        let mut client = self.client(member, Lane::Bulk).await?;
        let (parts, failure) = snapshot::send(head, folder);
        let answer = client.snapshot(parts).await;
        if let Some(why) = failure.take() {
            return Err(TransportError::Broken(why));
        }
        Ok(answer.map_err(failed)?.into_inner().message)
    }
}

/// What is asked because a line is bad goes over a connection that is there: a new one would take several round trips more.
fn lane_of(call: Call) -> Lane {
    match call {
        Call::Reach | Call::TransferLeader => Lane::Append(0),
        Call::Vote | Call::PreVote | Call::Ping => Lane::Control,
    }
}

#[expect(clippy::needless_pass_by_value, reason = "used as a function for map_err")]
fn unreachable(error: DialError) -> TransportError {
    TransportError::Unreachable(error.to_string())
}

/// What a failed call means to `raft`: `Unavailable` is the peer's word for "not now".
#[expect(clippy::needless_pass_by_value, reason = "used as a function for map_err")]
fn failed(status: Status) -> TransportError {
    match Failure::of(&status) {
        Failure::NotSent(why) | Failure::Answered(Code::Unavailable, why) => TransportError::Unreachable(why),
        failure => TransportError::Broken(failure.to_string()),
    }
}
