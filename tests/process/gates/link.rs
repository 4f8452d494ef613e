//! What a secondary costs its primary: bytes on the link for each record, and no entry of the log.

use std::time::Duration;

use serde_json::json;

use crate::node::{Node, wait_until};
use crate::replication::{replicating, status};

const LONG: Duration = Duration::from_secs(60);
const WRITES: usize = 300;

/// Of a KV write with a value of 256 bytes, measured: 798 in messages and 781 on the wire (only what is around the ciphertext compresses).
const RECORD_BYTES_MAX: f64 = 880.0;
/// Bytes on the wire for a byte of message: compression, framing and heartbeats. Measured: 0.98.
const WIRE_RATIO_MAX: f64 = 1.15;

fn counts(node: &Node) -> [f64; 4] {
    let metric = |name: &str| node.metric(name).unwrap_or_else(|| panic!("{name} is counted"));
    [
        metric("vault_raft_apply"),
        metric("coffer_replication_records_sent_total"),
        metric("coffer_cluster_link_message_bytes_total"),
        metric("coffer_cluster_link_sent_bytes_total"),
    ]
}

#[test]
fn a_record_costs_its_bytes_and_a_secondary_no_entry() {
    let pair = replicating(1);
    let (primary, secondary) = (pair.primary.active(), pair.secondary.active());
    let root = pair.primary.root.as_str();
    let is_level = || status(secondary)["last_remote_wal"] == status(primary)["last_performance_wal"];
    primary.must("secret/data/first", root, &json!({"data": {"v": 1}}));
    wait_until("the secondary is level", LONG, is_level);
    let before = counts(primary);
    for n in 0..WRITES {
        primary.must(&format!("secret/data/shipped{n}"), root, &json!({"data": {"v": "x".repeat(256)}}));
    }
    wait_until("the secondary is level", LONG, is_level);
    let after = counts(primary);
    let [entries, records, message_bytes, wire_bytes] = std::array::from_fn(|n| after[n] - before[n]);
    let figure = |bytes: f64| bytes / WRITES as f64;
    println!(
        "{entries} entries, {records} records, {:.0} message bytes and {:.0} bytes sent each",
        figure(message_bytes),
        figure(wire_bytes)
    );
    assert_eq!((entries, records), (WRITES as f64, WRITES as f64), "one entry a write and one record an entry");
    assert!(figure(message_bytes) <= RECORD_BYTES_MAX, "{:.0} bytes a record", figure(message_bytes));
    assert!(wire_bytes <= message_bytes * WIRE_RATIO_MAX, "{wire_bytes} bytes sent for {message_bytes} of messages");
}
