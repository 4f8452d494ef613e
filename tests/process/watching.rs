//! What operators are shown of the nodes: who answers, since when, and how it is counted.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::{Duration, Instant};

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
    // The other one may answer late for a moment, on a machine that does much else.
    let is_seen = |now: &Value| of(now, victim)["healthy"] == false && of(now, other)["healthy"] == true;
    let mut now = state(&cluster);
    wait_until("it alone is seen to be gone", LONG, || {
        now = state(&cluster);
        is_seen(&now)
    });
    assert_eq!(of(&now, victim)["node_status"], json!("failed"), "{now}");
    assert_eq!((&now["healthy"], &now["failure_tolerance"]), (&json!(false), &json!(0)), "{now}");
    let printed = command(&cluster.nodes[leader], &root, &["operator", "raft", "autopilot", "state"]);
    assert!(printed.contains("Node Status:       failed") && printed.contains("Last Contact:      0s"), "{printed}");
    // Whoever is active counts: on a machine that does much else the office may have gone to another.
    let gauge = |cluster: &Cluster, name: &str| cluster.nodes[cluster.active_index()].metric(name);
    let are_counted =
        || gauge(&cluster, "vault_autopilot_healthy") == Some(0.0) && gauge(&cluster, "vault_autopilot_node_healthy") == Some(2.0);
    wait_until("it is counted", LONG, are_counted);
    let keys = cluster.keys.clone();
    cluster.revive(victim, &keys);
    wait_until("all are healthy again", LONG, || state(&cluster)["healthy"] == true);
    wait_until("that is counted too", LONG, || gauge(&cluster, "vault_autopilot_healthy") == Some(1.0));
}

fn text(node: &Node) -> String {
    let address = format!("http://127.0.0.1:{}/v1/sys/metrics?format=prometheus", node.port);
    ureq::get(&address).call().unwrap().body_mut().read_to_string().unwrap()
}

/// Names that the text has values of, without labels and what belongs to a summary.
fn names(text: &str) -> BTreeSet<String> {
    let kinds: Vec<(&str, &str)> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')).collect();
    kinds.into_iter().map(|(name, _)| name.to_owned()).collect()
}

/// What operators are promised is there after some work, on either side, and whatever is there is listed in `docs/telemetry.md`.
#[test]
fn metrics_are_those_that_the_page_lists() {
    const ANY: &str = "vault_core_active vault_core_unsealed vault_core_handle_request vault_audit_log_request vault_audit_log_response \
        vault_token_count vault_expire_num_leases vault_expire_num_irrevocable_leases vault_raft_apply vault_raft_commitTime vault_raft_peers \
        vault_raft_leader_lastContact vault_raft_state_leader vault_raft_log_syncs vault_raft_fsm_applyBatch vault_raft_storage_entry_size \
        vault_raft_storage_stats_applied_index vault_raft_storage_stats_commit_index vault_raft_storage_stats_fsm_pending \
        vault_autopilot_healthy vault_autopilot_failure_tolerance vault_autopilot_node_healthy vault_replication_wal_last_wal \
        vault_replication_wal_last_performance_wal vault_replication_wal_last_dr_wal vault_replication_wal_gc vault_wal_gc_total \
        vault_replication_merkle_commit_index vault_core_replication_performance_primary vault_core_replication_performance_secondary \
        vault_core_replication_dr_primary vault_logshipper_buffer_length vault_logshipper_buffer_size vault_logshipper_buffer_max_size \
        process_resident_memory_bytes process_cpu_seconds_total process_open_fds process_threads process_start_time_seconds \
        coffer_runtime_tasks coffer_http_request_seconds";
    const PRIMARY: &str = "vault_logshipper_streamWALs_guard_found vault_logshipper_streamWALs_missing_guard vault_replication_merkleDiff \
        vault_replication_rpc_server_echo vault_replication_rpc_server_forwarding_request vault_replication_lag_seconds \
        vault_replication_lag_records vault_raft_replication_appendEntries_rpc vault_raft_replication_appendEntries_log \
        vault_raft_replication_heartbeat vault_raft_storage_follower_applied_index_delta vault_raft_storage_follower_last_heartbeat_ms";
    const STANDBY: &str = "vault_raft_rpc_appendEntries vault_raft_rpc_processHeartbeat vault_ha_rpc_client_forward vault_core_active";
    const SECONDARY: &str = "vault_replication_fsm_last_remote_wal vault_replication_rpc_client_forward vault_replication_state \
        vault_replication_lag_seconds vault_replication_lag_records";
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (Cluster::start(folder.path(), "first", 2), Cluster::start(folder.path(), "second", 1));
    let (a, b, root) = (first.active(), second.active(), first.root.as_str());
    let standby = first.nodes.iter().find(|node| node.port != a.port).unwrap();
    for (node, root) in [(a, root), (b, second.root.as_str())] {
        let audit = folder.path().join(format!("{}.audit", node.name));
        node.must("sys/audit/file", root, &json!({"type": "file", "local": true, "options": {"file_path": audit}}));
    }
    let policy = "path \"*\" { capabilities = [\"create\",\"read\",\"update\",\"delete\",\"list\",\"sudo\"] }";
    a.must("sys/policies/acl/superuser", root, &json!({ "policy": policy }));
    a.must("sys/auth/userpass", root, &json!({"type": "userpass"}));
    a.must("auth/userpass/users/tester", root, &json!({"password": "changeme", "policies": "superuser"}));
    standby.must("sys/mounts/shared", root, &json!({"type": "kv"}));
    a.must("sys/replication/performance/primary/enable", root, &json!({}));
    let state =
        |node: &Node| node.get("sys/replication/performance/status", "").map(|(_, answer)| answer["data"].clone()).unwrap_or_default();
    wait_until("the primary serves as one", LONG, || a.health() == 200 && state(a)["mode"] == "primary");
    let answer = a.must("sys/replication/performance/primary/secondary-token", root, &json!({"id": "second"}));
    b.must("sys/replication/performance/secondary/enable", &second.root, &json!({"token": answer["wrap_info"]["token"]}));
    let mut tester = String::new();
    wait_until("the primary's user logs in on the secondary", LONG, || {
        let answer = b.put("auth/userpass/login/tester", "", &json!({"password": "changeme"}));
        tester = answer
            .filter(|(code, _)| *code == 200)
            .map(|(_, answer)| answer["auth"]["client_token"].as_str().unwrap().to_owned())
            .unwrap_or_default();
        !tester.is_empty()
    });
    let audit = folder.path().join("again.audit");
    b.must("sys/audit/again", &tester, &json!({"type": "file", "local": true, "options": {"file_path": audit}}));
    for n in 0..5 {
        b.must(&format!("shared/{n}"), &tester, &json!({"v": n}));
    }
    // A restart of the stream, so that one also begins with records.
    b.must("sys/replication/recover", &tester, &json!({}));

    for (node, wanted) in [(a, [ANY, PRIMARY]), (b, [ANY, SECONDARY]), (standby, [STANDBY, ""])] {
        let missing = || -> Vec<&str> {
            let there = names(&text(node));
            wanted.iter().flat_map(|names| names.split_whitespace()).filter(|name| !there.contains(*name)).collect()
        };
        let begun = Instant::now();
        while !missing().is_empty() && begun.elapsed() < LONG {
            std::thread::sleep(Duration::from_millis(100));
        }
        assert!(missing().is_empty(), "{} lacks {:?}", node.name, missing());
        let exported = text(node);
        let listed: BTreeSet<String> = coffer::telemetry::all_metrics().map(|metric| metric.name.replace(['.', '-'], "_")).collect();
        let unlisted: Vec<String> = names(&exported).into_iter().filter(|name| !listed.contains(name)).collect();
        assert!(unlisted.is_empty(), "docs/telemetry.md does not list {unlisted:?}");
        assert!(exported.contains("# HELP vault_core_active Whether this node is the active one."));
    }
    let value = |node: &Node, name: &str| node.metric(name).unwrap_or(f64::NAN);
    assert_eq!((value(a, "vault_core_active"), value(standby, "vault_core_active")), (1.0, 0.0));
    assert_eq!(
        (value(a, "vault_core_replication_performance_primary"), value(b, "vault_core_replication_performance_secondary")),
        (1.0, 1.0)
    );
    assert!(value(a, "process_resident_memory_bytes") > 1e6 && value(a, "vault_token_count") >= 1.0);
    // The same as JSON, under names with dots.
    let mut shown = ureq::get(format!("http://127.0.0.1:{}/v1/sys/metrics", a.port)).call().unwrap();
    let shown: Value = serde_json::from_str(&shown.body_mut().read_to_string().unwrap()).unwrap();
    let of =
        |kind: &str, name: &str| shown[kind].as_array().unwrap().iter().find(|metric| metric["Name"] == name).cloned().unwrap_or_default();
    assert_eq!(of("Gauges", "vault.core.active")["Value"], 1.0);
    assert!(of("Counters", "vault.raft.apply")["Count"].as_f64() > Some(5.0));
    let commits = of("Samples", "vault.raft.commitTime");
    assert!(commits["Count"].as_f64() > Some(5.0) && commits["Mean"].as_f64() > Some(0.0) && commits["Max"].is_number(), "{commits}");
}
