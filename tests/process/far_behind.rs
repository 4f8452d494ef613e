//! A node that is so far behind that the log no longer reaches back to it is sent the state, while writes go on.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;

use super::cluster::Cluster;
use super::node::{Node, wait_until};

const LONG: Duration = Duration::from_secs(90);

/// Writes `secret/data/kN` through `ports` in turn until each is acknowledged.
fn write(ports: &[u16], root: &str, n: usize) {
    let agent: ureq::Agent =
        ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(Duration::from_secs(10))).build().into();
    let body = json!({ "data": { "n": n, "filling": "x".repeat(4000) } }).to_string();
    for attempt in 0..600 {
        let url = format!("http://127.0.0.1:{}/v1/secret/data/k{n}", ports[attempt % ports.len()]);
        if agent.put(url).header("X-Vault-Token", root).send(body.as_bytes()).is_ok_and(|answer| answer.status() == 200) {
            return;
        }
        std::thread::sleep(Duration::from_millis(25));
    }
    panic!("write {n} was never acknowledged");
}

/// Ends the writers, also where the test fails: they would be waited for.
struct Over<'o>(&'o AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn applied(node: &Node) -> u64 {
    node.get("sys/leader", "").and_then(|(_, answer)| answer["raft_applied_index"].as_u64()).unwrap_or(0)
}

/// Whether a snapshot is arriving in `data`.
fn is_receiving(data: &Path) -> bool {
    std::fs::read_dir(data.join("raft/staging")).is_ok_and(|mut entries| entries.next().is_some())
}

/// Whether a snapshot was installed, sealed or not.
fn has_installed(node: &Node) -> bool {
    std::fs::read_to_string(node.log_path()).is_ok_and(|log| log.contains("a snapshot of the leader was installed"))
}

#[test]
fn a_node_far_behind_is_sent_the_state_through_kills_of_both_ends() {
    let folder = tempfile::tempdir().unwrap();
    let tune = |node: &Node| node.configure("storage \"raft\" {", "storage \"raft\" {\n  trailing_logs = 20\n  snapshot_threshold = 40");
    let mut cluster = Cluster::start_with(folder.path(), "behind", 3, tune);
    let (root, keys) = (cluster.root.clone(), cluster.keys.clone());
    cluster.active().must("sys/mounts/secret", &root, &json!({"type": "kv", "options": {"version": "2"}}));
    let active = cluster.active_index();
    let (behind, other) = ((active + 1) % 3, (active + 2) % 3);
    let data = folder.path().join(&cluster.nodes[behind].name);
    cluster.nodes[behind].kill();

    let (next, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let ports = [cluster.nodes[active].port, cluster.nodes[other].port];
    std::thread::scope(|scope| {
        let over = Over(&is_over);
        for writer in 0..4 {
            let (next, is_over, root) = (&next, &is_over, &root);
            let mut ports = ports;
            ports.rotate_left(writer % 2);
            scope.spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    write(&ports, root, next.fetch_add(1, Ordering::Relaxed));
                }
            });
        }
        // More than is kept for one that has just gone.
        wait_until("the log no longer reaches back", LONG, || next.load(Ordering::Relaxed) > 1500);
        // The receiving end dies while the state arrives, then the sending one; each goes on from there.
        cluster.nodes[behind].start();
        wait_until("the state is on its way", LONG, || is_receiving(&data));
        cluster.nodes[behind].kill();
        cluster.nodes[behind].start();
        // Or it was there already, and the log is kept for it from then on.
        wait_until("the state is on its way again", LONG, || is_receiving(&data) || has_installed(&cluster.nodes[behind]));
        cluster.nodes[active].kill();
        cluster.revive(active, &keys);
        cluster.nodes[behind].unseal(&keys);
        let target = applied(&cluster.nodes[active]);
        wait_until("it has caught up while writes go on", LONG, || applied(&cluster.nodes[behind]) >= target);
        drop(over);
    });

    // It becomes active, and has all.
    wait_until("nobody lacks anything", LONG, || {
        let reached: Vec<u64> = cluster.nodes.iter().map(applied).collect();
        reached.iter().all(|index| *index == reached[0])
    });
    cluster.nodes[other].kill();
    wait_until("the node that was behind is active", LONG, || {
        if cluster.nodes[active].health() == 200 {
            cluster.nodes[active].put("sys/step-down", &root, &json!({}));
        }
        cluster.nodes[behind].health() == 200
    });
    let node = &cluster.nodes[behind];
    for n in 0..next.load(Ordering::Relaxed) {
        let (status, answer) = node.get(&format!("secret/data/k{n}"), &root).expect("an answer");
        assert_eq!((status, &answer["data"]["data"]["n"]), (200, &json!(n)), "{answer}");
    }
    assert!(has_installed(node), "the test must need a snapshot");
}
