//! What operators are shown of the nodes: who answers, since when, and how it is counted.

use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use super::cluster::Cluster;
use super::node::{Node, wait_until};

const LONG: Duration = Duration::from_secs(60);

fn read(node: &Node, token: &str, path: &str) -> Value {
    let (code, answer) = node.get(path, token).expect("an answer");
    assert_eq!(code, 200, "{path}: {answer}");
    answer["data"].clone()
}

fn command(node: &Node, token: &str, args: &[&str]) -> String {
    let address = format!("http://127.0.0.1:{}", node.port);
    let mut coffer = Command::new(env!("CARGO_BIN_EXE_coffer"));
    let done = coffer.args(args).env("VAULT_ADDR", address).env("VAULT_TOKEN", token).output().unwrap();
    assert!(done.status.success(), "{args:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

/// A node that is killed is seen to be gone, and seen again when it is back.
#[test]
fn a_node_that_does_not_answer_is_unhealthy_until_it_does() {
    const STATE: &str = "sys/storage/raft/autopilot/state";
    let folder = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::start(folder.path(), "watched", 3);
    let root = cluster.root.clone();
    let leader = cluster.active_index();
    let (victim, other) = ((leader + 1) % 3, (leader + 2) % 3);
    let of = |state: &Value, n: usize| state["servers"][format!("watched-{n}")].clone();
    let state = |cluster: &Cluster| read(&cluster.nodes[leader], &root, STATE);
    wait_until("all are healthy", LONG, || state(&cluster)["healthy"] == true);
    let now = state(&cluster);
    assert_eq!((&now["failure_tolerance"], &of(&now, leader)["status"]), (&json!(1), &json!("leader")), "{now}");
    for n in 0..3 {
        let server = of(&now, n);
        assert!(server["last_contact"].is_string() && server["last_index"].as_u64() > Some(0), "{server}");
        assert!(server["last_term"].as_u64() > Some(0) && server["stable_since"].as_str().unwrap().starts_with("20"), "{server}");
    }
    // A standby says when it last heard of the active node; that one, when each standby answered.
    let health = cluster.nodes[other].get("sys/health", "").unwrap().1;
    assert!(health["last_request_forwarding_heartbeat_ms"].as_u64().is_some(), "{health}");
    let members = read(&cluster.nodes[other], &root, "sys/ha-status");
    for node in members["nodes"].as_array().unwrap() {
        assert_eq!(node["last_echo"].is_string(), node["active_node"] == false, "{node}");
    }
    let printed = command(&cluster.nodes[leader], &root, &["operator", "members"]);
    let echoes = printed.lines().filter(|line| line.contains("watched-") && line.trim_end().ends_with('Z')).count();
    assert_eq!(echoes, 2, "{printed}");

    let settings = json!({"last_contact_threshold": "1s", "max_trailing_logs": 500});
    cluster.nodes[leader].must("sys/storage/raft/autopilot/configuration", &root, &settings);
    cluster.nodes[victim].kill();
    wait_until("it is seen to be gone", LONG, || of(&state(&cluster), victim)["healthy"] == false);
    let now = state(&cluster);
    assert_eq!((&of(&now, victim)["node_status"], &of(&now, other)["healthy"]), (&json!("failed"), &json!(true)), "{now}");
    assert_eq!((&now["healthy"], &now["failure_tolerance"]), (&json!(false), &json!(0)), "{now}");
    let printed = command(&cluster.nodes[leader], &root, &["operator", "raft", "autopilot", "state"]);
    assert!(printed.contains("Node Status:       failed") && printed.contains("Last Contact:      0s"), "{printed}");
    let gauge = |cluster: &Cluster, name: &str| cluster.nodes[leader].metric(name);
    wait_until("it is counted", LONG, || gauge(&cluster, "vault_autopilot_healthy") == Some(0.0));
    assert_eq!(gauge(&cluster, "vault_autopilot_node_healthy"), Some(2.0));
    let keys = cluster.keys.clone();
    cluster.revive(victim, &keys);
    wait_until("all are healthy again", LONG, || state(&cluster)["healthy"] == true);
    wait_until("that is counted too", LONG, || gauge(&cluster, "vault_autopilot_healthy") == Some(1.0));
}
