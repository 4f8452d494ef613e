//! The names of what Raft counts: those of the reference where they fit, `vault.raft.log.*` for our log.

use std::time::Duration;

use metrics::{counter, gauge, histogram};

use crate::types::NodeId;

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// Entries were written to the log.
pub fn log_entries(count: u64) {
    counter!("vault.raft.log.entries").increment(count);
}

/// Bytes were written to the log.
pub fn log_bytes(count: u64) {
    counter!("vault.raft.log.bytes").increment(count);
}

/// A file of the log was synced once.
pub fn log_synced(took: Duration) {
    counter!("vault.raft.log.syncs").increment(1);
    histogram!("vault.raft.log.sync").record(ms(took));
}

/// An entry was proposed, and came back applied.
pub fn committed(took: Duration, bytes: usize) {
    counter!("vault.raft.apply").increment(1);
    histogram!("vault.raft.commitTime").record(ms(took));
    histogram!("vault.raft-storage.entry_size").record(bytes as f64);
}

/// A read asked whether this node still leads.
pub fn verified() {
    counter!("vault.raft.verify_leader").increment(1);
}

/// A batch of entries was applied.
pub fn applied(took: Duration, entries: usize) {
    histogram!("vault.raft.fsm.applyBatch").record(ms(took));
    histogram!("vault.raft.fsm.apply").record(entries as f64);
    counter!("vault.raft.fsm.applyBatchNum").increment(entries as u64);
}

/// A snapshot was taken.
pub fn snapshot_taken(took: Duration) {
    histogram!("vault.raft.snapshot.takeSnapshot").record(ms(took));
    histogram!("vault.raft.fsm.snapshot").record(ms(took));
}

/// A snapshot was installed.
pub fn restored(took: Duration) {
    counter!("vault.raft.restore").increment(1);
    histogram!("vault.raft.fsm.restore").record(ms(took));
}

/// An answer came from a peer that entries were sent to.
pub fn replicated(to: NodeId, took: Duration) {
    histogram!("vault.raft.replication.appendEntries.rpc", "peer" => to.to_string()).record(ms(took));
}

/// A snapshot was sent to a peer.
pub fn snapshot_sent(to: NodeId, took: Duration) {
    histogram!("vault.raft.replication.installSnapshot", "peer" => to.to_string()).record(ms(took));
}

/// Where this node stands.
pub fn standing(committed: u64, applied: u64, peers: usize) {
    gauge!("vault.raft_storage.stats.commit_index").set(committed as f64);
    gauge!("vault.raft_storage.stats.applied_index").set(applied as f64);
    gauge!("vault.raft_storage.stats.fsm_pending").set(committed.saturating_sub(applied) as f64);
    gauge!("vault.raft.peers").set(peers as f64);
}

/// The part that this node plays changed.
pub fn became(state: &'static str) {
    counter!("vault.raft.state", "state" => state).increment(1);
    match state {
        "leader" => counter!("vault.raft.state.leader").increment(1),
        "candidate" => counter!("vault.raft.state.candidate").increment(1),
        _ => {}
    }
}
