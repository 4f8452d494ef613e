//! What runs on the active node only.

use async_trait::async_trait;

/// Why a part did not start. The text is for the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{part} did not start: {reason}")]
pub struct StartError {
    /// Which part.
    pub part: &'static str,
    /// Why.
    pub reason: String,
}

impl StartError {
    /// `part` did not start because of `reason`.
    pub fn new(part: &'static str, reason: impl std::fmt::Display) -> Self {
        Self { part, reason: reason.to_string() }
    }
}

/// Something that runs on the active node only: mounts, audit devices, expiry of leases, replication.
///
/// Parts are started one after the other in a fixed order and stopped in reverse. A start that is slower than
/// [`crate::types::limits::START_TIMEOUT`] counts as failed. `stop` is also called after a start that failed or was cut short,
/// and must then undo what was begun; it must not fail and must not wait for the network.
#[async_trait]
pub trait ActivePart: Send + Sync + 'static {
    /// For the log.
    fn name(&self) -> &'static str;
    /// Begins. All that was committed before is applied here, and the node is unsealed.
    ///
    /// # Errors
    /// If it cannot run: the node hands leadership on.
    async fn start(&self) -> Result<(), StartError>;
    /// Ends. Returns when nothing of it runs any more.
    async fn stop(&self);
}
