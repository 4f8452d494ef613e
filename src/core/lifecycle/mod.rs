//! What runs on this node: decided from (initialized?, sealed?, Raft status, role) by a pure machine, carried out by one task.
//!
//! A node is active when it leads its Raft group, is unsealed, has proved that it leads, and every [`ActivePart`] has started.
//! A leader that cannot be active hands leadership on, or the cluster would have a leader and no active node.
//!
//! Not here: what the parts do; how a node is unsealed (`seal`).

mod driver;
mod machine;
mod metrics;
mod parts;
#[cfg(test)]
mod tests;

pub use driver::Lifecycle;
pub use parts::{ActivePart, StartError};

pub use super::Standing;
