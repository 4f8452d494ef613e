//! Seams to other nodes: a standby hands requests to its active node, a performance secondary's active node to the primary's.
//!
//! `cluster` implements [`Upstream`] over gRPC; `http` implements [`Serve`], which `cluster` calls on the active node.

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::{Map, Value};

use crate::crypto::cert::Identity;
use crate::engine::Operation;
use crate::types::Position;

/// Put on a request that one node handed to another: it is never handed on again. A client that sends it harms only its own request.
pub const FORWARDED_HEADER: &str = "x-coffer-forwarded";

/// A client's request as its first node received it: handed on unread by a standby.
#[derive(Clone, Debug, Default)]
pub struct RawRequest {
    /// HTTP method.
    pub method: String,
    /// Path and query.
    pub uri: String,
    /// Names in lower case, values as sent.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body, bounded by the first node.
    pub body: Bytes,
    /// The client's address, as the first node saw it.
    pub remote: String,
}

/// The active node's answer, given to the client unchanged.
#[derive(Clone, Debug, Default)]
pub struct RawResponse {
    /// HTTP status.
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body.
    pub body: Bytes,
}

/// Serves a whole request: what the HTTP listener does with one, for requests that came over the cluster's port.
#[async_trait]
pub trait Serve: Send + Sync + 'static {
    /// Answers; errors are answers too.
    async fn serve(&self, request: RawRequest) -> RawResponse;
}

/// A shared write that a secondary asks the primary to run: the request and who is calling. The primary authorizes it again.
#[derive(Clone, PartialEq)]
pub struct PrimaryCall {
    /// The request's id, the same in both audit logs.
    pub request_id: String,
    /// What is wanted.
    pub operation: Operation,
    /// The whole path.
    pub path: String,
    /// The fields of the request.
    pub data: Map<String, Value>,
    /// Who is calling: names of policies.
    pub policies: Vec<String>,
    /// Who is calling, for the audit log.
    pub display_name: String,
    /// Who is calling: the identity entity, or empty.
    pub entity_id: String,
    /// Who is calling: the token's accessor on the secondary, for the audit log.
    pub accessor: String,
    /// The client's address.
    pub remote: String,
}

impl std::fmt::Debug for PrimaryCall {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PrimaryCall({} {} {})", self.request_id, self.operation.name(), self.path)
    }
}

/// The primary's answer.
#[derive(Clone, Debug, Default)]
pub struct PrimaryReply {
    /// The HTTP status that the primary would have given; below 400 it was done.
    pub status: u16,
    /// The texts of a refusal.
    pub errors: Vec<String>,
    /// `data`.
    pub data: Option<Map<String, Value>>,
    /// What the client should know.
    pub warnings: Vec<String>,
    /// Where the primary's shared history stood after the write.
    pub position: Position,
}

/// Why a request was not handed on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ForwardError {
    /// Nobody to hand it to.
    #[error("local node not active but active cluster node not found")]
    NoActive,
    /// It did not arrive: nothing happened.
    #[error("the active node cannot be reached: {0}")]
    Unreachable(String),
    /// The other side does not serve this cluster (any longer): nothing happened, and trying again does not help.
    #[error("{0}")]
    Refused(String),
    /// The connection broke or time ran out after it was sent: it may have been done.
    #[error("the outcome of the request is not known: {0}")]
    Unknown(String),
}

/// Hands requests on.
#[async_trait]
pub trait Upstream: Send + Sync + 'static {
    /// To this cluster's active node.
    ///
    /// # Errors
    /// See [`ForwardError`].
    async fn to_active(&self, request: RawRequest) -> Result<RawResponse, ForwardError>;
    /// To the primary cluster's active node.
    ///
    /// # Errors
    /// See [`ForwardError`].
    async fn to_primary(&self, call: PrimaryCall) -> Result<PrimaryReply, ForwardError>;
    /// Whether there is a way to the primary cluster's active node now.
    ///
    /// # Errors
    /// See [`ForwardError`].
    async fn find_primary(&self) -> Result<(), ForwardError>;
}

/// What a new secondary needs before it can open anything: answered over mutual TLS, to the secondary that activation named.
#[derive(Clone)]
pub struct BootstrapPackage {
    /// The replication set.
    pub set: crate::types::SetId,
    /// The primary's generation.
    pub generation: crate::types::Generation,
    /// The root key itself, for the secondary's active node.
    pub root_key: crate::types::Secret<Vec<u8>>,
    /// The raw rows `seal-config`, `root-key` and `keyring`, as they lie on the primary.
    pub raw_rows: Vec<(String, Bytes)>,
    /// `host:port` of each node's cluster listener.
    pub cluster_addrs: Vec<String>,
    /// In dev mode, the root token, so that one `VAULT_TOKEN` works on both.
    pub dev_root_token: Option<crate::types::Secret<String>>,
}

impl std::fmt::Debug for BootstrapPackage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "BootstrapPackage({})", self.set)
    }
}

/// What a primary answers its secondaries over the cluster's port. `core` implements it, `cluster` calls it.
#[async_trait]
pub trait ServeSecondary: Send + Sync + 'static {
    /// Whether this cluster is a primary that admits the secondary: known, and not revoked. To be asked on the active node.
    /// `certificate` is the SHA-256 of the client certificate in hexadecimal.
    ///
    /// # Errors
    /// Why not, with a text for the secondary's operator.
    fn admits(&self, secondary_id: &str, certificate: &str) -> Result<(), &'static str>;
    /// Runs a shared write for a secondary, after authorizing it again under this cluster's own policies.
    /// `None`: this node is no longer the active one, and nothing happened.
    async fn serve_call(&self, secondary_id: &str, call: PrimaryCall) -> Option<PrimaryReply>;
    /// What a new secondary needs.
    ///
    /// # Errors
    /// With a text for the secondary's operator.
    async fn bootstrap(&self, secondary_id: &str) -> Result<BootstrapPackage, String>;
    /// The only addresses that secondaries may be told; `None`: those of the nodes.
    fn told_addrs(&self) -> Option<Vec<String>>;
}

/// How a secondary reaches its primary: from the activation bundle; the addresses follow the primary's heartbeats.
#[derive(Clone, PartialEq, Debug)]
pub struct PrimaryContact {
    /// `host:port` of each known node's cluster listener.
    pub cluster_addrs: Vec<String>,
    /// What the primary issued to this secondary; its authority is the primary's.
    pub identity: Identity,
}

/// What a node answers the nodes of its own cluster, and what keeps its own certificate fresh. `core` implements it, `cluster` calls it.
#[async_trait]
pub trait ServeNode: Send + Sync + 'static {
    /// Whether this node is the active one: unsealed, leading, and ready to serve.
    fn is_active(&self) -> bool;
    /// Issues a new identity to the node called `name`, under the cluster's authority. Works on any unsealed node, so that a
    /// cluster whose certificates all expired while it was off recovers by being unsealed.
    ///
    /// # Errors
    /// With a text for the log; if this node is sealed, or has no authority yet.
    async fn issue(&self, name: &str) -> Result<Identity, String>;
    /// Keeps this node's own renewed identity and announces it.
    ///
    /// # Errors
    /// With a text for the log, if it cannot be stored.
    async fn keep(&self, identity: Identity) -> Result<(), String>;
}
