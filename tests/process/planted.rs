//! Promises that only a build with the feature `chaos` can be asked to keep, and what its socket says.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use super::cluster::Cluster;
use super::node::{Node, wait_until};
use super::replication::replicating;

#[test]
fn a_panic_in_raft_ends_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::start(folder.path(), "panic", 1);
    assert_eq!(cluster.nodes[0].chaos("failpoint apply-batch.before panic"), "ok");
    // There may be no answer.
    let _ = cluster.nodes[0].put("sys/policies/acl/p", &cluster.root, &json!({ "policy": "path \"a\" { capabilities = [\"read\"] }" }));
    wait_until("the process has ended", Duration::from_secs(20), || cluster.nodes[0].has_ended());
}

#[test]
fn an_answer_that_no_device_takes_is_not_given() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = Cluster::start(folder.path(), "audit", 1);
    let (node, root) = (&cluster.nodes[0], cluster.root.as_str());
    node.must("sys/policies/acl/p", root, &json!({ "policy": "path \"a\" { capabilities = [\"read\"] }" }));
    let file = folder.path().join("audit.log");
    node.must("sys/audit/file", root, &json!({ "type": "file", "options": { "file_path": file } }));
    assert_eq!(node.get("sys/policies/acl/p", root).unwrap().0, 200);
    // The line of the request is taken, that of the answer is not.
    assert_eq!(node.chaos("failpoint audit-write.before error:2"), "ok");
    let (status, answer) = node.get("sys/policies/acl/p", root).unwrap();
    assert_eq!((status, &answer["data"]), (500, &Value::Null));
    assert_eq!(node.get("sys/policies/acl/p", root).unwrap().0, 200);
}

#[test]
fn the_socket_says_how_a_node_stands_and_sets_its_clock() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = Cluster::start(folder.path(), "socket", 1);
    let node = &cluster.nodes[0];
    let dump = || serde_json::from_str::<Value>(&node.chaos("dump")).unwrap();
    let before = dump();
    assert_eq!((&before["role"], &before["raft"]["leads"]), (&json!("disabled"), &json!(true)));
    node.must("sys/policies/acl/p", &cluster.root, &json!({ "policy": "path \"a\" { capabilities = [\"read\"] }" }));
    let after = dump();
    assert_ne!(before["roots"]["shared"], after["roots"]["shared"]);
    assert!(after["performance"].as_u64() > before["performance"].as_u64(), "{before} {after}");
    assert!(!after.to_string().contains(&cluster.root));

    let now = || node.get("sys/health", "").unwrap().1["server_time_utc"].as_u64().unwrap();
    let then = now();
    assert_eq!(node.chaos("clock offset 3600000"), "ok");
    assert!((3590..3700).contains(&(now() - then)));
    assert!(node.chaos("failpoint nowhere kill").starts_with("error: "));
}

fn passed_by(node: &Node) -> BTreeSet<String> {
    let dump: Value = serde_json::from_str(&node.chaos("dump")).unwrap();
    dump["failpoints"].as_object().unwrap().keys().cloned().collect()
}

/// A name that nothing passes would be a kill that never happens.
#[test]
fn every_failpoint_is_passed_by_what_clusters_do() {
    let pair = replicating(1);
    let (node, root) = (pair.primary.active(), pair.primary.root.as_str());
    node.must("sys/audit/file", root, &json!({ "type": "file", "options": { "file_path": node.log_path().with_extension("audit") } }));
    node.must("sys/rotate", root, &json!({}));
    let limited = node.must("auth/token/create", root, &json!({ "num_uses": 5 }));
    let limited = limited["auth"]["client_token"].as_str().unwrap();
    assert_eq!(node.get("auth/token/lookup-self", limited).unwrap().0, 200);
    node.must("auth/token/revoke", root, &json!({ "token": limited }));
    let nonce = node.must("sys/rekey/init", root, &json!({ "secret_shares": 3, "secret_threshold": 2 }))["nonce"].clone();
    for key in &pair.primary.keys {
        node.must("sys/rekey/update", root, &json!({ "key": key, "nonce": nonce }));
    }
    let mut passed: BTreeSet<String> = [&pair.primary, &pair.secondary].iter().flat_map(|cluster| passed_by(cluster.active())).collect();

    let folder = tempfile::tempdir().unwrap();
    let tune = |node: &Node| node.configure("storage \"raft\" {", "storage \"raft\" {\n  trailing_logs = 5\n  snapshot_threshold = 20");
    let small = Cluster::start_with(folder.path(), "small", 1, tune);
    wait_until("it has taken a snapshot and purged its log", Duration::from_secs(60), || {
        small.active().must("auth/token/create", &small.root, &json!({}));
        passed_by(small.active()).contains("purge.after")
    });
    passed.extend(passed_by(small.active()));

    let seldom = BTreeSet::from(["seal-config-write.between"]);
    let missing: Vec<&str> = coffer::chaos::POINTS.iter().map(|point| point.name).filter(|name| !passed.contains(*name)).collect();
    assert_eq!(missing, seldom.into_iter().collect::<Vec<_>>());
}
