//! The parts of the core that run on the active node only, in the order in which they start.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use tokio::task::JoinHandle;

use super::Context;
use super::audit_table::AuditTable;
use super::lease::Leases;
use super::lifecycle::{ActivePart, StartError};
use super::mounts::{Mounts, Sweeper};

/// The mount table, and the sweep of what disabled mounts left behind.
pub(super) struct MountsPart {
    pub(super) context: Arc<Context>,
    pub(super) mounts: Arc<Mounts>,
    pub(super) leases: Arc<Leases>,
    pub(super) sweep: Mutex<Option<JoinHandle<()>>>,
}

impl MountsPart {
    fn sweep(&self) -> std::sync::MutexGuard<'_, Option<JoinHandle<()>>> {
        self.sweep.lock().expect("no holder of this lock panics")
    }
}

#[async_trait]
impl ActivePart for MountsPart {
    fn name(&self) -> &'static str {
        "mounts"
    }

    async fn start(&self) -> Result<(), StartError> {
        self.mounts.fill().await.map_err(|error| StartError::new("mounts", error))?;
        let sweeper = Sweeper::new(self.context.clone(), self.mounts.clone(), self.leases.clone());
        *self.sweep() = Some(tokio::spawn(sweeper.run()));
        Ok(())
    }

    async fn stop(&self) {
        let sweep = self.sweep().take();
        if let Some(sweep) = sweep {
            sweep.abort();
            let _ = sweep.await;
        }
        self.mounts.empty();
    }
}

/// The audit devices.
pub(super) struct AuditPart(pub(super) Arc<AuditTable>);

#[async_trait]
impl ActivePart for AuditPart {
    fn name(&self) -> &'static str {
        "audit"
    }

    async fn start(&self) -> Result<(), StartError> {
        self.0.fill().map_err(|error| StartError::new("audit", error))
    }

    async fn stop(&self) {
        self.0.empty();
    }
}
