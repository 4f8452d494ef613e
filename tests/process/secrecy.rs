//! What is secret must lie nowhere in the clear: not in data folders, logs or audit files. What crosses the wire is in `traffic`.

use std::fs;

use serde_json::json;

use super::cluster::Cluster;
use super::needles::Needles;

const CANARY: &str = "canary-7f3a9c51d2e8";

#[test]
fn no_value_token_or_password_lies_in_the_clear() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = Cluster::start(folder.path(), "quiet", 3);
    let root = cluster.root.as_str();
    let node = cluster.active();
    let audit = folder.path().join("audit.log");
    node.must("sys/audit/file", root, &json!({"type": "file", "options": {"file_path": audit}}));
    node.must("sys/mounts/secret", root, &json!({"type": "kv", "options": {"version": "2"}}));
    node.must("secret/data/app", root, &json!({"data": {"password": CANARY}}));
    node.must("cubbyhole/app", root, &json!({"password": CANARY}));
    node.must("sys/auth/userpass", root, &json!({"type": "userpass"}));
    node.must("auth/userpass/users/u", root, &json!({"password": CANARY, "policies": "default"}));
    let login = node.must("auth/userpass/login/u", "", &json!({"password": CANARY}));
    let token = login["auth"]["client_token"].as_str().unwrap().to_owned();
    // Wrong in many ways, with the canary in each.
    node.put("secret/data/app", root, &json!({"data": CANARY}));
    node.put("auth/userpass/login/u", "", &json!({"password": format!("wrong-{CANARY}")}));
    node.put(&format!("auth/userpass/login/{}", "x"), "", &json!({ "nonsense": CANARY }));
    node.get("secret/data/app", CANARY);
    let (status, answer) = node.get("secret/data/app", root).unwrap();
    assert_eq!((status, answer["data"]["data"]["password"].as_str()), (200, Some(CANARY)));
    // A standby answers the same, having handed it on.
    let standby = cluster.nodes.iter().find(|other| other.port != node.port).unwrap();
    assert_eq!(standby.get("secret/data/app", root).unwrap().1["data"]["data"]["password"], CANARY);

    let lines = fs::read_to_string(&audit).unwrap();
    assert!(lines.lines().count() >= 10, "the audit file has lines");
    let mut secrets = Needles::new();
    secrets.add("a value or password", CANARY);
    secrets.add("a token", &token);
    secrets.add("the root token", root);
    cluster.keys.iter().for_each(|key| secrets.add("an unseal key", key));
    let found = secrets.found_below(folder.path());
    assert!(found.is_empty(), "in the clear: {found:#?}");
}
