//! Rotating the keyring by itself, once its newest key is as old, or as often used, as the settings say. Runs on the active node.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::task::JoinHandle;

use super::super::lifecycle::{ActivePart, StartError};
use super::super::{Context, WriteError};
use super::rotate::{KeyStatus, RotateConfig, rotate};
use super::stored::internal;

/// How often the newest key is looked at: the shortest interval is a day, and the fewest operations take longer than this. It costs one
/// read of one row.
const LOOK_EVERY: Duration = Duration::from_secs(10);

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
    let rotated = ctx.write(|txn| {
        let now = ctx.now();
        let newest = KeyStatus::of(ctx).map_err(internal)?;
        let is_due = RotateConfig::read(txn)?.is_due(&newest, now);
        if is_due {
            rotate(ctx, txn, now)?;
        }
        Ok(is_due.then_some(newest))
    });
    match rotated.await {
        Ok(Some(newest)) => tracing::info!(
            term = newest.term.0,
            encryptions = newest.encryptions,
            installed = newest.installed.rfc3339(),
            "rotated the keyring, as its settings ask"
        ),
        Ok(None) | Err(WriteError::Sealed(_)) => {}
        Err(error) => tracing::warn!(%error, "the keyring could not be rotated"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Node, token_row};
    use super::*;
    use crate::types::{Secret, Timestamp, Ttl};

    async fn node() -> Node {
        let node = Node::new(&Arc::default(), "a");
        let keys = node.init(1, 1).await.keys;
        node.unseal_all(&keys).await;
        node
    }

    fn encryptions(node: &Node) -> u64 {
        KeyStatus::of(&node.ctx).unwrap().encryptions
    }

    async fn write_rows(node: &Node, rows: usize) {
        let write = node.ctx.write(|txn| {
            (0..rows).for_each(|n| txn.put(token_row(&n.to_string()), Secret::new(vec![1])));
            Ok(())
        });
        write.await.unwrap();
    }

    #[track_caller]
    fn check(config: RotateConfig, age: u64, encryptions: u64, expected: bool) {
        let installed = Timestamp(1_770_000_000_000);
        let newest = KeyStatus { installed, encryptions, term: crate::machine::KeyTerm(1) };
        assert_eq!(config.is_due(&newest, installed.plus(Ttl(age))), expected);
    }

    #[test]
    fn a_key_is_due_by_age_or_by_use_if_rotation_is_enabled() {
        const DAY: u64 = 24 * 3600;
        let config = RotateConfig { enabled: true, max_operations: 1_000_000, interval: DAY };
        check(config, DAY - 1, 999_999, false);
        check(config, DAY, 0, true);
        check(config, 0, 1_000_000, true);
        check(RotateConfig { enabled: false, ..config }, DAY, 1_000_000, false);
        check(RotateConfig { interval: 0, ..config }, 1000 * DAY, 0, false);
        check(RotateConfig::default(), 1000 * DAY, 3_865_470_565, false);
        check(RotateConfig::default(), 0, 3_865_470_566, true);
    }

    #[tokio::test]
    async fn the_keyring_is_rotated_once_for_each_time_it_is_old_or_used_enough() {
        let node = node().await;
        look(&node.ctx).await;
        assert_eq!(node.term(), 1);
        // A key that is said to be old.
        let config = RotateConfig { interval: 24 * 3600, ..RotateConfig::default() };
        node.ctx
            .write(|txn| {
                config.write(txn);
                rotate(&node.ctx, txn, Timestamp(1))
            })
            .await
            .unwrap();
        look(&node.ctx).await;
        look(&node.ctx).await;
        assert_eq!((node.term(), encryptions(&node)), (3, 0));
        // Fewer operations than the API lets one ask for.
        let config = RotateConfig { max_operations: 20, ..RotateConfig::default() };
        let set = node.ctx.write(|txn| {
            config.write(txn);
            Ok(())
        });
        set.await.unwrap();
        write_rows(&node, 18).await;
        look(&node.ctx).await;
        assert_eq!((node.term(), encryptions(&node)), (3, 19));
        write_rows(&node, 1).await;
        look(&node.ctx).await;
        look(&node.ctx).await;
        assert_eq!((node.term(), encryptions(&node)), (4, 0));
        write_rows(&node, 2).await;
        assert_eq!(encryptions(&node), 2);
    }
}
