//! kill -9 of any node, in the middle of many writes, loses no acknowledged one and leaves no half-made one.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use super::cluster::Cluster;
use super::node::wait_until;

const WRITERS: usize = 16;
const WRITES: usize = 1000;

/// Writers go on through kills; each acknowledged write must be there afterwards, on every node, with its record.
#[test]
fn kill_9_loses_no_acknowledged_write() {
    let folder = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::start(folder.path(), "durable", 3);
    let root = cluster.root.clone();
    cluster.active().must("sys/mounts/secret", &root, &json!({"type": "kv", "options": {"version": "2"}}));

    let acknowledged: Mutex<BTreeMap<String, usize>> = Mutex::new(BTreeMap::new());
    let next = AtomicUsize::new(0);
    let is_over = AtomicBool::new(false);
    let ports: Vec<u16> = cluster.nodes.iter().map(|node| node.port).collect();
    std::thread::scope(|scope| {
        let mut writers = Vec::new();
        for writer in 0..WRITERS {
            let (acknowledged, next, ports, root) = (&acknowledged, &next, &ports, &root);
            writers.push(scope.spawn(move || {
                let agent: ureq::Agent =
                    ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(Duration::from_secs(10))).build().into();
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= WRITES {
                        return;
                    }
                    let name = format!("k{n}");
                    // A write that is not acknowledged may or may not have happened, so it is tried with the same value again.
                    for attempt in 0..400 {
                        let port = ports[(writer + attempt) % ports.len()];
                        let body = json!({ "data": { "n": n } }).to_string();
                        let answer = agent
                            .put(format!("http://127.0.0.1:{port}/v1/secret/data/{name}"))
                            .header("X-Vault-Token", root)
                            .send(body.as_bytes());
                        if answer.is_ok_and(|answer| answer.status() == 200) {
                            acknowledged.lock().unwrap().insert(name, n);
                            break;
                        }
                        std::thread::sleep(Duration::from_millis(25));
                    }
                }
            }));
        }
        let killer = scope.spawn(|| {
            let mut kills = 0;
            let mut victim_is_active = true;
            while !is_over.load(Ordering::Relaxed) && kills < 4 {
                let target = (kills + 1) * WRITES / 6;
                wait_until("writes go on", Duration::from_secs(120), || acknowledged.lock().unwrap().len() >= target);
                let active = cluster.active_index();
                let victim = if victim_is_active { active } else { (active + 1) % 3 };
                cluster.nodes[victim].kill();
                victim_is_active = !victim_is_active;
                let keys = cluster.keys.clone();
                cluster.revive(victim, &keys);
                kills += 1;
            }
            kills
        });
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        is_over.store(true, Ordering::Relaxed);
        assert!(killer.join().unwrap() >= 2, "the test must kill while writes go on");
    });

    let acknowledged = acknowledged.into_inner().unwrap();
    assert!(acknowledged.len() > WRITES * 9 / 10, "only {} of {WRITES} writes were acknowledged", acknowledged.len());
    // All three killed at once, and everything read back.
    cluster.nodes.iter_mut().for_each(super::node::Node::kill);
    cluster.nodes.iter_mut().for_each(super::node::Node::start);
    let keys = cluster.keys.clone();
    cluster.nodes.iter().for_each(|node| node.unseal(&keys));
    let active = cluster.active();
    for (name, n) in &acknowledged {
        let (status, answer) = active.get(&format!("secret/data/{name}"), &root).expect("an answer");
        assert_eq!((status, &answer["data"]["data"]["n"]), (200, &json!(n)), "{name}: {answer}");
        let (status, record) = active.get(&format!("secret/metadata/{name}"), &root).expect("an answer");
        let versions = record["data"]["versions"].as_object().map_or(0, serde_json::Map::len);
        assert_eq!((status, Some(versions as u64)), (200, record["data"]["current_version"].as_u64()), "{name}: {record}");
    }
}

/// One entry a request, and one fsync a node for it; many at once share fsyncs. Counted, not timed.
#[test]
fn a_write_costs_one_entry_and_at_most_two_fsyncs() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = Cluster::start(folder.path(), "counted", 1);
    let root = cluster.root.as_str();
    let node = cluster.active();
    node.must("sys/mounts/secret", root, &json!({"type": "kv", "options": {"version": "2"}}));
    let applied = |node: &super::node::Node| -> u64 {
        node.get("sys/leader", "").and_then(|(_, answer)| answer["raft_applied_index"].as_u64()).expect("an applied index")
    };
    let fsyncs = |node: &super::node::Node| node.metric("vault_raft_log_syncs").expect("the counter of fsyncs");
    let encryptions = |node: &super::node::Node| -> u64 {
        node.get("sys/key-status", root).and_then(|(_, answer)| answer["data"]["encryptions"].as_u64()).expect("a number of encryptions")
    };
    let encryptions_before = encryptions(node);
    let (entries_before, fsyncs_before) = (applied(node), fsyncs(node));
    for n in 0..50 {
        node.must(&format!("secret/data/k{n}"), root, &json!({"data": {"n": n}}));
    }
    // What is told of the log may be a moment older than the answer to a write.
    wait_until("the last write counts", Duration::from_secs(30), || applied(node) >= entries_before + 50);
    let (entries, synced) = (applied(node) - entries_before, fsyncs(node) - fsyncs_before);
    assert!((50..=52).contains(&entries), "{entries} entries for 50 writes");
    assert!(synced <= 104.0, "{synced} fsyncs for 50 writes one after the other");
    assert_eq!(encryptions(node) - encryptions_before, 100, "a record and a version for each write");
    // A read costs neither.
    let (entries_before, fsyncs_before) = (applied(node), fsyncs(node));
    for n in 0..50 {
        let answer: Option<(u16, Value)> = node.get(&format!("secret/data/k{n}"), root);
        assert_eq!(answer.map(|(status, _)| status), Some(200));
    }
    assert!(applied(node) - entries_before <= 1 && fsyncs(node) - fsyncs_before <= 2.0);
}
