//! The life of replication: roles change hands without loss, and every wrong step says what is right.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use super::cluster::Cluster;
use super::node::{Node, wait_until};

const LONG: Duration = Duration::from_secs(30);
const API: &str = "sys/replication/performance";

fn status(node: &Node) -> Value {
    node.get(&format!("{API}/status"), "").map(|(_, answer)| answer["data"].clone()).unwrap_or_default()
}

#[track_caller]
fn operate(node: &Node, token: &str, what: &str, body: &Value) -> Value {
    node.must(&format!("{API}/{what}"), token, body)
}

/// A call that must be refused with 400 and these words.
#[track_caller]
fn refused(node: &Node, token: &str, what: &str, body: &Value, words: &str) {
    let (code, answer) = node.put(&format!("{API}/{what}"), token, body).expect("an answer");
    assert!(code == 400 && answer["errors"].to_string().contains(words), "{what}: {code} {answer} does not say {words:?}");
}

fn activation(primary: &Node, token: &str, id: &str) -> String {
    let answer = operate(primary, token, "primary/secondary-token", &json!({ "id": id }));
    answer["wrap_info"]["token"].as_str().expect("an activation token").to_owned()
}

#[track_caller]
fn becomes(node: &Node, mode: &str) {
    wait_until(mode, LONG, || node.health() == 200 && status(node)["mode"] == mode);
}

#[track_caller]
fn streams(node: &Node) {
    wait_until("the secondary streams", LONG, || node.health() == 200 && status(node)["state"] == "stream-wals");
}

/// Both ends hold the same, and stand at the same record.
#[track_caller]
fn equal(one: &Node, other: &Node) {
    wait_until("both ends are equal", LONG, || {
        let (one, other) = (status(one), status(other));
        one["merkle_root"].is_string()
            && one["merkle_root"] == other["merkle_root"]
            && one["last_performance_wal"] == other["last_performance_wal"]
    });
}

fn login(node: &Node) -> Option<String> {
    let (code, answer) = node.put("auth/userpass/login/tester", "", &json!({"password": "changeme"}))?;
    (code == 200).then(|| answer["auth"]["client_token"].as_str().unwrap().to_owned())
}

#[track_caller]
fn logged_in(node: &Node) -> String {
    let mut token = None;
    wait_until("the primary's user logs in", LONG, || {
        token = login(node);
        token.is_some()
    });
    token.unwrap()
}

#[track_caller]
fn put(node: &Node, token: &str, name: &str, value: &str) {
    node.must(&format!("shared/{name}"), token, &json!({ "v": value }));
}

fn read(node: &Node, token: &str, name: &str) -> Option<String> {
    let (code, answer) = node.get(&format!("shared/{name}"), token)?;
    (code == 200).then(|| answer["data"]["v"].as_str().unwrap().to_owned())
}

/// A primary of one node with a user and a secret.
fn primary(folder: &Path) -> Cluster {
    let cluster = Cluster::start(folder, "first", 1);
    let (node, root) = (&cluster.nodes[0], cluster.root.as_str());
    let policy = "path \"*\" { capabilities = [\"create\",\"read\",\"update\",\"patch\",\"delete\",\"list\",\"sudo\"] }";
    node.must("sys/policies/acl/superuser", root, &json!({ "policy": policy }));
    node.must("sys/auth/userpass", root, &json!({"type": "userpass"}));
    node.must("auth/userpass/users/tester", root, &json!({"password": "changeme", "policies": "superuser"}));
    node.must("sys/mounts/shared", root, &json!({"type": "kv"}));
    put(node, root, "old", "old");
    operate(node, root, "primary/enable", &json!({}));
    becomes(node, "primary");
    cluster
}

/// Makes `cluster` a secondary, and logs in there.
fn activate(primary: &Node, token: &str, cluster: &Cluster, id: &str) -> String {
    let node = &cluster.nodes[0];
    operate(node, &cluster.root, "secondary/enable", &json!({ "token": activation(primary, token, id) }));
    streams(node);
    logged_in(node)
}

#[test]
fn a_primary_and_its_secondary_change_places_without_a_wipe() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (primary(folder.path()), Cluster::start(folder.path(), "second", 1));
    let (a, b, root) = (&first.nodes[0], &second.nodes[0], first.root.as_str());
    let tester = activate(a, root, &second, "second");
    for (what, words) in [
        ("primary/enable", "use secondary/promote"),
        ("primary/demote", "use secondary/update-primary"),
        ("primary/disable", "use secondary/disable"),
        ("primary/secondary-token", "call its primary"),
        ("secondary/enable", "use secondary/update-primary"),
        ("secondary/update-primary", "missing token or update_primary_addrs"),
    ] {
        refused(b, &tester, what, &json!({}), words);
    }
    for (what, words) in [
        ("primary/enable", "a performance primary already"),
        ("primary/secondary-token", "missing id"),
        ("secondary/enable", "primary/demote"),
        ("secondary/disable", "use primary/disable"),
        ("secondary/promote", "a performance primary already"),
        ("secondary/update-primary", "use primary/demote"),
    ] {
        refused(a, root, what, &json!({}), words);
    }
    refused(a, root, "primary/secondary-token", &json!({"id": "second"}), "known already");
    equal(a, b);
    let wal = status(a)["last_performance_wal"].as_u64().unwrap();

    operate(a, root, "primary/demote", &json!({}));
    becomes(a, "secondary");
    let (code, answer) = a.put("shared/x", root, &json!({"v": "x"})).unwrap();
    assert!(code == 503 && answer.to_string().contains("knows no primary"), "{code} {answer}");
    operate(b, &tester, "secondary/promote", &json!({}));
    becomes(b, "primary");
    put(b, &tester, "new", "new");
    assert_eq!((status(b)["generation"].as_u64(), status(b)["last_performance_wal"].as_u64()), (Some(2), Some(wal + 1)));
    let token = activation(b, &tester, "first");
    operate(a, root, "secondary/update-primary", &json!({ "token": token }));
    streams(a);
    equal(a, b);
    // What is the old primary's own survived: its root token, still.
    assert_eq!((read(a, root, "new").as_deref(), read(a, root, "old").as_deref()), (Some("new"), Some("old")));
    // The token is spent for everybody but the cluster that used it.
    let (code, answer) = b.put("sys/wrapping/unwrap", &token, &json!({})).unwrap();
    assert!(code == 400 && answer.to_string().contains("not valid or does not exist"), "{code} {answer}");

    // Left alone, pointed to nowhere, and back.
    operate(a, root, "secondary/update-primary", &json!({"token": ""}));
    wait_until("it follows nobody", LONG, || status(a)["connection_state"] == "idle");
    refused(a, root, "secondary/update-primary", &json!({"update_primary_addrs": ["nonsense"]}), "no host:port");
    operate(a, root, "secondary/update-primary", &json!({"update_primary_addrs": ["127.0.0.1:1"]}));
    wait_until("the link fails and says why", LONG, || status(a)["last_error"].to_string().contains("127.0.0.1:1"));
    let (code, answer) = a.put("shared/x", root, &json!({"v": "x"})).unwrap();
    assert!(code == 503 && answer.to_string().contains("cannot write to readonly storage"), "{code} {answer}");
    operate(a, root, "secondary/update-primary", &json!({"update_primary_addrs": format!("127.0.0.1:{}", b.port + 1)}));
    streams(a);
    put(a, root, "through", "through");
    assert_eq!((read(a, root, "through"), read(b, &tester, "through")), (Some("through".into()), Some("through".into())));
}

#[test]
fn a_stale_primary_is_fenced_and_follows_without_its_tail() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (primary(folder.path()), Cluster::start(folder.path(), "second", 1));
    let third = Cluster::start(folder.path(), "third", 1);
    let (a, b, c, root) = (&first.nodes[0], &second.nodes[0], &third.nodes[0], first.root.as_str());
    let tester = activate(a, root, &second, "second");
    operate(b, &tester, "secondary/promote", &json!({}));
    becomes(b, "primary");
    put(a, root, "stale", "nobody has seen it");
    put(b, &tester, "fresh", "fresh");
    let on_c = activate(b, &tester, &third, "third");
    operate(c, &on_c, "secondary/update-primary", &json!({ "token": activation(a, root, "third") }));
    wait_until("the stale primary is fenced", LONG, || status(a)["fenced_by_generation"] == 2);
    wait_until("the secondary says why", LONG, || status(c)["last_error"].to_string().contains("stale"));
    let (code, answer) = a.put("shared/x", root, &json!({"v": "x"})).unwrap();
    assert!(code == 503 && answer.to_string().contains("generation 2"), "{code} {answer}");
    assert_eq!(read(a, root, "old").as_deref(), Some("old"));
    refused(a, root, "primary/secondary-token", &json!({"id": "fourth"}), "generation 2 took over");

    operate(a, root, "primary/demote", &json!({}));
    becomes(a, "secondary");
    operate(a, root, "secondary/update-primary", &json!({ "token": activation(b, &tester, "first") }));
    streams(a);
    equal(a, b);
    assert_eq!((read(a, root, "stale"), read(a, root, "fresh").as_deref()), (None, Some("fresh")));
}

#[test]
fn a_revoked_secondary_is_readmitted_and_a_disabled_one_must_start_anew() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (primary(folder.path()), Cluster::start(folder.path(), "second", 1));
    let (a, b, root) = (&first.nodes[0], &second.nodes[0], first.root.as_str());
    // Tokens that are wrong cost nothing.
    b.must("sys/mounts/mine", &second.root, &json!({"type": "kv"}));
    let short = operate(a, root, "primary/secondary-token", &json!({"id": "short", "ttl": "1s"}));
    std::thread::sleep(Duration::from_millis(1500));
    let spent = short["wrap_info"]["token"].clone();
    let nowhere = json!({"token": "hvs.x", "primary_api_addr": "http://127.0.0.1:1"});
    refused(b, &second.root, "secondary/enable", &json!({ "token": spent }), "not valid or does not exist");
    refused(b, &second.root, "secondary/enable", &json!({"token": "garbage"}), "supply primary_api_addr");
    refused(b, &second.root, "secondary/enable", &json!({"token": "eyJ.x.y"}), "no activation token");
    refused(b, &second.root, "secondary/enable", &nowhere, "http://127.0.0.1:1: ");
    assert_eq!(b.get("sys/mounts/mine", &second.root).unwrap().0, 200);

    let tester = activate(a, root, &second, "second");
    operate(a, root, "primary/revoke-secondary", &json!({"id": "second"}));
    wait_until("it is cut off", LONG, || status(b)["last_error"].to_string().contains("was revoked"));
    // The same name again does not let the old certificate in.
    let token = activation(a, root, "second");
    put(a, root, "after", "after");
    let (code, answer) = b.put("shared/x", &tester, &json!({"v": "x"})).unwrap();
    assert!(code == 503 && answer.to_string().contains("was revoked"), "{code} {answer}");
    assert_eq!((read(b, &tester, "after"), read(b, &tester, "old").as_deref()), (None, Some("old")));
    operate(b, &tester, "secondary/update-primary", &json!({ "token": token }));
    streams(b);
    equal(a, b);
    assert_eq!(read(b, &tester, "after").as_deref(), Some("after"));

    operate(b, &tester, "secondary/disable", &json!({}));
    becomes(b, "disabled");
    put(b, &tester, "own", "own");
    let token = activation(a, root, "anew");
    refused(b, &tester, "secondary/update-primary", &json!({ "token": token }), "use secondary/enable");
    operate(b, &tester, "secondary/enable", &json!({ "token": token }));
    streams(b);
    let tester = logged_in(b);
    equal(a, b);
    assert_eq!(read(b, &tester, "own"), None);
    operate(a, root, "primary/disable", &json!({}));
    becomes(a, "disabled");
    put(a, root, "alone", "alone");
}

#[test]
fn a_local_mount_in_the_way_is_named_until_it_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (primary(folder.path()), Cluster::start(folder.path(), "second", 1));
    let (a, b, root) = (&first.nodes[0], &second.nodes[0], first.root.as_str());
    let tester = activate(a, root, &second, "second");
    let (code, answer) = b.put("sys/mounts/shared", &tester, &json!({"type": "kv", "local": true})).unwrap();
    assert!(code == 400 && answer.to_string().contains("path is already in use at shared/"), "{code} {answer}");
    b.must("sys/mounts/both", &tester, &json!({"type": "kv", "local": true}));
    b.must("both/x", &tester, &json!({"v": "local"}));
    a.must("sys/mounts/both", root, &json!({"type": "kv"}));
    a.must("both/x", root, &json!({"v": "shared"}));
    wait_until("the clash is named", LONG, || status(b)["mount_clashes"] == json!(["both/"]));
    assert!(status(b)["state_reason"].as_str().unwrap().contains("a local (non-replicated) mount already exists"));
    assert_eq!(b.get("both/x", &tester).unwrap().1["data"]["v"], "local");
    b.call("DELETE", "sys/mounts/both", &tester, None).unwrap();
    wait_until("the shared mount is served", LONG, || b.get("both/x", &tester).is_some_and(|(_, answer)| answer["data"]["v"] == "shared"));
    assert!(status(b).get("mount_clashes").is_none());
    // One below the other is one in the other's way too.
    b.must("sys/mounts/team/here", &tester, &json!({"type": "kv", "local": true}));
    a.must("sys/mounts/team", root, &json!({"type": "kv"}));
    wait_until("that clash is named", LONG, || status(b)["mount_clashes"] == json!(["team/here/"]));
    a.call("DELETE", "sys/mounts/team", root, None).unwrap();
    wait_until("the clash is over", LONG, || status(b).get("mount_clashes").is_none());
    equal(a, b);
}

#[test]
fn keys_of_the_primary_are_keys_of_the_secondary() {
    let folder = tempfile::tempdir().unwrap();
    let (first, mut second) = (primary(folder.path()), Cluster::start(folder.path(), "second", 1));
    let (a, root) = (&first.nodes[0], first.root.as_str());
    let tester = activate(a, root, &second, "second");
    let b = &second.nodes[0];
    assert_eq!(b.put("sys/rotate", &tester, &json!({})).unwrap().0, 400);
    assert_eq!(b.put("sys/rekey/init", &tester, &json!({"secret_shares": 1, "secret_threshold": 1})).unwrap().0, 400);
    a.must("sys/rotate", root, &json!({}));
    put(a, root, "rotated", "rotated");
    wait_until("the secondary reads what the new key encrypts", LONG, || read(b, &tester, "rotated").is_some());
    let begun = a.must("sys/rekey/init", root, &json!({"secret_shares": 1, "secret_threshold": 1}));
    let mut done = Value::Null;
    for key in &first.keys {
        done = a.must("sys/rekey/update", root, &json!({ "key": key, "nonce": begun["nonce"] }));
    }
    let keys = vec![done["keys_base64"][0].as_str().expect("a new share").to_owned()];
    equal(a, b);
    second.nodes[0].kill();
    second.revive(0, &keys);
    streams(&second.nodes[0]);

    // Sealed, either of them; the other goes on as it can.
    let b = &second.nodes[0];
    a.must("sys/seal", root, &json!({}));
    wait_until("the link is down", LONG, || status(b)["connection_state"] == "transient_failure");
    assert_eq!((read(b, &tester, "old").as_deref(), login(b).is_some()), (Some("old"), true));
    std::thread::sleep(Duration::from_millis(300));
    assert!(status(b)["lag_seconds"].as_f64().unwrap() > 0.2, "{}", status(b));
    a.unseal(&keys);
    streams(b);
    b.must("sys/seal", &tester, &json!({}));
    wait_until("its stream is gone", LONG, || status(a)["secondaries"][0]["connection_status"] == "disconnected");
    put(a, root, "missed", "missed");
    assert_eq!(status(a)["secondaries"][0]["lag_records"], 1, "{}", status(a));
    b.unseal(&keys);
    streams(b);
    equal(a, b);
}

#[test]
fn forwarded_writes_are_read_back_at_once_from_many_threads() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (primary(folder.path()), Cluster::start(folder.path(), "second", 1));
    let (a, b, root) = (&first.nodes[0], &second.nodes[0], first.root.as_str());
    let tester = activate(a, root, &second, "second");
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (b, tester) = (&b, tester.as_str());
            scope.spawn(move || {
                for n in 0..25 {
                    let name = format!("{thread}-{n}");
                    put(b, tester, &name, &name);
                    assert_eq!(read(b, tester, &name), Some(name));
                }
            });
        }
    });
    equal(a, b);
}

/// Filled anew after each kill: it serves nobody before it holds everything.
#[test]
fn a_kill_while_it_is_filled_never_shows_a_part() {
    let folder = tempfile::tempdir().unwrap();
    let first = primary(folder.path());
    let (a, root) = (&first.nodes[0], first.root.as_str());
    for n in 0..300 {
        put(a, root, &format!("k{n}"), &"x".repeat(4000));
    }
    let mut second = Cluster::start(folder.path(), "second", 1);
    let token = activation(a, root, "second");
    operate(&second.nodes[0], &second.root, "secondary/enable", &json!({ "token": token }));
    for pause in [0, 30, 80] {
        std::thread::sleep(Duration::from_millis(pause));
        second.nodes[0].kill();
        second.nodes[0].start();
        for key in &first.keys {
            second.nodes[0].put("sys/unseal", "", &json!({ "key": key }));
        }
    }
    let b = &second.nodes[0];
    let tester = logged_in(b);
    let (_, answer) = b.call("LIST", "shared/", &tester, None).unwrap();
    assert_eq!(answer["data"]["keys"].as_array().map(Vec::len), Some(301), "{answer}");
    equal(a, b);
}

/// The primary was restored from an older folder: the secondary is ahead of it, and gives up what the primary does not have.
#[test]
fn a_primary_that_went_back_in_time_and_its_secondary_end_equal() {
    let folder = tempfile::tempdir().unwrap();
    let (mut first, second) = (primary(folder.path()), Cluster::start(folder.path(), "second", 1));
    let root = first.root.clone();
    let tester = activate(&first.nodes[0], &root, &second, "second");
    let b = &second.nodes[0];
    let (data, kept) = (folder.path().join("first-0"), folder.path().join("kept"));
    first.nodes[0].kill();
    copy(&data, &kept);
    let keys = first.keys.clone();
    first.revive(0, &keys);
    for n in 0..10 {
        put(&first.nodes[0], &root, &format!("lost{n}"), "lost");
    }
    equal(&first.nodes[0], b);
    first.nodes[0].kill();
    fs::remove_dir_all(&data).unwrap();
    fs::rename(&kept, &data).unwrap();
    first.revive(0, &keys);
    streams(b);
    equal(&first.nodes[0], b);
    assert_eq!((read(b, &tester, "lost3"), read(b, &tester, "old").as_deref()), (None, Some("old")));
    put(&first.nodes[0], &root, "on", "on");
    wait_until("it goes on", LONG, || read(b, &tester, "on").is_some());
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, target) = {
            let entry = entry.unwrap();
            (entry.path(), to.join(entry.file_name()))
        };
        if path.is_dir() { copy(&path, &target) } else { fs::copy(&path, &target).map(drop).unwrap() }
    }
}

/// A demotion hands on what was acknowledged before it: the secondary that is promoted next has all of it.
#[test]
fn changing_places_under_load_loses_no_acknowledged_write() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (primary(folder.path()), Cluster::start(folder.path(), "second", 1));
    let (a, b, root) = (&first.nodes[0], &second.nodes[0], first.root.as_str());
    let tester = activate(a, root, &second, "second");
    let (is_over, count) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut written = Vec::new();
            for n in 0.. {
                if is_over.load(Ordering::Relaxed) {
                    break;
                }
                let name = format!("n{n}");
                if a.put(&format!("shared/{name}"), root, &json!({ "v": name })).is_some_and(|(code, _)| code < 300) {
                    written.push(name);
                    count.fetch_add(1, Ordering::Relaxed);
                }
            }
            written
        });
        wait_until("writes are under way", LONG, || count.load(Ordering::Relaxed) > 10);
        operate(a, root, "primary/demote", &json!({}));
        is_over.store(true, Ordering::Relaxed);
        let written = writer.join().unwrap();
        operate(b, &tester, "secondary/promote", &json!({}));
        becomes(b, "primary");
        let lost: Vec<&String> = written.iter().filter(|name| read(b, &tester, name).as_deref() != Some(name.as_str())).collect();
        assert!(lost.is_empty(), "lost: {lost:?}");
    });
}

/// The fields that tools read, with their types: numbers are numbers, milliseconds and epochs are text.
#[track_caller]
fn has_fields(shown: &Value, texts: &[&str], numbers: &[&str], arrays: &[&str]) {
    let missing = |names: &[&str], is: fn(&Value) -> bool| -> Vec<String> {
        names.iter().filter(|name| !is(&shown[**name])).map(|name| (*name).to_owned()).collect()
    };
    let wrong = [missing(texts, Value::is_string), missing(numbers, Value::is_number), missing(arrays, Value::is_array)].concat();
    assert!(wrong.is_empty(), "{wrong:?} in {shown:#}");
}

/// From the first link to a promotion without one.
#[test]
fn both_sides_say_how_they_stand_and_a_promotion_what_it_may_miss() {
    const BOTH: &[&str] =
        &["mode", "state", "cluster_id", "merkle_root", "primary_cluster_addr", "last_corruption_check_epoch", "last_reindex_epoch"];
    const PEER: &[&str] = &[
        "api_address",
        "cluster_address",
        "connection_status",
        "last_heartbeat",
        "last_heartbeat_duration_ms",
        "clock_skew_ms",
        "replication_primary_canary_age_ms",
    ];
    let folder = tempfile::tempdir().unwrap();
    let (mut first, second) = (primary(folder.path()), Cluster::start(folder.path(), "second", 1));
    let root = first.root.clone();
    let tester = activate(&first.nodes[0], &root, &second, "second");
    let b = &second.nodes[0];
    equal(&first.nodes[0], b);
    wait_until("the copy is known to be whole", LONG, || status(b)["lag_seconds"] == 0.0);
    wait_until("the primary knows it too", LONG, || status(&first.nodes[0])["secondaries"][0]["lag_seconds"] == 0.0);
    let (here, there) = (status(&first.nodes[0]), status(b));
    has_fields(&here, BOTH, &["last_performance_wal", "last_wal", "ssct_generation_counter"], &["known_secondaries", "secondaries"]);
    has_fields(&here["secondaries"][0], &[PEER, &["node_id"]].concat(), &["lag_records", "lag_seconds"], &[]);
    let texts = [BOTH, &["connection_state", "secondary_id", "last_start"]].concat();
    has_fields(&there, &texts, &["last_remote_wal", "ssct_generation_counter"], &["known_primary_cluster_addrs", "primaries"]);
    has_fields(&there["primaries"][0], PEER, &["lag_records", "lag_seconds"], &[]);
    assert_eq!((&here["corrupted_merkle_tree"], &there["corrupted_merkle_tree"]), (&json!(false), &json!(false)));

    first.nodes[0].kill();
    wait_until("it says that the primary is gone", LONG, || status(b)["connection_state"] == "transient_failure");
    let alone = status(b);
    assert_eq!((&alone["state"], &alone["primaries"][0]["connection_status"]), (&json!("idle"), &json!("disconnected")));
    assert!(alone["state_reason"].is_string() && alone["lag_seconds"].is_number(), "{alone}");
    assert_eq!((&alone["merkle_root"], &alone["last_remote_wal"]), (&there["merkle_root"], &there["last_remote_wal"]));
    let answer = operate(b, &tester, "secondary/promote", &json!({}));
    assert!(answer["warnings"].to_string().contains("without a link to its primary: it last knew itself to have everything"), "{answer}");
    becomes(b, "primary");
    let promotion = status(b)["promotion"].clone();
    assert_eq!((&promotion["connected"], &promotion["wal"]), (&json!(false), &there["last_remote_wal"]));
    assert!(promotion["lag_seconds"].is_number(), "{promotion}");
}
