//! What others said of this node's removal, kept over restarts: nobody sends a removed node the entry that says it.

use std::path::Path;

use openraft::RaftMetrics;
use openraft::alias::LogIdOf;

use super::types::Types;

/// There once others said that this node was removed; holds which members were known here then.
const FILE: &str = "removed";

/// When this node was told, if it was, as the log id of the members that it knew.
pub struct Removal(Option<Option<LogIdOf<Types>>>);

impl Removal {
    /// As an earlier run of this node noted it.
    pub fn kept_in(folder: &Path) -> Self {
        Self(std::fs::read(folder.join(FILE)).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }

    /// Takes note that another node says so.
    pub fn told(&mut self, folder: &Path, now: &RaftMetrics<Types>) {
        if self.holds(now) {
            return;
        }
        let at = *now.membership_config.log_id();
        self.0 = Some(at);
        let bytes = serde_json::to_vec(&at).expect("a log id is numbers");
        if let Err(error) = std::fs::write(folder.join(FILE), bytes) {
            tracing::warn!(%error, "it could not be noted that this node was removed");
        }
    }

    /// Whether it still holds. If the members change here after that, this node has been taken in again.
    pub fn holds(&self, now: &RaftMetrics<Types>) -> bool {
        self.0.is_some_and(|at| at == *now.membership_config.log_id())
    }
}
