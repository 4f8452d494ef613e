//! Starting this node's part of the Raft group.
//!
//! A node may start before the group exists: it then serves its [`Receiver`] and waits for a leader to add it, or for
//! [`super::Consensus::bootstrap`]. Not here: what is done with a running group (`handle`).

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;

use super::transport::{Receiver, Transport};
use super::{CommitError, Consensus, Member, MembershipError, NotFresh, Observer, RaftStatus};
use crate::machine::{Command, Outcome};
use crate::storage::Physical;
use crate::types::NodeId;

/// How this node takes part.
#[derive(Clone, Debug)]
pub struct Options {
    /// This node.
    pub node_id: NodeId,
    /// Where the log, the vote and snapshots lie: a folder of their own, made if missing. The state lies elsewhere (`storage`).
    pub folder: PathBuf,
    /// How often the leader speaks, and the life of one append message.
    pub heartbeat_interval: Duration,
    /// Shortest and longest wait without a leader before a node stands for election; the longest is also the leader's lease.
    pub election_timeout: (Duration, Duration),
    /// A snapshot is taken after this many entries since the last one,
    pub snapshot_entries: u64,
    /// or after this many bytes of entries.
    pub snapshot_bytes: u64,
    /// Entries kept in the log behind the last snapshot, so that a node that was away need not be sent a snapshot.
    pub log_keep_entries: u64,
    /// Most bytes of the log that are kept for that reason.
    pub log_keep_bytes: u64,
}

impl Options {
    /// What a server uses.
    pub fn new(node_id: NodeId, folder: impl Into<PathBuf>) -> Self {
        Self {
            node_id,
            folder: folder.into(),
            heartbeat_interval: Duration::from_millis(100),
            election_timeout: (Duration::from_millis(500), Duration::from_millis(1000)),
            snapshot_entries: 100_000,
            snapshot_bytes: 256 * 1024 * 1024,
            log_keep_entries: 100_000,
            log_keep_bytes: 512 * 1024 * 1024,
        }
    }
}

/// Why this node cannot take part.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The log or the state cannot be read.
    #[error("{action}")]
    Io {
        /// What was attempted.
        action: &'static str,
        /// The system's own words.
        #[source]
        source: std::io::Error,
    },
    /// The log lost what this node had acknowledged: it must not vote again under this name.
    #[error("the raft log ends at {found}, but {acknowledged} was acknowledged: remove this node and join it anew")]
    LogTooShort {
        /// Where it ends.
        found: u64,
        /// What was promised.
        acknowledged: u64,
    },
    /// openraft refuses.
    #[error("start raft: {0}")]
    Raft(String),
}

/// Ends the process on any panic, in any thread: a Raft node that lives on after one is wrong without showing it. For servers.
pub fn install_panic_abort() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        before(panic);
        std::process::abort();
    }));
}

/// A running member of a Raft group.
pub struct Raft {
    status: watch::Receiver<RaftStatus>,
}

/// Recovers the log, brings the state up to what was committed, and takes part.
///
/// # Errors
/// See [`StartError`].
pub async fn start(
    options: Options,
    store: Arc<dyn Physical>,
    transport: Arc<dyn Transport>,
    observer: Arc<dyn Observer>,
) -> Result<Raft, StartError> {
    let _ = (options, store, transport, observer);
    todo!()
}

impl Raft {
    /// What the cluster listener hands incoming Raft messages to.
    pub fn receiver(&self) -> Arc<dyn Receiver> {
        todo!()
    }
}

#[async_trait]
impl Consensus for Raft {
    async fn propose(&self, _command: &Command) -> Result<Outcome, CommitError> {
        todo!()
    }
    async fn read_barrier(&self) -> Result<(), NotFresh> {
        todo!()
    }
    fn status(&self) -> watch::Receiver<RaftStatus> {
        self.status.clone()
    }
    async fn bootstrap(&self, _me: Member) -> Result<(), MembershipError> {
        todo!()
    }
    async fn add_peer(&self, _id: NodeId, _member: Member, _voter: bool) -> Result<(), MembershipError> {
        todo!()
    }
    async fn remove_peer(&self, _id: NodeId) -> Result<(), MembershipError> {
        todo!()
    }
    async fn hand_over(&self) -> Result<(), MembershipError> {
        todo!()
    }
    async fn shutdown(&self) {
        todo!()
    }
}
