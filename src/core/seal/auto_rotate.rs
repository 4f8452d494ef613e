//! Rotating the keyring by itself, where an interval is set. Runs on the active node.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::task::JoinHandle;

use super::super::Context;
use super::super::lifecycle::{ActivePart, StartError};
use super::rotate::{RotateConfig, rotate};

/// How often the key's age is looked at: the interval is a day at least.
const LOOK_EVERY: Duration = Duration::from_secs(600);

/// Rotates when it is due.
pub struct AutoRotate {
    ctx: Arc<Context>,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl fmt::Debug for AutoRotate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AutoRotate")
    }
}

impl AutoRotate {
    /// Does nothing until it is started.
    pub fn new(ctx: Arc<Context>) -> Arc<Self> {
        Arc::new(Self { ctx, task: Mutex::default() })
    }
}

#[async_trait]
impl ActivePart for AutoRotate {
    fn name(&self) -> &'static str {
        "rotation"
    }

    async fn start(&self) -> Result<(), StartError> {
        let ctx = self.ctx.clone();
        let task = tokio::spawn(async move {
            let mut tick = tokio::time::interval(LOOK_EVERY);
            loop {
                tick.tick().await;
                if !ctx.store.role().is_secondary() {
                    look(&ctx).await;
                }
            }
        });
        *self.task.lock().expect("no holder of this lock panics") = Some(task);
        Ok(())
    }

    async fn stop(&self) {
        let task = self.task.lock().expect("no holder of this lock panics").take();
        if let Some(task) = task {
            task.abort();
            let _ = task.await;
        }
    }
}

async fn look(ctx: &Context) {
    let Ok(installed) = ctx.keys().map(|keys| keys.keyring.info().installed) else { return };
    let rotated = ctx.write(|txn| {
        let now = ctx.now();
        let is_due = RotateConfig::read(txn)?.is_due(installed, now);
        if is_due {
            rotate(ctx, txn, now)?;
        }
        Ok(is_due)
    });
    match rotated.await {
        Ok(true) => tracing::info!("rotated the keyring, as its interval asks"),
        Ok(false) => {}
        Err(error) => tracing::warn!(%error, "the keyring could not be rotated"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Node;
    use super::*;
    use crate::types::{Timestamp, Ttl};

    #[tokio::test]
    async fn the_keyring_is_rotated_only_once_its_interval_has_passed() {
        let node = Node::new(&Arc::default(), "a");
        let keys = node.init(1, 1).await.keys;
        node.unseal_all(&keys).await;
        look(&node.ctx).await;
        assert_eq!(node.term(), 1);
        let config = RotateConfig { interval: 24 * 3600, ..RotateConfig::default() };
        let installed = node.ctx.keys().unwrap().keyring.info().installed;
        assert!(!config.is_due(installed, installed.plus(Ttl(24 * 3600 - 1))));
        assert!(config.is_due(installed, installed.plus(Ttl(24 * 3600))));
        // A key that is said to be old.
        node.ctx
            .write(|txn| {
                config.write(txn);
                rotate(&node.ctx, txn, Timestamp(1))
            })
            .await
            .unwrap();
        look(&node.ctx).await;
        assert_eq!(node.term(), 3);
        look(&node.ctx).await;
        assert_eq!(node.term(), 3);
    }
}
