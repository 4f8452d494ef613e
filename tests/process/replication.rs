//! A primary and a secondary, three nodes each: what crosses, what stays, and what kills do to it.

use std::time::Duration;

use serde_json::{Value, json};

use super::cluster::Cluster;
use super::node::{Node, wait_until};

const LONG: Duration = Duration::from_secs(60);

pub fn status(node: &Node) -> Value {
    node.get("sys/replication/performance/status", "").map(|(_, answer)| answer["data"].clone()).unwrap_or_default()
}

fn login(node: &Node) -> Option<String> {
    let (status, answer) = node.put("auth/userpass/login/tester", "", &json!({"password": "changeme"}))?;
    (status == 200).then(|| answer["auth"]["client_token"].as_str().unwrap().to_owned())
}

fn reads(node: &Node, token: &str, path: &str) -> Option<Value> {
    let (status, answer) = node.get(path, token)?;
    (status == 200).then(|| answer["data"]["data"]["v"].clone())
}

pub struct Pair {
    _folder: tempfile::TempDir,
    pub primary: Cluster,
    pub secondary: Cluster,
    tester: String,
}

/// The guide, up to a secondary that streams and a tester who is logged in there.
pub fn replicating(size: usize) -> Pair {
    let folder = tempfile::tempdir().unwrap();
    let primary = Cluster::start(folder.path(), "primary", size);
    let secondary = Cluster::start(folder.path(), "secondary", size);
    let root = primary.root.as_str();
    let node = primary.active();
    node.must(
        "sys/policies/acl/superuser",
        root,
        &json!({"policy": "path \"*\" { capabilities = [\"create\",\"read\",\"update\",\"patch\",\"delete\",\"list\",\"sudo\"] }"}),
    );
    node.must("sys/auth/userpass", root, &json!({"type": "userpass"}));
    node.must("auth/userpass/users/tester", root, &json!({"password": "changeme", "policies": "superuser"}));
    node.must("sys/mounts/secret", root, &json!({"type": "kv", "options": {"version": "2"}}));
    node.must("sys/mounts/here", root, &json!({"type": "kv", "local": true}));
    node.must("here/note", root, &json!({"v": "primary"}));
    for n in 0..50 {
        node.must(&format!("secret/data/old{n}"), root, &json!({"data": {"v": n}}));
    }
    // Data of the secondary's former life, which must be gone.
    let old_root = secondary.root.as_str();
    let there = secondary.active();
    there.must("sys/mounts/former", old_root, &json!({"type": "kv", "local": true}));
    there.must("former/note", old_root, &json!({"v": "gone"}));

    node.must("sys/replication/performance/primary/enable", root, &json!({}));
    wait_until("the primary serves as one", LONG, || status(primary.active())["mode"] == "primary");
    let answer = primary.active().must("sys/replication/performance/primary/secondary-token", root, &json!({"id": "s1"}));
    let token = answer["wrap_info"]["token"].as_str().expect("a wrapped activation token").to_owned();
    there.must("sys/replication/performance/secondary/enable", old_root, &json!({ "token": token }));
    wait_until("the secondary streams", LONG, || status(&secondary.nodes[0])["state"] == "stream-wals");
    wait_until("all of its nodes serve without being unsealed by hand", LONG, || {
        secondary.nodes.iter().all(|node| matches!(node.health(), 200 | 429))
    });
    // The token is spent.
    let (again, _) = secondary.active().put("sys/replication/performance/secondary/enable", old_root, &json!({ "token": token })).unwrap();
    assert!(again >= 400, "{again}");
    let mut tester = None;
    wait_until("the primary's user logs in on the secondary", LONG, || {
        tester = login(secondary.active());
        tester.is_some()
    });
    Pair { _folder: folder, primary, secondary, tester: tester.unwrap() }
}

#[test]
fn shared_data_crosses_and_local_data_stays() {
    let pair = replicating(1);
    let (primary, secondary) = (pair.primary.active(), pair.secondary.active());
    let (root, tester) = (pair.primary.root.as_str(), pair.tester.as_str());
    for n in 0..50 {
        assert_eq!(reads(secondary, tester, &format!("secret/data/old{n}")), Some(json!(n)));
    }
    primary.must("secret/data/new", root, &json!({"data": {"v": "new"}}));
    wait_until("a new secret arrives", LONG, || reads(secondary, tester, "secret/data/new") == Some(json!("new")));
    // Written there, run here, readable there when the call returns.
    for n in 0..20 {
        secondary.must(&format!("secret/data/there{n}"), tester, &json!({"data": {"v": n}}));
        assert_eq!(reads(secondary, tester, &format!("secret/data/there{n}")), Some(json!(n)));
        assert_eq!(reads(primary, root, &format!("secret/data/there{n}")), Some(json!(n)));
    }
    // A shared mount asked for there is made here.
    secondary.must("sys/mounts/both", tester, &json!({"type": "kv"}));
    assert_eq!(primary.get("sys/mounts/both", root).unwrap().0, 200);
    // Tokens, cubbyholes and local mounts never cross.
    assert_eq!(secondary.get("auth/token/lookup-self", root).unwrap().0, 403);
    assert_eq!(primary.get("auth/token/lookup-self", tester).unwrap().0, 403);
    assert_eq!(secondary.get("here/note", tester).unwrap().0, 404);
    secondary.must("sys/mounts/only-there", tester, &json!({"type": "kv", "local": true}));
    secondary.must("only-there/note", tester, &json!({"v": 1}));
    assert_eq!(primary.get("only-there/note", root).unwrap().0, 404);
    assert_eq!(secondary.get("former/note", tester).unwrap().0, 404);
    // Equal shared data, equal roots.
    wait_until("the roots agree", LONG, || {
        let (here, there) = (status(primary), status(secondary));
        here["merkle_root"].is_string() && here["merkle_root"] == there["merkle_root"]
    });
    let there = status(secondary);
    assert_eq!((there["mode"].as_str(), there["connection_state"].as_str()), (Some("secondary"), Some("ready")));
    // Revoked: cut off, and nothing arrives any more.
    primary.must("sys/replication/performance/primary/revoke-secondary", root, &json!({"id": "s1"}));
    wait_until("the link is cut", LONG, || status(secondary)["connection_state"] != "ready");
    let (code, answer) = secondary.put("secret/data/late", tester, &json!({"data": {"v": 1}})).unwrap();
    let text = answer["errors"][0].as_str().unwrap_or_default();
    assert!(code == 503 && text.contains("this secondary was revoked"), "{code} {text}");
}

#[test]
fn replication_goes_on_through_kills_on_both_sides() {
    let mut pair = replicating(3);
    let (root, tester) = (pair.primary.root.clone(), pair.tester.clone());
    let keys = pair.primary.keys.clone();
    for round in 0..2 {
        let victim = pair.primary.active_index();
        pair.primary.nodes[victim].kill();
        let name = format!("secret/data/primary-kill{round}");
        pair.primary.active().must(&name, &root, &json!({"data": {"v": round}}));
        wait_until("it arrives after the primary's kill", LONG, || {
            pair.secondary.nodes.iter().any(|node| reads(node, &tester, &name) == Some(json!(round)))
        });
        pair.primary.revive(victim, &keys);

        let victim = pair.secondary.active_index();
        pair.secondary.nodes[victim].kill();
        let name = format!("secret/data/secondary-kill{round}");
        pair.primary.active().must(&name, &root, &json!({"data": {"v": round}}));
        wait_until("it arrives after the secondary's kill", LONG, || {
            pair.secondary.nodes.iter().any(|node| node.is_running() && reads(node, &tester, &name) == Some(json!(round)))
        });
        // Killed nodes are unsealed with the primary's keys now.
        pair.secondary.revive(victim, &keys);
    }
    // Both sides stopped whole and started again: they find each other.
    for cluster in [&mut pair.primary, &mut pair.secondary] {
        cluster.nodes.iter_mut().for_each(Node::kill);
    }
    for cluster in [&mut pair.primary, &mut pair.secondary] {
        cluster.nodes.iter_mut().for_each(Node::start);
        cluster.nodes.iter().for_each(|node| node.unseal(&keys));
    }
    pair.primary.active().must("secret/data/after-all", &root, &json!({"data": {"v": "after"}}));
    wait_until("it arrives after everything stopped", LONG, || {
        reads(pair.secondary.active(), &tester, "secret/data/after-all") == Some(json!("after"))
    });
    let (here, there) = (status(pair.primary.active()), status(pair.secondary.active()));
    assert_eq!(here["last_performance_wal"], there["last_remote_wal"]);
}
