//! What operators have begun on the active node, `generate-root` and `rekey`, ends with its time as the active node: shares that were
//! given to it must not wait there until it happens to be active again.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use super::super::lifecycle::{ActivePart, StartError};
use super::{Progress, Seal};

/// Forgets them.
pub struct Attempts(pub(in super::super) Arc<Seal>);

impl fmt::Debug for Attempts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Attempts")
    }
}

impl Progress {
    /// Forgets what only the active node takes part in.
    pub(super) fn forget_attempts(&mut self) {
        self.generate_root = None;
        self.rekey = None;
    }
}

#[async_trait]
impl ActivePart for Attempts {
    fn name(&self) -> &'static str {
        "attempts"
    }

    async fn start(&self) -> Result<(), StartError> {
        Ok(())
    }

    async fn stop(&self) {
        self.0.progress().forget_attempts();
    }
}

#[cfg(test)]
mod tests {
    use super::super::{GenerateRootRequest, RekeyRequest};
    use crate::core::Standing;
    use crate::core::testing::TestCore;

    #[tokio::test]
    async fn what_was_begun_ends_with_the_time_as_active_node() {
        let test = TestCore::new(&[]).await;
        let seal = test.core.seal();
        seal.generate_root_start(&GenerateRootRequest::default()).unwrap();
        seal.rekey_start(&RekeyRequest { secret_shares: 1, secret_threshold: 1, ..RekeyRequest::default() }).unwrap();
        assert!(seal.generate_root_status().unwrap().started && seal.rekey_status().unwrap().started);
        let mut standing = test.core.lifecycle().follow_standing();
        test.ground.raft.lead(false);
        standing.wait_for(|standing| *standing != Standing::Active).await.unwrap();
        test.ground.raft.lead(true);
        standing.wait_for(|standing| *standing == Standing::Active).await.unwrap();
        assert!(!seal.generate_root_status().unwrap().started && !seal.rekey_status().unwrap().started);
    }
}
