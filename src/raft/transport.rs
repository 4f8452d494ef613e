//! How Raft messages reach another node: a seam that `cluster` fills with gRPC and the simulator with its own network.
//!
//! Messages are opaque here: each side encodes and decodes openraft's own types in `raft::wire`.

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt};

use super::Member;
use crate::types::NodeId;

/// Which message it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Call {
    /// A vote request.
    Vote,
    /// A pre-vote request.
    PreVote,
    /// A request to take over leadership.
    TransferLeader,
    /// How long does it take you to reach a majority?
    Reach,
    /// Nothing but a sign of life: how followers measure their lines.
    Ping,
}

/// Why a message was not answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// The node cannot be reached, or refused for now: back off.
    #[error("the node cannot be reached: {0}")]
    Unreachable(String),
    /// The connection broke: the message may or may not have arrived.
    #[error("the connection broke: {0}")]
    Broken(String),
    /// No answer in time.
    #[error("no answer in time")]
    Timeout,
}

/// Sends Raft messages. One connection per peer, opened when needed and kept; heartbeats must not queue behind entries.
#[async_trait]
pub trait Transport: Send + Sync + 'static {
    /// Sends one message and waits for its answer.
    ///
    /// # Errors
    /// See [`TransportError`].
    async fn call(&self, to: NodeId, member: &Member, call: Call, message: Bytes) -> Result<Bytes, TransportError>;
    /// Opens a stream of append messages; answers come back in order, one a message.
    ///
    /// # Errors
    /// If the stream cannot be opened; later errors come in the stream and end it.
    async fn append(
        &self,
        to: NodeId,
        member: &Member,
        messages: BoxStream<'static, Bytes>,
    ) -> Result<BoxStream<'static, Result<Bytes, TransportError>>, TransportError>;
    /// Sends a snapshot: a head that `raft` encodes, and the folder of its checkpoint, streamed file by file.
    ///
    /// # Errors
    /// See [`TransportError`]; `Unreachable` when the peer refuses because it is installing one.
    async fn snapshot(&self, to: NodeId, member: &Member, head: Bytes, folder: PathBuf) -> Result<Bytes, TransportError>;
}

/// The receiving side, which `cluster`'s service calls. Implemented by `raft`.
#[async_trait]
pub trait Receiver: Send + Sync + 'static {
    /// Answers one message.
    ///
    /// # Errors
    /// With a text for the log, if the message is malformed or Raft has stopped.
    async fn call(&self, call: Call, message: Bytes) -> Result<Bytes, String>;
    /// Answers a stream of append messages, in order.
    ///
    /// # Errors
    /// With a text for the log, if Raft has stopped.
    async fn append(&self, messages: BoxStream<'static, Bytes>) -> Result<BoxStream<'static, Result<Bytes, String>>, String>;
    /// A stream of append messages broke before its sender ended it: the sender has died, or the line.
    fn broke(&self);
    /// A new, empty folder where an incoming snapshot's files are put before [`Receiver::install`].
    ///
    /// # Errors
    /// With a text for the log, if it cannot be made or a snapshot is being installed: the sender backs off.
    async fn stage(&self) -> Result<PathBuf, String>;
    /// Installs the snapshot that was staged in `folder`.
    ///
    /// # Errors
    /// With a text for the log.
    async fn install(&self, head: Bytes, folder: PathBuf) -> Result<Bytes, String>;
}

/// Append messages as they come in. One that breaks ends here: the sender, if it lives, learns of it by its own side. Most are dropped
/// when that happens, with the answers to them, and never hear of it; whoever receives them is told ([`Receiver::broke`]).
pub struct Appends<S> {
    messages: S,
    has_ended: bool,
    receiver: Arc<dyn Receiver>,
}

impl<S> Appends<S> {
    /// Those of one stream, for `receiver`.
    pub fn new(messages: S, receiver: Arc<dyn Receiver>) -> Self {
        Self { messages, has_ended: false, receiver }
    }
}

impl<S: Stream<Item = Result<Bytes, E>> + Unpin, E> Stream for Appends<S> {
    type Item = Bytes;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let message = ready!(self.messages.poll_next_unpin(cx));
        self.has_ended = message.is_none();
        Poll::Ready(message.and_then(Result::ok))
    }
}

impl<S> Drop for Appends<S> {
    fn drop(&mut self) {
        if !self.has_ended {
            self.receiver.broke();
        }
    }
}
