//! What crosses between nodes and between clusters, byte by byte: TLS, and nothing of what is secret in it. At log level `trace`,
//! the logs hold nothing of it either.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::cluster::Cluster;
use super::needles::Needles;
use super::node::{Node, wait_until};
use super::relay::{Relay, tls_records};

const LONG: Duration = Duration::from_secs(60);
/// Large enough that whatever carries it shows in the count of bytes.
const LARGE: usize = 200_000;

/// A cluster whose nodes reach each other, and are reached, through relays only; each logs all that it can.
fn tapped(folder: &std::path::Path, name: &str, size: usize) -> (Cluster, Vec<Relay>) {
    let mut relays = Vec::new();
    let cluster = Cluster::start_with(folder, name, size, |node| {
        let relay = Relay::to(node.port + 1);
        let announced = |port: u16| format!("cluster_addr = \"https://127.0.0.1:{port}\"");
        node.configure(&announced(node.port + 1), &announced(relay.port));
        node.configure("log_level = \"info\"", "log_level = \"trace\"");
        relays.push(relay);
    });
    (cluster, relays)
}

fn bytes(relays: &[Relay]) -> usize {
    relays.iter().map(Relay::bytes).sum()
}

/// `act` sends at least `LARGE` bytes through each of `groups`.
#[track_caller]
fn crosses<T>(what: &str, groups: &[&[Relay]], act: impl FnOnce() -> T) -> T {
    let before: Vec<usize> = groups.iter().map(|relays| bytes(relays)).collect();
    let done = act();
    wait_until(what, LONG, || groups.iter().zip(&before).all(|(relays, before)| bytes(relays) >= before + LARGE));
    done
}

/// The same canary over and over, so that no part of a large value is free of it.
fn large(canary: &str) -> String {
    canary.repeat(LARGE / canary.len() + 1)
}

fn standby_of(cluster: &Cluster) -> &Node {
    let active = cluster.active().port;
    cluster.nodes.iter().find(|node| node.port != active).unwrap()
}

#[test]
fn nothing_secret_crosses_in_the_clear_or_is_logged_at_trace() {
    let folder = tempfile::tempdir().unwrap();
    let (first, here) = tapped(folder.path(), "first", 2);
    let (second, there) = tapped(folder.path(), "second", 2);
    let (mut secrets, mut names) = (Needles::new(), Needles::new());
    for cluster in [&first, &second] {
        secrets.add("a root token", &cluster.root);
        for key in &cluster.keys {
            secrets.add("an unseal key", key);
            secrets.add("an unseal key", STANDARD.decode(key).unwrap());
        }
    }
    let root = first.root.as_str();
    let node = first.active();
    node.must("sys/audit/file", root, &json!({"type": "file", "local": true, "options": {"file_path": folder.path().join("audit.log")}}));
    let policy = "path \"*\" { capabilities = [\"create\",\"read\",\"update\",\"patch\",\"delete\",\"list\",\"sudo\"] }";
    node.must("sys/policies/acl/superuser", root, &json!({ "policy": policy }));
    node.must("sys/auth/userpass", root, &json!({"type": "userpass"}));
    node.must("sys/mounts/secret", root, &json!({"type": "kv", "options": {"version": "2"}}));

    // Between the nodes of a cluster: the log, and what a standby hands on.
    secrets.add("a value", "canary-value-4be1f0a7");
    names.add("a key's name", "canary-name-90c3d2");
    crosses("a write crosses to the standby", &[&here], || {
        node.must("secret/data/canary-name-90c3d2", root, &json!({"data": {"v": large("canary-value-4be1f0a7")}}));
    });
    secrets.add("a value of a forwarded write", "canary-forwarded-51be0d");
    names.add("a forwarded key's name", "canary-name-through-7a");
    crosses("a standby hands a write on, and gets it back by the log", &[&here, &here], || {
        let body = json!({"data": {"v": large("canary-forwarded-51be0d")}});
        standby_of(&first).must("secret/data/canary-name-through-7a", root, &body);
    });
    secrets.add("a cubbyhole", "canary-cubbyhole-8d7e11");
    standby_of(&first).must("cubbyhole/x", root, &json!({"v": "canary-cubbyhole-8d7e11"}));
    secrets.add("a password", "canary-password-c0ffee");
    node.must("auth/userpass/users/tester", root, &json!({"password": "canary-password-c0ffee", "policies": "superuser"}));

    // Between clusters: the activation token, the keys, all that there is; then records, and shared writes that are handed on.
    node.must("sys/replication/performance/primary/enable", root, &json!({}));
    let state =
        |node: &Node| node.get("sys/replication/performance/status", "").map(|(_, answer)| answer["data"].clone()).unwrap_or_default();
    wait_until("the primary serves as one", LONG, || first.active().health() == 200 && state(first.active())["mode"] == "primary");
    let answer = first.active().must("sys/replication/performance/primary/secondary-token", root, &json!({"id": "second"}));
    let activation = answer["wrap_info"]["token"].as_str().unwrap().to_owned();
    secrets.add("an activation token", &activation);
    let tester = crosses("a secondary is filled, and its standby with it", &[&here, &there], || {
        let enable = json!({ "token": activation });
        second.active().must("sys/replication/performance/secondary/enable", &second.root, &enable);
        wait_until("the secondary streams", LONG, || state(second.active())["state"] == "stream-wals");
        let mut login = None;
        wait_until("the primary's user logs in", LONG, || {
            let body = json!({"password": "canary-password-c0ffee"});
            let answer = second.active().put("auth/userpass/login/tester", "", &body);
            login = answer.filter(|(code, _)| *code == 200).map(|(_, answer)| answer["auth"]["client_token"].as_str().unwrap().to_owned());
            login.is_some()
        });
        login.unwrap()
    });
    secrets.add("a token of the secondary", &tester);
    secrets.add("a streamed value", "canary-streamed-1c2d3e");
    names.add("a streamed key's name", "canary-name-streamed");
    crosses("a record crosses to the secondary, and there to its standby", &[&here, &there], || {
        let body = json!({"data": {"v": large("canary-streamed-1c2d3e")}});
        standby_of(&first).must("secret/data/canary-name-streamed", root, &body);
    });
    secrets.add("a value of a forwarded shared write", "canary-from-there-667788");
    names.add("a forwarded shared key's name", "canary-name-from-there");
    crosses("a shared write is handed on twice, and comes back", &[&here, &there], || {
        let body = json!({"data": {"v": large("canary-from-there-667788")}});
        standby_of(&second).must("secret/data/canary-name-from-there", &tester, &body);
    });
    let read = |node: &Node, token: &str| node.get("secret/data/canary-name-from-there", token).is_some_and(|(code, _)| code == 200);
    wait_until("all have it", LONG, || {
        first.nodes.iter().all(|node| read(node, root)) && second.nodes.iter().all(|node| read(node, &tester))
    });
    let mut wrong: Value = json!({"data": "canary-value-4be1f0a7"});
    for node in first.nodes.iter().chain(&second.nodes) {
        node.put("secret/data/canary-name-90c3d2", root, &wrong);
        node.put("auth/userpass/login/tester", "", &json!({"password": "canary-password-c0ffee", "x": "canary-value-4be1f0a7"}));
        wrong["token"] = json!(tester);
    }

    for (relay, cluster) in here.iter().map(|relay| (relay, "first")).chain(there.iter().map(|relay| (relay, "second"))) {
        for tape in relay.tapes() {
            let records = tls_records(&tape).unwrap_or_else(|error| panic!("not TLS on the way to {cluster}: {error}"));
            assert!(records > 0 || tape.is_empty());
            assert_eq!((secrets.found_in(&tape), names.found_in(&tape)), (vec![], vec![]), "on the way to a node of {cluster}");
        }
    }
    let logs: String = first.nodes.iter().chain(&second.nodes).map(|node| std::fs::read_to_string(node.log_path()).unwrap()).collect();
    assert!(logs.contains(" DEBUG "), "the logs tell more than usual");
    let found = secrets.found_below(folder.path());
    assert!(found.is_empty(), "in the clear: {found:#?}");
}

/// The search of above finds what is there: the same relay, on a connection without TLS.
#[test]
fn a_canary_on_a_plain_connection_is_found() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let relay = Relay::to(listener.local_addr().unwrap().port());
    let echo = std::thread::spawn(move || {
        let (mut caller, _) = listener.accept().unwrap();
        let mut heard = [0; 64];
        let len = caller.read(&mut heard).unwrap();
        caller.write_all(STANDARD.encode(&heard[..len]).as_bytes()).unwrap();
    });
    let mut caller = TcpStream::connect(("127.0.0.1", relay.port)).unwrap();
    caller.write_all(b"POST /v1/secret canary-plain-3d4e5f").unwrap();
    let mut answer = Vec::new();
    caller.read_to_end(&mut answer).unwrap();
    echo.join().unwrap();
    let mut needles = Needles::new();
    needles.add("the canary", "canary-plain-3d4e5f");
    let tapes = relay.tapes();
    assert_eq!(tapes.len(), 2);
    for tape in tapes {
        assert_eq!(needles.found_in(&tape), ["the canary"], "{:?}", String::from_utf8_lossy(&tape));
        assert!(tls_records(&tape).is_err());
    }
}
