//! The rules: who may do what, and what is alive. The layers above see [`Core`].
//!
//! One request runs from top to bottom in `pipeline`. What the core itself answers (`sys/`, `auth/token/`) are system engines:
//! they see the whole transaction, where a mounted engine sees its own mount only.
//!
//! Not here: HTTP statuses (`http`), gRPC (`cluster`), the kinds of engines (handed in by `server`).

mod audit_table;
pub mod cluster_identity;
mod context;
mod envelope;
pub mod health;
pub mod join;
pub mod keys;
pub mod lease;
pub mod lifecycle;
pub mod lockout;
mod mounts;
pub mod node_identity;
mod node_service;
mod options;
pub mod policy;
mod response;
mod router;
pub mod seal;
mod sys;
#[cfg(test)]
pub mod testing;
pub mod token;
mod upstream;
pub mod wrapping;

pub use crate::raft::{CommitError, Peer as ActiveNode};
pub use context::{Context, Keys, RootKey, Sealed, WriteError};
pub use mounts::{EndLeases, MountConfig, MountRow, Mounted, Mounts, Opened, SystemTtls, TableError};
pub use node_service::NodeService;
pub use options::Options;
pub use response::{AuthInfo, Refused, Response, WrapInfo};
pub use router::{Clash, Router};

pub use upstream::{
    BootstrapPackage, FORWARDED_HEADER, ForwardError, PrimaryCall, PrimaryContact, PrimaryReply, RawRequest, RawResponse, Serve, ServeNode,
    ServeSecondary, Upstream,
};

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use crate::barrier::Txn;
use crate::engine::{Call, EngineError, Kind, Reply, Request, Route};
use crate::raft;

/// A part of the API that belongs to the core itself, and so sees the whole transaction.
///
/// A handler may run more than once, as an engine's. One that acts on the cluster itself (steps down, removes a peer, enables
/// replication) writes nothing through `txn`, so it runs once.
#[async_trait]
pub trait SystemEngine: Send + Sync + 'static {
    /// What it answers to; patterns are below its mount (`sys/`, `auth/token/`).
    fn routes(&self) -> &'static [Route];
    /// Answers one request.
    ///
    /// # Errors
    /// What the client did wrong, or what could not be done.
    async fn handle(&self, call: &Call<'_>, txn: &mut Txn) -> Result<Reply, EngineError>;
}

/// How this node stands towards clients: decides whether it serves, forwards or refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The cluster does not exist yet.
    Uninitialized,
    /// It has no keys.
    Sealed,
    /// It was removed from its cluster.
    Removed,
    /// Another node is active; `active` is that node, if there is one.
    Standby {
        /// Whom to forward to.
        active: Option<raft::Peer>,
    },
    /// It serves.
    Active,
}

/// What the core is built from.
pub struct Parts {
    /// Store, log, clock, entropy.
    pub context: Arc<Context>,
    /// Every kind of engine there is.
    pub kinds: &'static [&'static Kind],
    /// How requests reach other nodes.
    pub upstream: Arc<dyn Upstream>,
    /// Settings.
    pub options: Options,
}

/// The rules of one node. Cheap to share as `Arc<Core>`.
pub struct Core {
    context: Arc<Context>,
    upstream: Arc<dyn Upstream>,
    options: Options,
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Core")
    }
}

impl Core {
    /// A sealed node's core.
    pub fn new(parts: Parts) -> Arc<Self> {
        let Parts { context, kinds: _, upstream, options } = parts;
        Arc::new(Self { context, upstream, options })
    }

    /// How this node stands towards clients now.
    pub fn standing(&self) -> Standing {
        todo!("decided by lifecycle")
    }

    /// Serves one request on the active node, from top to bottom.
    ///
    /// # Errors
    /// See [`Refused`].
    pub async fn serve(&self, request: Request) -> Result<Response, Refused> {
        let _ = request;
        todo!("pipeline")
    }

    /// Store, log, clock, entropy, keys.
    pub fn context(&self) -> &Arc<Context> {
        &self.context
    }
    /// How requests reach other nodes.
    pub fn upstream(&self) -> &Arc<dyn Upstream> {
        &self.upstream
    }
    /// Settings.
    pub fn options(&self) -> &Options {
        &self.options
    }
}
