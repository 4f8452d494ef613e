//! Order: one Raft group per cluster, over openraft, with the four conditions without which it loses acknowledged writes
//! (leader restore off, an install gate, fail-stop, snapshots and purges driven by us).
//!
//! The layers above see [`Consensus`]; the layer that owns the network gives a [`transport::Transport`].
//! Not here: what entries mean (`machine`), keys (`barrier`), gRPC (`cluster`).

mod adapter;
mod compaction;
mod config;
mod contact;
pub mod disk;
mod entry;
mod fatal;
mod handle;
mod left_over;
mod log;
mod log_file;
mod log_recovery;
mod log_state;
mod log_sync;
mod log_thread;
mod membership;
mod metrics;
mod network;
mod proposals;
mod reach;
mod receiver;
mod removal;
mod service;
mod snapshot;
mod succession;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
pub mod transport;
mod types;
mod watcher;
mod wire;

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::watch;

pub use contact::{Contact, Contacts};
pub use fatal::install_panic_abort;
#[cfg(feature = "sim")]
pub use fatal::simulated;
pub use handle::Raft;
pub use log_thread::LogCounts;
pub use service::{Options, StartError, start};

use crate::machine::{Applied, Command, Outcome};
use crate::types::{Index, NodeId, Term};

/// A node of the Raft group.
#[derive(Clone, PartialEq, Eq, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct Member {
    /// The operator's `node_id`.
    pub name: String,
    /// `host:port` of its cluster listener.
    pub cluster_addr: String,
    /// URL of its API listener.
    pub api_addr: String,
}

/// One row of `operator raft list-peers`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Peer {
    /// Its number in Raft messages.
    pub id: NodeId,
    /// What is known of it.
    pub member: Member,
    /// Whether it votes; a learner does not.
    pub is_voter: bool,
}

/// What this node knows of its Raft group.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RaftStatus {
    /// This node.
    pub id: NodeId,
    /// The leader of the current term, as far as this node knows.
    pub leader: Option<NodeId>,
    /// Whether this node leads.
    pub is_leader: bool,
    /// The current term.
    pub term: Term,
    /// The last entry known to be committed.
    pub committed: Index,
    /// The last entry applied here.
    pub applied: Index,
    /// All members, in order of name; empty before the group exists.
    pub peers: Vec<Peer>,
    /// This node was in the group and no longer is.
    pub is_removed: bool,
    /// This node leads and is badly reached; this voter would not be, so it should lead.
    pub heir: Option<NodeId>,
    /// A change of voters has come to its first entry and not to its second: who is no voter by both sets may be one by either.
    pub is_halfway: bool,
}

/// Where a node's log and state begin and end, as one moment of openraft's metrics has it.
#[cfg(feature = "sim")]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Indexes {
    /// The last entry that was purged.
    pub purged: u64,
    /// The last entry of the current snapshot.
    pub snapshot: u64,
    /// The last entry applied.
    pub applied: u64,
    /// The last entry of the log.
    pub last: u64,
}

impl RaftStatus {
    /// The leader's row, if it is known.
    pub fn leader_peer(&self) -> Option<&Peer> {
        let leader = self.leader?;
        self.peers.iter().find(|peer| peer.id == leader)
    }
}

/// Why a command was not carried out, or may not have been.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// Refused before anything happened: this node does not lead. May be sent to the leader.
    #[error("this node is not the leader")]
    NotLeader {
        /// Who leads, if known.
        leader: Option<NodeId>,
    },
    /// Larger than [`crate::types::limits::BATCH_BYTES_MAX`].
    #[error("the request writes {bytes} bytes, more than one entry may hold")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// Leadership was lost, or time ran out, while the entry was in flight. **It may yet commit.** Never retry it blindly.
    #[error("the outcome of the write is not known: it may or may not happen")]
    Unknown,
}

/// Why a read could not be shown to be fresh.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this node cannot prove that it leads")]
pub struct NotFresh;

/// Why the group's membership did not change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MembershipError {
    /// Only the leader changes it.
    #[error("this node is not the leader")]
    NotLeader,
    /// The group has no such node.
    #[error("no such peer")]
    Unknown,
    /// Another change is under way, or the change cannot be made now.
    #[error("{0}")]
    Busy(String),
}

/// The replicated log, as the layers above use it. An entry that this returns an [`Outcome`] for is committed and applied here.
#[async_trait]
pub trait Consensus: Send + Sync + 'static {
    /// Proposes `command` and waits until it is applied on this node.
    ///
    /// # Errors
    /// See [`CommitError`]; mind `Unknown`.
    async fn propose(&self, command: &Command) -> Result<Outcome, CommitError>;
    /// Returns once this node has applied all that was committed before the call, having proved that it still leads.
    ///
    /// # Errors
    /// If it cannot prove it.
    async fn read_barrier(&self) -> Result<(), NotFresh>;
    /// What this node knows of its group; changes are announced.
    fn status(&self) -> watch::Receiver<RaftStatus>;
    /// When this node last heard of the others. Costs a lock and a copy: for those who look, not for each request.
    fn contacts(&self) -> Contacts {
        Contacts::default()
    }
    /// Starts a new group with this node as its only member. Does nothing if the group exists.
    ///
    /// # Errors
    /// If the log cannot be written.
    async fn bootstrap(&self, me: Member) -> Result<(), MembershipError>;
    /// Adds a node, first as a learner, and as a voter once it has caught up; or updates its addresses.
    ///
    /// # Errors
    /// If this node does not lead or another change is under way.
    async fn add_peer(&self, id: NodeId, member: Member, voter: bool) -> Result<(), MembershipError>;
    /// Removes a node.
    ///
    /// # Errors
    /// If this node does not lead, the node is unknown, or it is the last one.
    async fn remove_peer(&self, id: NodeId) -> Result<(), MembershipError>;
    /// Hands leadership to the heir in the status if there is one, or to another voter that is up to date, and waits until another node leads.
    ///
    /// # Errors
    /// If no other voter could take it.
    async fn hand_over(&self) -> Result<(), MembershipError>;
    /// Stops taking part, cleanly.
    async fn shutdown(&self);
}

/// Told of every applied entry, on every node, after it is committed to the store and before anyone waiting for it is answered.
///
/// Called in order, one at a time, from the apply loop: it must be quick and must not block.
pub trait Observer: Send + Sync + 'static {
    /// An entry was applied.
    fn applied(&self, applied: &Applied);
    /// The whole state was replaced by a snapshot: everything may have changed.
    fn replaced(&self);
}

/// An observer that looks at nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoObserver;

impl Observer for NoObserver {
    fn applied(&self, _: &Applied) {}
    fn replaced(&self) {}
}

/// Consensus as the layers above hold it.
pub type Handle = Arc<dyn Consensus>;
