//! What a request ends in: an envelope to render, or a refusal. No HTTP here.

use serde_json::{Map, Value};

use super::{CommitError, WriteError};
pub use crate::engine::{AuthInfo, WrapInfo};
use crate::engine::{EngineError, Raw};
use crate::machine::Positions;

/// The envelope of a successful request.
#[derive(Clone, Default)]
pub struct Response {
    /// As in the audit log.
    pub request_id: String,
    /// The type of the mount that answered: `kv`, `system`.
    pub mount_type: String,
    /// Empty for none.
    pub lease_id: String,
    /// Of the lease.
    pub renewable: bool,
    /// Of the lease, in seconds.
    pub lease_duration: u64,
    /// What was asked for.
    pub data: Option<Map<String, Value>>,
    /// Set instead of `data` when the answer was wrapped.
    pub wrap_info: Option<WrapInfo>,
    /// What the client should know.
    pub warnings: Vec<String>,
    /// What a login gave.
    pub auth: Option<AuthInfo>,
    /// There is nothing there (404), though `data` may say something about it.
    pub is_missing: bool,
    /// It is under way (202).
    pub is_accepted: bool,
    /// An answer that is no envelope.
    pub raw: Option<Raw>,
    /// Where this cluster's histories stood after a write: for `X-Vault-Index` and for waiting.
    pub written: Option<Positions>,
}

impl std::fmt::Debug for Response {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Response({} from {})", self.request_id, self.mount_type)
    }
}

/// Why a request was not done: three answers kept apart, *refused*, *failed* and *unknown*. `http` maps them to statuses in one table.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// This node is sealed.
    #[error("Vault is sealed")]
    Sealed,
    /// There is no active node now.
    #[error("local node not active but active cluster node not found")]
    NoActive,
    /// The token is missing, unknown, or may not.
    #[error("permission denied")]
    Denied,
    /// The token is unknown, or no longer is one.
    #[error("invalid token")]
    BadToken,
    /// No mount or no route. The text names the path that was asked for.
    #[error("{0}")]
    NoRoute(String),
    /// The engine said no.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The write did not happen, or may not have.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// No audit device took the request, so it was not done.
    #[error("no audit device could log the request")]
    Audit,
    /// The write was done, but no audit device took the answer, so it is not given.
    #[error("the request was done, but no audit device could log its response")]
    AuditResponse,
    /// The primary answered a forwarded request with an error: its status and texts are passed on.
    #[error("{}", .errors.join("; "))]
    Upstream {
        /// The primary's HTTP status.
        status: u16,
        /// The primary's texts.
        errors: Vec<String>,
    },
    /// The primary could not be asked, or it is not known whether it acted.
    #[error("{text}")]
    UpstreamUnreachable {
        /// For the client.
        text: String,
        /// Whether the primary may have acted all the same.
        may_have_happened: bool,
    },
    /// Too many requests, or the user is locked out.
    #[error("{0}")]
    TooMany(String),
}

impl Refused {
    /// Whether it was refused before anything happened, because this node had just lost its leadership.
    pub fn is_for_another_leader(&self) -> bool {
        matches!(self, Self::NoActive | Self::Write(WriteError::Commit(CommitError::NotLeader { .. })))
    }
}
