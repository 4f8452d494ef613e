//! Names of the lifecycle's metrics.

/// 1 on the active node.
pub(super) const ACTIVE: &str = "vault.core.active";
/// 1 on an unsealed node.
pub(super) const UNSEALED: &str = "vault.core.unsealed";
/// Parts that did not start when this node should have become active.
pub(super) const START_FAILED: &str = "vault.core.leadership_setup_failed";
/// Milliseconds for which this node was active, when it no longer is.
pub(super) const LEADERSHIP_LOST: &str = "vault.core.leadership_lost";
