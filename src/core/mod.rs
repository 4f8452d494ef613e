//! The rules: who may do what, and what is alive. The layers above see [`Core`].
//!
//! One request runs from top to bottom in `pipeline`. What the core itself answers (`sys/`, `auth/token/`) are system engines:
//! they see the whole transaction, where a mounted engine sees its own mount only.
//!
//! Not here: HTTP statuses (`http`), gRPC (`cluster`), the kinds of engines (handed in by `server`).

mod context;
pub mod keys;
mod response;
mod upstream;

pub use context::{Context, Keys, RootKey, Sealed, WriteError};
pub use response::{AuthInfo, Refused, Response, WrapInfo};

pub use upstream::{BootstrapPackage, ForwardError, PrimaryCall, PrimaryReply, RawRequest, RawResponse, Serve, ServeSecondary, Upstream};

use async_trait::async_trait;

use crate::barrier::Txn;
use crate::engine::{Call, EngineError, Reply, Route};

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
