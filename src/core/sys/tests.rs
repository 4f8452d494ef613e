//! The API of mounts as clients know it, over a whole core in memory.

use std::sync::LazyLock;

use serde_json::{Value, json};

use crate::core::testing::TestCore;
use crate::engine::{Kind, Operation};

static KINDS: LazyLock<Vec<&'static Kind>> = LazyLock::new(|| [crate::engines::ALL, crate::auth::ALL].concat());

#[track_caller]
fn says(result: Result<crate::core::Response, crate::core::Refused>, text: &str) {
    assert_eq!(result.unwrap_err().to_string(), text);
}

async fn enable(test: &TestCore, path: &str, body: Value) -> Result<crate::core::Response, crate::core::Refused> {
    test.ask(Operation::Update, path, body).await
}

#[tokio::test]
async fn every_cluster_has_the_same_first_mounts() {
    let test = TestCore::new(&KINDS).await;
    let mounts = test.data(Operation::Read, "sys/mounts", Value::Null).await;
    assert_eq!(mounts.as_object().unwrap().keys().collect::<Vec<_>>(), ["cubbyhole/", "sys/"]);
    assert_eq!(mounts["cubbyhole/"]["local"], true);
    let auth = test.data(Operation::Read, "sys/auth", Value::Null).await;
    assert_eq!(auth["token/"]["config"]["token_type"], "default-service");
}

#[tokio::test]
async fn paths_do_not_clash() {
    let test = TestCore::new(&KINDS).await;
    enable(&test, "sys/mounts/a/b", json!({ "type": "kv" })).await.unwrap();
    says(enable(&test, "sys/mounts/a/b", json!({ "type": "kv" })).await, "path is already in use at a/b/");
    says(enable(&test, "sys/mounts/a/b", json!({ "type": "kv", "local": true })).await, "path is already in use at a/b/");
    says(enable(&test, "sys/mounts/a", json!({ "type": "kv" })).await, "existing mount at a/b/");
    says(enable(&test, "sys/mounts/a/b/c", json!({ "type": "kv" })).await, "existing mount at a/b/");
    says(enable(&test, "sys/mounts/sys", json!({ "type": "kv" })).await, "cannot mount \"sys/\"");
    says(enable(&test, "sys/mounts/c", json!({ "type": "nope" })).await, "plugin not found in the catalog: nope");
    says(enable(&test, "sys/mounts/c", json!({ "type": "cubbyhole" })).await, "mount type of \"cubbyhole\" is not mountable");
    says(enable(&test, "sys/mounts/c", json!({})).await, "backend type must be specified as a string");
    says(enable(&test, "sys/auth/token", json!({ "type": "token" })).await, "token credential backend cannot be instantiated");
    says(test.ask(Operation::Delete, "sys/mounts/sys", Value::Null).await, "cannot unmount \"sys/\"");
    says(test.ask(Operation::Read, "sys/mounts/none", Value::Null).await, "No secret engine mount at none/");
    test.ask(Operation::Delete, "sys/mounts/none", Value::Null).await.unwrap();
}

#[tokio::test]
async fn kv_has_two_versions_and_is_seen_before_use() {
    let test = TestCore::new(&KINDS).await;
    enable(&test, "sys/mounts/two", json!({ "type": "kv-v2", "description": null, "options": null })).await.unwrap();
    enable(&test, "sys/mounts/one", json!({ "type": "kv", "options": { "version": 1 } })).await.unwrap();
    let seen = test.data(Operation::Read, "sys/internal/ui/mounts/two/data/a", Value::Null).await;
    assert_eq!((&seen["path"], &seen["options"]["version"], &seen["type"]), (&json!("two/"), &json!("2"), &json!("kv")));
    test.ask(Operation::Update, "two/data/a", json!({ "data": { "k": "v" } })).await.unwrap();
    assert_eq!(test.data(Operation::Read, "two/data/a", Value::Null).await["data"], json!({ "k": "v" }));
    test.ask(Operation::Update, "one/a", json!({ "k": "v" })).await.unwrap();
    assert_eq!(test.data(Operation::Read, "one/a", Value::Null).await, json!({ "k": "v" }));
    let weak = test.token(&["default"]).await;
    let text = "preflight capability check returned 403, please ensure client's policies grant access to path \"two/data/a/\"";
    says(test.ask_as(&weak, Operation::Read, "sys/internal/ui/mounts/two/data/a", Value::Null).await, text);
}

#[tokio::test]
async fn tuning_shows_effective_times_and_refuses_contradictions() {
    let test = TestCore::new(&KINDS).await;
    enable(&test, "sys/auth/up", json!({ "type": "userpass" })).await.unwrap();
    let tuned = test.data(Operation::Read, "sys/auth/up/tune", Value::Null).await;
    assert_eq!((&tuned["default_lease_ttl"], &tuned["token_type"]), (&json!(2_764_800), &json!("default-service")));
    enable(&test, "sys/mounts/auth/up/tune", json!({ "default_lease_ttl": "1h", "max_lease_ttl": "2h", "description": "d" }))
        .await
        .unwrap();
    let tuned = test.data(Operation::Read, "sys/mounts/auth/up/tune", Value::Null).await;
    assert_eq!((&tuned["default_lease_ttl"], &tuned["max_lease_ttl"], &tuned["description"]), (&json!(3600), &json!(7200), &json!("d")));
    let text = "backend max lease TTL of 60 would be less than backend default lease TTL of 3600";
    says(enable(&test, "sys/auth/up/tune", json!({ "max_lease_ttl": 60 })).await, text);
}

#[tokio::test]
async fn options_that_a_tuning_does_not_name_stay() {
    let test = TestCore::new(&KINDS).await;
    enable(&test, "sys/mounts/a", json!({ "type": "kv-v2" })).await.unwrap();
    enable(&test, "sys/mounts/a/tune", json!({ "options": { "other": "x" } })).await.unwrap();
    let tuned = test.data(Operation::Read, "sys/mounts/a/tune", Value::Null).await;
    assert_eq!(tuned["options"], json!({ "other": "x", "version": "2" }));
    test.ask(Operation::Update, "a/data/x", json!({ "data": { "k": "v" } })).await.unwrap();
}

#[tokio::test]
async fn an_upgraded_mount_keeps_its_secrets() {
    let test = TestCore::new(&KINDS).await;
    enable(&test, "sys/mounts/a", json!({ "type": "kv" })).await.unwrap();
    for path in ["a/x", "a/deep/config"] {
        test.ask(Operation::Update, path, json!({ "k": path })).await.unwrap();
    }
    let reply = enable(&test, "sys/mounts/a/tune", json!({ "options": { "version": "2" } })).await.unwrap();
    assert!(reply.warnings[0].starts_with("Upgrading mount from version 1 to version 2."), "{:?}", reply.warnings);
    for (path, value) in [("a/data/x", "a/x"), ("a/data/deep/config", "a/deep/config")] {
        assert_eq!(test.data(Operation::Read, path, Value::Null).await["data"], json!({ "k": value }));
    }
    says(enable(&test, "sys/mounts/a/tune", json!({ "options": { "version": "1" } })).await, "cannot downgrade mount from version 2");
}

#[tokio::test]
async fn a_moved_mount_keeps_its_data() {
    let test = TestCore::new(&KINDS).await;
    enable(&test, "sys/mounts/a", json!({ "type": "kv" })).await.unwrap();
    test.ask(Operation::Update, "a/x", json!({ "k": "v" })).await.unwrap();
    let moved = test.data(Operation::Update, "sys/remount", json!({ "from": "a", "to": "b" })).await;
    let status = test.data(Operation::Read, &format!("sys/remount/status/{}", moved["migration_id"].as_str().unwrap()), Value::Null).await;
    assert_eq!(status["migration_info"], json!({ "source_mount": "a/", "target_mount": "b/", "status": "success" }));
    assert_eq!(test.data(Operation::Read, "b/x", Value::Null).await, json!({ "k": "v" }));
    assert!(test.ask(Operation::Read, "a/x", Value::Null).await.is_err());
}

#[tokio::test]
async fn a_local_mount_that_is_moved_stays_at_home() {
    let test = TestCore::new(&KINDS).await;
    enable(&test, "sys/mounts/a", json!({ "type": "kv", "local": true })).await.unwrap();
    test.ask(Operation::Update, "a/x", json!({ "k": "v" })).await.unwrap();
    test.ask(Operation::Update, "sys/remount", json!({ "from": "a", "to": "b" })).await.unwrap();
    assert_eq!(test.data(Operation::Read, "sys/mounts/b", Value::Null).await["local"], true);
    assert_eq!(test.data(Operation::Read, "b/x", Value::Null).await, json!({ "k": "v" }));
}

#[tokio::test]
async fn users_log_in_and_are_locked_out() {
    let test = TestCore::new(&KINDS).await;
    enable(&test, "sys/auth/userpass", json!({ "type": "userpass" })).await.unwrap();
    enable(&test, "auth/userpass/users/ann", json!({ "password": "right", "token_policies": "default" })).await.unwrap();
    let login = |password: &'static str| enable(&test, "auth/userpass/login/ann", json!({ "password": password }));
    let auth = login("right").await.unwrap().auth.unwrap();
    test.ask_as(&auth.client_token, Operation::Read, "auth/token/lookup-self", Value::Null).await.unwrap();
    for _ in 0..5 {
        login("wrong").await.unwrap_err();
    }
    says(login("right").await, "permission denied");
    test.ask(Operation::Delete, "sys/auth/userpass", Value::Null).await.unwrap();
    let after = test.ask_as(&auth.client_token, Operation::Read, "auth/token/lookup-self", Value::Null).await;
    assert!(after.is_err(), "tokens end with their mount");
}

#[tokio::test]
async fn tools_make_and_hash_bytes() {
    let test = TestCore::new(&KINDS).await;
    let random = test.data(Operation::Update, "sys/tools/random/8", json!({ "format": "hex" })).await;
    assert_eq!(random["random_bytes"].as_str().unwrap().len(), 16);
    let sum = test.data(Operation::Update, "sys/tools/hash/sha2-256", json!({ "input": "aGVsbG8=" })).await;
    assert_eq!(sum["sum"], "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824");
}

#[tokio::test]
async fn clients_hear_of_fields_that_nobody_looks_at() {
    let test = TestCore::new(&KINDS).await;
    enable(&test, "sys/mounts/two", json!({ "type": "kv-v2" })).await.unwrap();
    enable(&test, "sys/mounts/one", json!({ "type": "kv" })).await.unwrap();
    enable(&test, "sys/auth/userpass", json!({ "type": "userpass" })).await.unwrap();
    let warnings = async |operation, path: &str, body: Value| test.ask(operation, path, body).await.unwrap().warnings;
    let ignored = |names: &str| vec![format!("Endpoint ignored these unrecognized parameters: [{names}]")];
    let replaced = |names: &str| {
        vec![format!("Endpoint replaced the value of these parameters with the values captured from the endpoint's path: [{names}]")]
    };
    let write = Operation::Update;
    assert_eq!(warnings(write, "two/data/a", json!({ "data": {}, "zz": 1, "aa": 2 })).await, ignored("aa zz"));
    assert_eq!(warnings(write, "two/data/a", json!({ "data": {}, "path": "x" })).await, replaced("path"));
    assert_eq!(warnings(write, "auth/token/create", json!({ "foo": 1, "ttl": "1h" })).await, ignored("foo"));
    assert_eq!(warnings(write, "sys/capabilities-self", json!({ "path": "a", "q": 1 })).await, ignored("q"));
    assert_eq!(warnings(Operation::Read, "sys/mounts", json!({ "q": "1" })).await, ignored("q"));
    let both = warnings(write, "sys/tools/random/8", json!({ "q": 1, "urlbytes": 1 })).await;
    assert_eq!(both, [ignored("q"), replaced("urlbytes")].concat());
    // Where there is no body there is no word either, and some paths take everything.
    assert!(warnings(write, "auth/userpass/users/ann", json!({ "password": "pw", "q": 1 })).await.is_empty());
    assert_eq!(warnings(write, "auth/userpass/login/ann", json!({ "password": "pw", "q": 1 })).await, ignored("q"));
    assert!(warnings(write, "one/a", json!({ "path": 1, "q": 1 })).await.is_empty());
    assert_eq!(warnings(Operation::Read, "one/a", json!({ "q": "1" })).await, ignored("q"));
    assert!(warnings(write, "cubbyhole/a", json!({ "q": 1 })).await.is_empty());
}
