//! The seal through standbys and failovers: shares, root tokens, rotation, stepping down and sealing, on three processes.

use std::time::Duration;

use serde_json::{Value, json};

use super::cluster::Cluster;
use super::node::{Answer, Node, wait_until};

const LONG: Duration = Duration::from_secs(60);

/// A standby that knows who is active.
fn standby(cluster: &Cluster) -> &Node {
    let active = cluster.active_index();
    &cluster.nodes[(active + 1) % cluster.nodes.len()]
}

/// Steps down through a standby; returns when another node is active.
fn step_down(cluster: &Cluster) {
    let before = cluster.active_index();
    standby(cluster).must("sys/step-down", &cluster.root, &json!({}));
    wait_until("another node is active", LONG, || cluster.nodes.iter().enumerate().any(|(n, node)| n != before && node.health() == 200));
}

#[track_caller]
fn refused(answer: Option<Answer>, status: u16, text: &str) {
    let (got, answer) = answer.expect("an answer");
    assert!(got == status && answer["errors"].to_string().contains(text), "{got} {answer}");
}

/// Gives shares one by one to `path`, through a standby; the last answer.
fn give(cluster: &Cluster, path: &str, nonce: &Value, shares: &[String]) -> Value {
    shares.iter().fold(Value::Null, |_, key| standby(cluster).must(path, "", &json!({ "key": key, "nonce": nonce })))
}

fn key_status(node: &Node, root: &str) -> (u64, u64) {
    let (_, answer) = node.get("sys/key-status", root).expect("an answer");
    (answer["data"]["term"].as_u64().unwrap(), answer["data"]["encryptions"].as_u64().unwrap())
}

#[test]
fn a_root_token_is_generated_through_standbys_by_who_knows_shares_and_password() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = Cluster::start(folder.path(), "roots", 3);
    let (attempt, update) = ("sys/generate-root/attempt", "sys/generate-root/update");
    let share = &cluster.keys[0];
    let node = standby(&cluster);
    refused(node.put(update, "", &json!({ "key": share, "nonce": "x" })), 400, "no root generation in progress");
    refused(node.put(attempt, "", &json!({ "otp": "short" })), 400, "OTP string is wrong length");
    let begun = node.must(attempt, "", &json!({}));
    refused(node.put(attempt, "", &json!({})), 400, "root generation already in progress");
    refused(node.put(update, "", &json!({ "key": share, "nonce": "x" })), 400, "incorrect nonce supplied");
    refused(node.put(update, "", &json!({ "nonce": begun["nonce"] })), 400, "'key' must be specified");
    assert_eq!(give(&cluster, update, &begun["nonce"], &cluster.keys[..1])["progress"], 1);
    refused(node.put(update, "", &json!({ "key": share, "nonce": begun["nonce"] })), 400, "already been provided");
    assert_eq!(node.call("DELETE", attempt, "", None).unwrap().0, 204);
    assert_eq!(node.get(attempt, "").unwrap().1["started"], false);

    // What was begun does not outlive its node's time as the active one.
    let begun = node.must(attempt, "", &json!({}));
    let first = cluster.active_index();
    give(&cluster, update, &begun["nonce"], &cluster.keys[..1]);
    step_down(&cluster);
    refused(cluster.nodes[first].put(update, "", &json!({ "key": share, "nonce": begun["nonce"] })), 400, "no root generation in progress");

    let otp = "A1b2C3d4E5f6G7h8I9j0K1l2M3n4";
    let begun = standby(&cluster).must(attempt, "", &json!({ "otp": otp }));
    assert_eq!(begun["otp"], "");
    let done = give(&cluster, update, &begun["nonce"], &cluster.keys);
    assert_eq!(done["complete"], true);
    let decoded = node.must("sys/decode-token", "", &json!({ "encoded_token": done["encoded_token"], "otp": otp }));
    let token = decoded["data"]["token"].as_str().unwrap();
    assert_eq!(standby(&cluster).get("auth/token/lookup-self", token).unwrap().1["data"]["policies"], json!(["root"]));
}

#[test]
fn new_shares_replace_the_old_ones_on_all_nodes_and_the_count_of_encryptions_stays() {
    let folder = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::start(folder.path(), "shares", 3);
    let root = cluster.root.clone();
    let (init, update) = ("sys/rekey/init", "sys/rekey/update");
    let node = standby(&cluster);
    let wanted = json!({"secret_shares": 4, "secret_threshold": 3});
    refused(node.put(update, "", &json!({ "key": cluster.keys[0], "nonce": "x" })), 400, "no barrier rekey in progress");
    refused(node.get("sys/rekey/verify", ""), 400, "no rekey configuration found");
    refused(node.get("sys/rekey/backup", &root), 400, "no backed-up keys found");
    refused(node.get("sys/rekey-recovery-key/init", ""), 400, "recovery rekeying not supported");
    let begun = node.must(init, "", &wanted);
    refused(node.put(init, "", &wanted), 400, "rekey already in progress");
    refused(node.put(update, "", &json!({ "key": cluster.keys[0], "nonce": "x" })), 400, "incorrect nonce supplied");
    give(&cluster, update, &begun["nonce"], &cluster.keys[..1]);
    assert_eq!(node.call("DELETE", init, "", None).unwrap().0, 204);
    assert_eq!(node.get(init, "").unwrap().1["started"], false);
    let begun = node.must(init, "", &json!({"secret_shares": 4, "secret_threshold": 3, "require_verification": true}));
    let done = give(&cluster, update, &begun["nonce"], &cluster.keys);
    assert_eq!((&done["complete"], &done["verification_required"]), (&json!(true), &json!(true)));
    let new: Vec<String> = done["keys_base64"].as_array().unwrap().iter().map(|key| key.as_str().unwrap().to_owned()).collect();
    assert_eq!(new.len(), 4);
    let verify = "sys/rekey/verify";
    refused(node.put(verify, "", &json!({ "key": new[0], "nonce": begun["nonce"] })), 400, "incorrect nonce supplied");
    let waiting = node.get(verify, "").unwrap().1;
    assert_eq!((&waiting["t"], &waiting["n"], &waiting["progress"]), (&json!(3), &json!(4), &json!(0)));
    assert_eq!(give(&cluster, verify, &waiting["nonce"], &new[..3])["complete"], true);

    // Rotated through a standby; counted alike on every node, and on from there after a failover.
    node.must("sys/rotate", &root, &json!({}));
    node.must("sys/policies/acl/one", &root, &json!({"policy": "path \"a\" { capabilities = [\"read\"] }"}));
    let counted = key_status(node, &root);
    assert_eq!(counted, (2, 1));
    step_down(&cluster);
    assert_eq!(key_status(standby(&cluster), &root), counted);

    // Sealed, the active node is followed by another; a standby is never sealed through the API.
    refused(standby(&cluster).put("sys/seal", &root, &json!({})), 500, "cannot seal when in standby mode");
    let active = cluster.active_index();
    cluster.nodes[active].must("sys/seal", &root, &json!({}));
    assert_eq!(cluster.nodes[active].health(), 503);
    assert_ne!(cluster.active_index(), active);

    cluster.nodes.iter_mut().for_each(Node::kill);
    cluster.nodes.iter_mut().for_each(Node::start);
    for node in &cluster.nodes {
        node.must("sys/unseal", "", &json!({ "key": cluster.keys[0] }));
        node.must("sys/unseal", "", &json!({ "key": cluster.keys[1] }));
        refused(node.put("sys/unseal", "", &json!({ "key": new[0] })), 400, "invalid key");
    }
    cluster.nodes.iter().for_each(|node| node.unseal(&new[1..]));
    let (status, _) = standby(&cluster).get("sys/policies/acl/one", &root).unwrap();
    assert_eq!((status, key_status(standby(&cluster), &root)), (200, counted));
}
