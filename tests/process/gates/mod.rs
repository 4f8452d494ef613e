//! Gates on counters: what a request costs in entries of the log, fsyncs and bytes. Nothing here looks at a clock, so a busy machine
//! gives the same answer as an idle one; what depends on load (how many writes share an fsync) is gated loosely.
//!
//! `docs/performance.md` shows the figures of the day beside these gates.

mod entries;
mod link;
mod pages;
mod writes;

use serde_json::json;

use super::cluster::Cluster;

/// All on one cluster of three nodes: starting one costs more than all that is counted.
#[test]
fn what_a_request_costs_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = Cluster::start(folder.path(), "counted", 3);
    let root = cluster.root.clone();
    let node = cluster.active();
    node.must("sys/mounts/secret", &root, &json!({"type": "kv", "options": {"version": "2"}}));
    pages::no_node_has_huge_ones(&cluster);
    writes::fsyncs_and_bytes_of_a_write(&cluster);
    writes::entries_of_writes_to_one_key(&cluster);
    entries::each_kind_of_request(&cluster, folder.path());
}
