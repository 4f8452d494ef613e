//! What is written in the clear must lie nowhere: not in data folders, logs or audit files, and not in what crosses the wire.

use std::fs;
use std::path::Path;

use serde_json::json;

use super::cluster::Cluster;

const CANARY: &str = "canary-7f3a9c51d2e8";

fn files_with(folder: &Path, needle: &[u8], found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files_with(&path, needle, found);
        } else if fs::read(&path).is_ok_and(|bytes| bytes.windows(needle.len()).any(|window| window == needle)) {
            found.push(path.display().to_string());
        }
    }
}

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
    let mut found = Vec::new();
    for needle in [CANARY, token.as_str(), root] {
        files_with(folder.path(), needle.as_bytes(), &mut found);
    }
    for key in &cluster.keys {
        files_with(folder.path(), key.as_bytes(), &mut found);
    }
    assert!(found.is_empty(), "in the clear: {found:#?}");
}
