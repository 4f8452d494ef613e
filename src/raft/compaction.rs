//! When a snapshot is taken and how far the log is purged.
//!
//! After so many entries or bytes, not on all nodes at once. The log is purged only up to where the state is durable, and a margin
//! stays so that a follower that was away is sent entries and not the whole state. What a follower needs next stays as well, up to a
//! limit: else a slow one, for which the log has gone on whenever it has installed a snapshot, would be sent snapshots for ever.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver;

use super::Options;
use super::adapter::StateMachine;
use super::contact::followers;
use super::fatal::stop_process;
use super::log::LogControl;
use super::types::Types;
use crate::pool::off_thread;
use crate::storage::Physical;

/// A snapshot that is not there after this time is given up, and tried again later.
const SNAPSHOT_WAIT: Duration = Duration::from_secs(60);

/// A follower that has answered within so many heartbeats is waited for.
const ANSWERS_WITHIN: u32 = 20;
/// Entries that are kept at most for followers that are behind, beside those that are kept anyway: so many times those of a snapshot.
const HELD_SNAPSHOTS: u64 = 8;
/// And bytes, those that are kept anyway among them: so many times those.
const HELD_BYTES: u64 = 2;

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
            if let Some(upto) = self.purge_point()
                && self.raft.trigger().purge_log(upto.min(applied)).await.is_err()
            {
                return;
            }
            tracing::info!(applied, "a snapshot was taken");
        }
    }
}

impl Compaction {
    /// The highest index that is needed by nobody any more, or cannot be kept for him.
    fn purge_point(&self) -> Option<u64> {
        let Options { log_keep_entries, log_keep_bytes, snapshot_entries, .. } = self.options;
        let slowest = {
            let metrics = self.raft.metrics();
            let now = metrics.borrow_watched();
            slowest(&now, self.options.heartbeat_interval * ANSWERS_WITHIN)
        };
        let held = log_keep_entries.saturating_add(snapshot_entries.saturating_mul(HELD_SNAPSHOTS));
        let usual = self.log.purge_point(log_keep_entries, log_keep_bytes);
        let limit = self.log.purge_point(held, log_keep_bytes.saturating_mul(HELD_BYTES)).filter(|_| !bug!(154));
        spared(usual, limit, slowest)
    }
}

/// The last entry that all followers have which answered within `patience`; `None` on a node that does not lead, or if none did.
fn slowest(now: &openraft::RaftMetrics<Types>, patience: Duration) -> Option<u64> {
    let alive = followers(now).filter(|(_, answered, _)| bug!(154) || answered.is_some_and(|ago| ago < patience));
    alive.map(|(_, _, matched)| matched.map_or(0, |last| last.index)).min()
}

/// `usual`, but not what comes after `slowest`; `limit` in any case.
fn spared(usual: Option<u64>, limit: Option<u64>, slowest: Option<u64>) -> Option<u64> {
    let spared = usual.map(|upto| slowest.map_or(upto, |last| upto.min(last)));
    spared.max(limit)
}

#[cfg(test)]
mod tests {
    use openraft::Instant as _;
    use openraft::alias::InstantOf;
    use openraft::metrics::SerdeInstant;

    use super::super::types::log_id;
    use super::*;

    #[test]
    fn what_a_follower_needs_next_stays_up_to_a_limit() {
        assert_eq!(spared(None, None, Some(3)), None);
        assert_eq!(spared(Some(90), None, None), Some(90), "nobody is behind");
        assert_eq!(spared(Some(90), None, Some(95)), Some(90));
        assert_eq!(spared(Some(90), None, Some(40)), Some(40));
        assert_eq!(spared(Some(90), Some(50), Some(40)), Some(50), "too far behind");
        assert_eq!(spared(Some(90), Some(50), Some(0)), Some(50));
    }

    #[test]
    fn only_followers_that_answer_are_waited_for() {
        let mut now = openraft::RaftMetrics::<Types>::new_initial(1);
        let answered = |secs: u64| Some(SerdeInstant::new(InstantOf::<Types>::now() - Duration::from_secs(secs)));
        now.heartbeat = Some([(1, answered(0)), (2, answered(0)), (3, answered(9)), (4, None)].into());
        now.replication = Some([(2, Some(log_id(1, 40))), (3, Some(log_id(1, 7)))].into());
        assert_eq!(slowest(&now, Duration::from_secs(1)), Some(40));
        assert_eq!(slowest(&now, Duration::from_secs(60)), Some(7));
    }
}
