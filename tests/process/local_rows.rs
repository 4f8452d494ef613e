//! What is local never leaves its cluster: looked for in the other one's files, row by row, its log included.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use coffer::storage::{Physical, RocksOptions, RocksStore};
use coffer::types::{Key, Prefix, Scope};
use serde_json::{Value, json};

use super::cluster::Cluster;
use super::needles::Needles;
use super::node::{Node, wait_until};

const LONG: Duration = Duration::from_secs(60);

/// Local rows that every cluster has, each its own.
const OF_EVERY_CLUSTER: &[&str] = &["sys/mount-epoch", "sys/mount/secret/cubbyhole", "sys/token/batch-key", "sys/token/salt"];

fn rows(store: &RocksStore, scope: Scope) -> BTreeMap<Arc<str>, Vec<u8>> {
    let paths = store.reader().list(&Prefix::new(scope, ""), None, usize::MAX).unwrap();
    paths.into_iter().map(|path| (path.clone(), store.get(&Key::new(scope, path)).unwrap().unwrap().value.to_vec())).collect()
}

/// Tokens, leases, a cubbyhole, a local mount with data and a local user, on a node that is called `name`.
fn fill(node: &Node, token: &str, name: &str) {
    let child = node.must("auth/token/create", token, &json!({"policies": ["default"], "ttl": "1h", "renewable": true}));
    let child = child["auth"]["client_token"].as_str().unwrap().to_owned();
    node.must("cubbyhole/note", &child, &json!({ "v": name }));
    node.must(&format!("sys/mounts/local-{name}"), token, &json!({"type": "kv", "local": true}));
    node.must(&format!("local-{name}/row-of-{name}"), token, &json!({ "v": name }));
    node.must(&format!("sys/auth/users-{name}"), token, &json!({"type": "userpass", "local": true}));
    node.must(&format!("auth/users-{name}/users/user-of-{name}"), token, &json!({"password": "changeme", "policies": "default"}));
    node.must(&format!("auth/users-{name}/login/user-of-{name}"), "", &json!({"password": "changeme"}));
    node.put(&format!("auth/users-{name}/login/user-of-{name}"), "", &json!({"password": "wrong"}));
}

#[test]
fn no_local_row_of_a_cluster_lies_in_the_files_of_the_other() {
    let folder = tempfile::tempdir().unwrap();
    let (mut first, mut second) = (Cluster::start(folder.path(), "first", 1), Cluster::start(folder.path(), "second", 1));
    let root = first.root.clone();
    let (a, b) = (&first.nodes[0], &second.nodes[0]);
    let policy = "path \"*\" { capabilities = [\"create\",\"read\",\"update\",\"patch\",\"delete\",\"list\",\"sudo\"] }";
    a.must("sys/policies/acl/superuser", &root, &json!({ "policy": policy }));
    a.must("sys/auth/userpass", &root, &json!({"type": "userpass"}));
    a.must("auth/userpass/users/tester", &root, &json!({"password": "changeme", "policies": "superuser"}));
    a.must("sys/mounts/shared", &root, &json!({"type": "kv"}));
    // Some of it before there is a secondary, some of it after.
    fill(a, &root, "early");
    a.must("sys/replication/performance/primary/enable", &root, &json!({}));
    let state =
        |node: &Node| node.get("sys/replication/performance/status", "").map(|(_, answer)| answer["data"].clone()).unwrap_or_default();
    wait_until("the primary serves as one", LONG, || a.health() == 200 && state(a)["mode"] == "primary");
    let answer = a.must("sys/replication/performance/primary/secondary-token", &root, &json!({"id": "second"}));
    b.must("sys/replication/performance/secondary/enable", &second.root, &json!({"token": answer["wrap_info"]["token"]}));
    let mut login = Value::Null;
    wait_until("the primary's user logs in on the secondary", LONG, || {
        let answer = b.put("auth/userpass/login/tester", "", &json!({"password": "changeme"}));
        login = answer.filter(|(code, _)| *code == 200).map(|(_, answer)| answer["auth"].clone()).unwrap_or_default();
        login.is_object()
    });
    let tester = login["client_token"].as_str().unwrap();
    a.put("auth/userpass/login/tester", "", &json!({"password": "wrong"}));
    b.put("auth/userpass/login/tester", "", &json!({"password": "wrong"}));
    fill(a, &root, "primary");
    fill(b, tester, "secondary");
    b.must("shared/forwarded", tester, &json!({"v": "by a token that stays there"}));
    wait_until("all is streamed", LONG, || state(a)["merkle_root"] == state(b)["merkle_root"]);
    first.nodes[0].terminate();
    second.nodes[0].terminate();

    let open = |name: &str| RocksStore::open(RocksOptions::new(folder.path().join(name).join("state"))).unwrap();
    let (here, there) = (open("first-0"), open("second-0"));
    assert_eq!(rows(&here, Scope::Shared), rows(&there, Scope::Shared), "shared rows are the same bytes on both sides");
    let (of_a, of_b) = (rows(&here, Scope::Local), rows(&there, Scope::Local));
    drop((here, there));
    let both: Vec<&str> = of_a.keys().filter(|path| of_b.contains_key(*path)).map(AsRef::as_ref).collect();
    let both: Vec<&str> = both.into_iter().filter(|path| !path.starts_with("sys/lockout/")).collect();
    assert_eq!(both, OF_EVERY_CLUSTER);
    for rows in [&of_a, &of_b] {
        for kind in
            ["sys/token/id/", "sys/token/accessor/", "sys/lease/due/", "cubbyhole/", "sys/mount/secret/local-", "sys/mount/auth/users-"]
        {
            assert!(rows.keys().any(|path| path.starts_with(kind)), "there are rows below {kind}: {:?}", rows.keys());
        }
    }

    let needles = |rows: &BTreeMap<Arc<str>, Vec<u8>>| {
        let mut needles = Needles::new();
        for (path, value) in rows {
            // Every value is encrypted under a nonce of its own: the same bytes elsewhere are the same row.
            needles.add("the value of a local row", value);
            if !OF_EVERY_CLUSTER.contains(&&**path) && !path.starts_with("sys/lockout/") {
                needles.add("the path of a local row", path.as_bytes());
            }
        }
        needles
    };
    let (mut of_a, mut of_b) = (needles(&of_a), needles(&of_b));
    of_a.add("the root token", &root);
    of_b.add("a token of the secondary", tester);
    of_b.add("its accessor", login["accessor"].as_str().unwrap());
    let lies_in = |needles: &Needles, name: &str| needles.found_below(Path::new(&folder.path().join(name)));
    // The search finds them where they are.
    for (needles, own) in [(&of_a, "first-0"), (&of_b, "second-0")] {
        let found = lies_in(needles, own).join("\n");
        assert!(found.contains("the value of a local row") && found.contains("the path of a local row"), "{found}");
    }
    for (needles, other) in [(&of_a, "second-0"), (&of_b, "first-0")] {
        let found = lies_in(needles, other);
        assert!(found.is_empty(), "{found:#?}");
    }
}
