//! The names of what Raft counts: those of the reference where they fit, `vault.raft.log.*` for our log.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use metrics::{Histogram, counter, gauge, histogram};

use super::Contacts;
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

/// What is counted of one peer: looked up once, for each message is too often.
#[derive(Clone)]
pub struct ToPeer {
    appends: Histogram,
    entries: Histogram,
    heartbeats: Histogram,
    snapshots: Histogram,
}

impl ToPeer {
    /// Of the node that is called `name`.
    pub fn new(name: &str) -> Self {
        let of = |metric: &'static str| histogram!(metric, "peer" => name.to_owned());
        Self {
            appends: of("vault.raft.replication.appendEntries.rpc"),
            entries: of("vault.raft.replication.appendEntries.log"),
            heartbeats: of("vault.raft.replication.heartbeat"),
            snapshots: of("vault.raft.replication.installSnapshot"),
        }
    }

    /// It answered a message with so many entries; none make a heartbeat.
    pub fn answered(&self, took: Duration, entries: usize) {
        if entries == 0 {
            self.heartbeats.record(ms(took));
        } else {
            self.appends.record(ms(took));
            self.entries.record(entries as f64);
        }
    }

    /// A snapshot was sent to it.
    pub fn snapshot_sent(&self, took: Duration) {
        self.snapshots.record(ms(took));
    }
}

/// What is counted of one stream of appends that is received.
pub struct Appends {
    entries: Histogram,
    heartbeats: Histogram,
}

impl Appends {
    pub fn new() -> Self {
        Self { entries: histogram!("vault.raft.rpc.appendEntries"), heartbeats: histogram!("vault.raft.rpc.processHeartbeat") }
    }

    /// An append was answered.
    pub fn answered(&self, took: Duration, has_entries: bool) {
        let of = if has_entries { &self.entries } else { &self.heartbeats };
        of.record(ms(took));
    }
}

/// A message of a leader or candidate was answered here.
pub fn served(call: &'static str, took: Duration) {
    histogram!(call).record(ms(took));
}

/// What a leader knows of its followers. `led` are those of the last time: what is not known any more is no number.
pub fn followers(contacts: &Contacts, quorum_acked: Option<Duration>, names: &BTreeMap<NodeId, String>, led: &mut BTreeSet<String>) {
    const BEHIND: &str = "vault.raft_storage.follower.applied_index_delta";
    const HEARTBEAT: &str = "vault.raft_storage.follower.last_heartbeat_ms";
    if let Some(ago) = quorum_acked {
        histogram!("vault.raft.leader.lastContact").record(ms(ago));
    }
    let mut now = BTreeSet::new();
    for (id, contact) in &contacts.peers {
        let Some(name) = names.get(id) else { continue };
        let behind = contacts.last.0.saturating_sub(contact.matched.0);
        gauge!(BEHIND, "peer" => name.clone()).set(behind as f64);
        gauge!(HEARTBEAT, "peer" => name.clone()).set(contact.answered.map_or(f64::NAN, ms));
        now.insert(name.clone());
    }
    for gone in led.difference(&now) {
        gauge!(BEHIND, "peer" => gone.clone()).set(f64::NAN);
        gauge!(HEARTBEAT, "peer" => gone.clone()).set(f64::NAN);
    }
    *led = now;
}

/// Where this node stands.
pub fn standing(committed: u64, applied: u64, peers: usize) {
    gauge!("vault.raft_storage.stats.commit_index").set(committed as f64);
    gauge!("vault.raft_storage.stats.applied_index").set(applied as f64);
    gauge!("vault.raft_storage.stats.fsm_pending").set(committed.saturating_sub(applied) as f64);
    gauge!("vault.raft.peers").set(peers as f64);
}

/// This node asked for votes because its leader's connection broke.
pub fn stood_early() {
    counter!("coffer_raft_early_elections_total").increment(1);
}

/// How long this leader's heartbeats take to a majority and back, of late.
pub fn reaches_majority(took: Option<Duration>) {
    gauge!("coffer_raft_majority_round_trip_ms").set(took.map_or(f64::NAN, ms));
}

/// This leader was badly reached, and another node would not have been.
pub fn badly_reached() {
    counter!("coffer_raft_badly_reached_total").increment(1);
}

/// This node asked its voters: how long it took until another node led, or this one.
pub fn elected(took: Duration) {
    histogram!("vault.raft.candidate.electSelf").record(ms(took));
}

/// The part that this node plays changed.
pub fn became(state: &'static str) {
    counter!("vault.raft.state", "state" => state).increment(1);
    match state {
        "leader" => counter!("vault.raft.state.leader").increment(1),
        "candidate" => counter!("vault.raft.state.candidate").increment(1),
        "follower" => counter!("vault.raft.state.follower").increment(1),
        _ => {}
    }
}
