//! Names of the lifecycle's metrics.

/// 1 on the active node.
pub(super) const ACTIVE: &str = "vault_core_active";
/// 1 on an unsealed node.
pub(super) const UNSEALED: &str = "vault_core_unsealed";
/// Parts that did not start when this node should have become active.
pub(super) const START_FAILED: &str = "vault_core_leadership_setup_failed";
