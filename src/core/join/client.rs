//! How a joining node calls the API of its leader: a seam that `server` fills with an HTTP client.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A node to join through, and how to trust it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct JoinTarget {
    /// URL of its API.
    pub leader_api_addr: String,
    /// PEM: whom to trust; empty for the system's authorities.
    pub leader_ca_cert: String,
    /// PEM: what to show.
    pub leader_client_cert: String,
    /// PEM: its key.
    pub leader_client_key: String,
    /// Verified instead of the URL's host, if not empty.
    pub leader_tls_servername: String,
}

/// Calls a leader's API.
#[async_trait]
pub trait JoinClient: Send + Sync + 'static {
    /// Posts `body` to `/v1/{path}` of `target` and gives the JSON of a successful answer back.
    ///
    /// # Errors
    /// With a text for the operator: what the leader said, or why it could not be reached.
    async fn post(&self, target: &JoinTarget, path: &str, body: Value) -> Result<Value, String>;
}
