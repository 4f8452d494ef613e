//! Nodes come and go by hand: joining by the command line, removal, what a removed node says, and the way back in.

use std::time::Duration;

use serde_json::json;

use super::cluster::Cluster;
use super::node::{Node, free_ports, wait_until};

const LONG: Duration = Duration::from_secs(60);

fn peers(cluster: &Cluster) -> Vec<String> {
    let answer = cluster.active().get("sys/storage/raft/configuration", &cluster.root).expect("an answer").1;
    let servers = answer["data"]["config"]["servers"].as_array().cloned().unwrap_or_default();
    servers.iter().filter_map(|server| server["node_id"].as_str().map(str::to_owned)).collect()
}

#[track_caller]
fn check(node: &Node, args: &[&str], code: i32, words: &str) {
    let (got, said) = node.coffer(args, &[]);
    assert!(got == code && said.contains(words), "{args:?}: {got} {said}");
}

#[test]
fn a_node_joins_by_hand_is_removed_and_comes_back_with_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = Cluster::start(folder.path(), "members", 2);
    let url = |node: &Node| format!("http://127.0.0.1:{}", node.port);
    let active = cluster.active_index();
    let (active, standby) = (&cluster.nodes[active], &cluster.nodes[1 - active]);
    let root = cluster.root.as_str();
    let mut third = Node::new(folder.path(), "members", "third", free_ports(), &[]);
    third.start();

    // A leader that cannot help is named with what it said.
    check(&third, &["operator", "raft", "join", &url(&third)], 2, "answered 503: Vault is sealed");
    check(&third, &["operator", "raft", "join", "http://127.0.0.1:1"], 2, "http://127.0.0.1:1: io: Connection refused");
    check(&third, &["operator", "raft", "join", &format!("https://127.0.0.1:{}", active.port)], 2, "it speaks plain HTTP");
    // Any node of the cluster will do, and joining again changes nothing.
    check(&third, &["operator", "raft", "join", &url(standby)], 0, "true");
    third.unseal(&cluster.keys);
    check(&third, &["operator", "raft", "join", &url(active)], 0, "true");
    assert_eq!(peers(&cluster), ["members-0", "members-1", "third"]);

    // A node that is removed says so, at once also after a restart, and keeps its data.
    let removed = json!({"server_id": "third"});
    active.must("sys/storage/raft/remove-peer", root, &removed);
    wait_until("the node knows that it was removed", LONG, || third.health() == 530);
    third.kill();
    third.start();
    assert_eq!(third.health(), 530);
    check(&third, &["status"], 2, "Removed From Cluster    true");
    let key = cluster.keys[0].as_str();
    check(&third, &["operator", "unseal", key], 2, "this node was removed from its cluster: erase its data before it joins again");
    check(&third, &["operator", "raft", "join", &url(active)], 2, "erase its data");
    third.kill();
    assert!(folder.path().join("third/state").is_dir());

    // Without its data it is a new node.
    std::fs::remove_dir_all(folder.path().join("third")).unwrap();
    third.start();
    check(&third, &["operator", "raft", "join", &url(active)], 0, "true");
    third.unseal(&cluster.keys);
    wait_until("it is a member again", LONG, || peers(&cluster).len() == 3);

    // A node with a cluster of its own is not talked into another one.
    let foreign = Cluster::start(folder.path(), "foreign", 1);
    check(&foreign.nodes[0], &["operator", "raft", "join", &url(active)], 2, "this node belongs to another cluster already");

    // The active node can be removed too: another one leads.
    let (gone, left) = (active.name.clone(), standby);
    check_removal_of_the_active(&cluster, &gone, left);
}

fn check_removal_of_the_active(cluster: &Cluster, gone: &str, left: &Node) {
    left.must("sys/storage/raft/remove-peer", &cluster.root, &json!({"server_id": gone}));
    let removed = cluster.nodes.iter().find(|node| node.name == gone).unwrap();
    wait_until("the removed node says so", LONG, || removed.health() == 530);
    wait_until(
        "another node is active",
        LONG,
        || matches!(left.get("sys/leader", ""), Some((200, answer)) if answer["leader_address"] != "" && answer["leader_address"] != format!("http://127.0.0.1:{}", removed.port)),
    );
    left.must("cubbyhole/after", &cluster.root, &json!({"a": "b"}));
}
