//! When a snapshot is taken and how far the log is purged.
//!
//! After so many entries or bytes, not on all nodes at once. The log is purged only up to where the state is durable, and a margin
//! stays so that a follower that was away is sent entries and not the whole state.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver;

use super::Options;
use super::adapter::StateMachine;
use super::fatal::stop_process;
use super::log::LogControl;
use super::types::Types;
use crate::pool::off_thread;
use crate::storage::Physical;

/// A snapshot that is not there after this time is given up, and tried again later.
const SNAPSHOT_WAIT: Duration = Duration::from_secs(60);

/// Watches how much has been applied since the last snapshot.
pub struct Compaction {
    pub raft: openraft::Raft<Types, StateMachine>,
    pub store: Arc<dyn Physical>,
    pub log: LogControl,
    pub options: Options,
}

impl Compaction {
    /// Runs until Raft stops.
    pub async fn run(self) {
        // Staggered: nodes that take a snapshot at the same moment slow each other's commits down.
        let entries_max = self.options.snapshot_entries + self.options.node_id.0 % (self.options.snapshot_entries / 4).max(1);
        let mut bytes_at_last = 0;
        let mut ticks = tokio::time::interval(self.options.heartbeat_interval * 10);
        loop {
            ticks.tick().await;
            let (applied, snapshot) = {
                let metrics = self.raft.metrics();
                let now = metrics.borrow_watched();
                (now.last_applied.map_or(0, |id| id.index), now.snapshot.map_or(0, |id| id.index))
            };
            let bytes = self.log.counts.bytes.load(Ordering::Relaxed);
            let is_due = applied >= snapshot.saturating_add(entries_max) || bytes - bytes_at_last >= self.options.snapshot_bytes;
            if !is_due || applied == snapshot {
                continue;
            }
            bytes_at_last = bytes;
            // Most of the work happens here, beside the apply loop; taking the snapshot then holds it up only shortly. Twice, as a good
            // deal comes in during the first.
            let store = self.store.clone();
            match off_thread(move || if bug!(7) { Ok(()) } else { store.flush().and_then(|()| store.flush()) }).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => stop_process("flush the state", &error),
                Err(_) => return,
            }
            if self.raft.trigger().snapshot().await.is_err() {
                return;
            }
            let is_taken = move |now: &openraft::RaftMetrics<Types>| now.snapshot.is_some_and(|id| id.index >= applied);
            if self.raft.wait(Some(SNAPSHOT_WAIT)).metrics(is_taken, "a snapshot that was triggered").await.is_err() {
                tracing::warn!(applied, "no snapshot was taken; the log is kept");
                continue;
            }
            // All entries up to `applied` were applied before the flush.
            if let Some(upto) = self.log.purge_point(self.options.log_keep_entries, self.options.log_keep_bytes)
                && self.raft.trigger().purge_log(upto.min(applied)).await.is_err()
            {
                return;
            }
            tracing::info!(applied, "a snapshot was taken");
        }
    }
}
