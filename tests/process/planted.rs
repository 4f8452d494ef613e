//! Promises that only a build with the feature `chaos` can be asked to keep, and what its socket says.

use std::time::Duration;

use serde_json::{Value, json};

use super::cluster::Cluster;
use super::node::wait_until;

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
