//! Replication on the active node: starts and stops with it, and cleans up after an adoption.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::task::JoinHandle;

use super::Replication;
use crate::core::keys;
use crate::core::lifecycle::{ActivePart, StartError};

/// How long standbys have to follow an adoption before the handed-over root key is removed.
const HANDOVER_LIFE: Duration = Duration::from_secs(120);
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Replication as a part of the active node.
#[derive(Debug)]
pub struct ReplicationPart {
    replication: Arc<Replication>,
    cleaning: Mutex<Option<JoinHandle<()>>>,
}

impl ReplicationPart {
    /// Does nothing until it is started.
    pub fn new(replication: Arc<Replication>) -> Self {
        Self { replication, cleaning: Mutex::default() }
    }
}

#[async_trait]
impl ActivePart for ReplicationPart {
    fn name(&self) -> &'static str {
        "replication"
    }

    async fn start(&self) -> Result<(), StartError> {
        self.replication.refresh();
        self.replication.links.start();
        let task = tokio::spawn(clean(self.replication.clone()));
        *self.cleaning.lock().expect("no holder of this lock panics") = Some(task);
        Ok(())
    }

    async fn stop(&self) {
        let task = self.cleaning.lock().expect("no holder of this lock panics").take();
        if let Some(task) = task {
            task.abort();
        }
        self.replication.links.stop().await;
        self.replication.contact.send_replace(None);
    }
}

/// Removes the handed-over root key once standbys had their time. A failure is tried again.
async fn clean(replication: Arc<Replication>) {
    let ctx = &replication.ctx;
    let is_there = || matches!(ctx.store.get(&keys::root_key_handover()), Ok(Some(_)));
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        if !is_there() {
            continue;
        }
        tokio::time::sleep(HANDOVER_LIFE).await;
        let removed = ctx
            .write(|txn| {
                txn.delete(keys::root_key_handover());
                Ok(())
            })
            .await;
        match removed {
            Ok(()) => tracing::info!("removed the handed-over root key"),
            Err(error) => tracing::warn!(%error, "the handed-over root key was not removed yet"),
        }
    }
}
