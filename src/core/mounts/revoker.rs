//! How leases reach the engine that gave them out.

use async_trait::async_trait;

use super::Mounts;
use crate::barrier::Txn;
use crate::core::lease::{Lease, RevokeLease};
use crate::core::token::Limits;
use crate::engine::EngineError;
use crate::types::MountId;

#[async_trait]
impl RevokeLease for Mounts {
    async fn revoke(&self, lease: &Lease, txn: &mut Txn) -> Result<(), EngineError> {
        let table = self.fresh_table().map_err(|error| EngineError::Unavailable(error.to_string()))?;
        let Some(mounted) = table.by_id(&MountId::new(&lease.mount_id)) else { return Ok(()) };
        let Some((kind, engine)) = mounted.engine() else { return Ok(()) };
        let mount = &mounted.mount;
        engine.revoke(&lease.spec(), &mut txn.view(&mount.id, mount.scope, kind.local)).await
    }

    fn limits(&self, path: &str) -> Option<Limits> {
        self.table().find(path).map(|(mounted, _)| Limits::from(&mounted.mount))
    }
}
