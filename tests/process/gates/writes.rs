//! Fsyncs and bytes of a KV write, on each node: one client after the other, and many at once.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;

use crate::cluster::Cluster;
use crate::node::Node;

/// Writes of one client, one after the other.
const ALONE: usize = 200;
/// Writes of [`CLIENTS`] clients.
const TOGETHER: usize = 1800;
const CLIENTS: usize = 16;

/// Measured: 1.0 on each node, and once a second one more for the mark of the log.
const SYNCS_ALONE_MAX: f64 = 2.0;
/// Measured: 0.22 to 0.41. How many share one depends on load: what is gated is that they do.
const SYNCS_TOGETHER_MAX: f64 = 0.8;
/// Of a value of 256 bytes: the entry in the log. Measured: 1,002.
const LOG_BYTES_MAX: f64 = 1100.0;
/// Of the same, all that the process has the kernel write, in blocks of 4 KiB: each fsync writes the log's last one anew.
/// Measured: 5,200 to 5,300.
const DISK_BYTES_ALONE_MAX: f64 = 8192.0;
/// Measured: 1,900 to 2,700.
const DISK_BYTES_TOGETHER_MAX: f64 = 5000.0;

/// Writes of [`CLIENTS`] clients to one key.
const CONTESTED: usize = 320;
/// Of such a write, all of which succeed: who takes turns seldom proposes what somebody else refutes. Measured: 1.00 to 1.05.
const ENTRIES_CONTESTED_MAX: f64 = 1.5;

/// What one node has done so far.
#[derive(Clone, Copy)]
struct Done {
    entries: f64,
    syncs: f64,
    log_bytes: f64,
    disk_bytes: f64,
}

impl Done {
    fn by(node: &Node) -> Self {
        let metric = |name: &str| node.metric(name).unwrap_or_else(|| panic!("{name} is counted"));
        Self {
            entries: metric("vault_raft_log_entries"),
            syncs: metric("vault_raft_log_syncs"),
            log_bytes: metric("vault_raft_log_bytes"),
            disk_bytes: disk_bytes(node),
        }
    }

    fn since(self, before: Self) -> Self {
        Self {
            entries: self.entries - before.entries,
            syncs: self.syncs - before.syncs,
            log_bytes: self.log_bytes - before.log_bytes,
            disk_bytes: self.disk_bytes - before.disk_bytes,
        }
    }
}

/// Bytes that the process has caused to be written to its disk, as the kernel counts them.
fn disk_bytes(node: &Node) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{}/io", node.pid().expect("it runs"))).expect("the kernel counts");
    let line = text.lines().find_map(|line| line.strip_prefix("write_bytes: ")).expect("a line of bytes written");
    line.parse().expect("a number")
}

fn write(node: &Node, root: &str, name: &str) {
    node.must(&format!("secret/data/{name}"), root, &json!({"data": {"v": "x".repeat(256)}}));
}

/// Does `work` for each number below `count`, as [`CLIENTS`] clients.
fn at_once(count: usize, work: impl Fn(usize) + Sync) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= count {
                        break;
                    }
                    work(n);
                }
            });
        }
    });
}

pub(super) fn entries_of_writes_to_one_key(cluster: &Cluster) {
    let node = cluster.active();
    let before = Done::by(node);
    at_once(CONTESTED, |_| write(node, &cluster.root, "contested"));
    let entries = Done::by(node).since(before).entries / CONTESTED as f64;
    println!("{entries:.2} entries a write to one key, many clients");
    assert!(entries <= ENTRIES_CONTESTED_MAX, "{entries:.2} entries a write to one key, more than {ENTRIES_CONTESTED_MAX}");
}

pub(super) fn fsyncs_and_bytes_of_a_write(cluster: &Cluster) {
    let root = cluster.root.as_str();
    let node = cluster.active();
    let done = || -> Vec<Done> { cluster.nodes.iter().map(Done::by).collect() };
    let before = done();
    for n in 0..ALONE {
        write(node, root, &format!("alone{n}"));
    }
    let between = done();
    at_once(TOGETHER, |n| write(node, root, &format!("together{n}")));
    let after = done();
    let mut wrong = Vec::new();
    for (n, ((before, between), after)) in before.iter().zip(&between).zip(&after).enumerate() {
        let (alone, together, all) = (between.since(*before), after.since(*between), after.since(*before));
        let figures = [
            ("fsyncs a write, one client", alone.syncs / ALONE as f64, SYNCS_ALONE_MAX),
            ("fsyncs a write, many clients", together.syncs / TOGETHER as f64, SYNCS_TOGETHER_MAX),
            ("bytes of an entry in the log", all.log_bytes / all.entries, LOG_BYTES_MAX),
            ("bytes to disk a write, one client", alone.disk_bytes / ALONE as f64, DISK_BYTES_ALONE_MAX),
            ("bytes to disk a write, many clients", together.disk_bytes / TOGETHER as f64, DISK_BYTES_TOGETHER_MAX),
        ];
        for (what, figure, gate) in figures {
            println!("node {n}: {figure:.2} {what}");
            if figure > gate {
                wrong.push(format!("node {n}: {figure:.2} {what}, more than {gate}"));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
