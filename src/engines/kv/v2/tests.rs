//! Version 2 as clients see it.

use serde_json::{Value, json};

use super::super::KIND;
use super::*;
use crate::engine::harness::Harness;
use crate::types::Timestamp;

fn mounted() -> Harness {
    Harness::new(&KIND, &[("version", "2")])
}

async fn put(harness: &mut Harness, value: Value) -> Value {
    harness.data(Update, "data/app", json!({ "data": value })).await
}

async fn missing(harness: &mut Harness, operation: Operation, path: &str) -> Option<Value> {
    match harness.call(operation, path, Value::Null).await.unwrap().body {
        Body::Missing(shown) => shown.map(Value::Object),
        other => panic!("expected nothing, got {other:?}"),
    }
}

#[tokio::test]
async fn versions_count_up_and_stay_readable() {
    let mut kv = mounted();
    assert_eq!(put(&mut kv, json!({"a": "1"})).await["version"], 1);
    assert_eq!(put(&mut kv, json!({"a": "2"})).await["version"], 2);
    let newest = kv.data(Read, "data/app", Value::Null).await;
    assert_eq!(newest["data"], json!({"a": "2"}));
    assert_eq!(newest["metadata"]["version"], 2);
    assert_eq!(newest["metadata"]["custom_metadata"], Value::Null);
    assert_eq!(kv.data(Read, "data/app", json!({"version": "1"})).await["data"], json!({"a": "1"}));
    assert_eq!(missing(&mut kv, Read, "data/none").await, None);
}

#[tokio::test]
async fn check_and_set_has_the_exact_texts() {
    let mut kv = mounted();
    let write = |cas: Value| json!({"data": {"a": 1}, "options": {"cas": cas}});
    assert_eq!(kv.data(Update, "data/app", write(json!(0))).await["version"], 1);
    let text = |result: Result<Reply, EngineError>| result.unwrap_err().to_string();
    assert_eq!(text(kv.call(Update, "data/app", write(json!(0))).await), "check-and-set parameter did not match the current version");
    assert_eq!(text(kv.call(Update, "data/app", write(json!("x"))).await), "error parsing check-and-set parameter");
    assert_eq!(text(kv.call(Update, "data/app", json!({"a": 1})).await), "no data provided");
    kv.call(Update, "config", json!({"cas_required": true})).await.unwrap();
    assert_eq!(text(kv.call(Update, "data/app", json!({"data": {}})).await), "check-and-set parameter required for this call");
    assert_eq!(kv.data(Update, "data/app", write(json!("1"))).await["version"], 2);
}

#[tokio::test]
async fn a_deleted_version_answers_its_metadata_and_comes_back() {
    let mut kv = mounted();
    put(&mut kv, json!({"a": "1"})).await;
    kv.call(Delete, "data/app", Value::Null).await.unwrap();
    let shown = missing(&mut kv, Read, "data/app").await.unwrap();
    assert_eq!(shown["data"], Value::Null);
    assert_ne!(shown["metadata"]["deletion_time"], "");
    kv.call(Update, "undelete/app", json!({"versions": [1]})).await.unwrap();
    assert_eq!(kv.data(Read, "data/app", Value::Null).await["data"], json!({"a": "1"}));
    kv.call(Update, "destroy/app", json!({"versions": "1"})).await.unwrap();
    assert_eq!(missing(&mut kv, Read, "data/app").await.unwrap()["metadata"]["destroyed"], true);
    kv.call(Update, "undelete/app", json!({"versions": [1, 99]})).await.unwrap();
    assert_eq!(missing(&mut kv, Read, "data/app").await.unwrap()["metadata"]["destroyed"], true);
    assert!(kv.call(Update, "delete/app", json!({})).await.is_err());
    kv.call(Update, "delete/none", json!({"versions": [1]})).await.unwrap();
}

#[tokio::test]
async fn a_merge_patch_changes_what_it_names() {
    let mut kv = mounted();
    put(&mut kv, json!({"a": "1", "b": {"c": 1, "d": 2}, "e": [1]})).await;
    assert_eq!(kv.data(Patch, "data/app", json!({"data": {"a": null, "b": {"d": 3}, "e": [2]}})).await["version"], 2);
    assert_eq!(kv.data(Read, "data/app", Value::Null).await["data"], json!({"b": {"c": 1, "d": 3}, "e": [2]}));
    assert!(matches!(kv.call(Patch, "data/none", json!({"data": {}})).await.unwrap().body, Body::Missing(None)));
}

#[tokio::test]
async fn metadata_may_come_before_data_and_ends_everything() {
    let mut kv = mounted();
    kv.call(Update, "metadata/app", json!({"custom_metadata": {"owner": "x"}, "max_versions": 2})).await.unwrap();
    for n in 1..=4 {
        put(&mut kv, json!({ "n": n })).await;
    }
    let shown = kv.data(Read, "metadata/app", Value::Null).await;
    assert_eq!(shown["current_version"], 4);
    assert_eq!(shown["custom_metadata"], json!({"owner": "x"}));
    assert_eq!(shown["versions"].as_object().unwrap().keys().collect::<Vec<_>>(), ["3", "4"]);
    kv.call(Patch, "metadata/app", json!({"custom_metadata": {"owner": null, "team": "y"}})).await.unwrap();
    assert_eq!(kv.data(Read, "metadata/app", Value::Null).await["custom_metadata"], json!({"team": "y"}));
    assert_eq!(kv.data(List, "metadata", Value::Null).await, json!({"keys": ["app"]}));
    kv.call(Delete, "metadata/app", Value::Null).await.unwrap();
    assert_eq!(missing(&mut kv, Read, "metadata/app").await, None);
    assert_eq!(missing(&mut kv, List, "metadata/").await, None);
    assert_eq!(put(&mut kv, json!({"a": "1"})).await["version"], 1);
}

#[tokio::test]
async fn versions_end_by_themselves() {
    let mut kv = mounted();
    kv.call(Update, "config", json!({"delete_version_after": "1h"})).await.unwrap();
    assert_eq!(kv.data(Read, "config", Value::Null).await["delete_version_after"], "1h0m0s");
    put(&mut kv, json!({"a": "1"})).await;
    kv.now = Timestamp(kv.now.0 + 3_599_000);
    kv.data(Read, "data/app", Value::Null).await;
    kv.now = Timestamp(kv.now.0 + 1_000);
    assert!(missing(&mut kv, Read, "data/app").await.is_some());
}

#[tokio::test]
async fn subkeys_show_no_values() {
    let mut kv = mounted();
    put(&mut kv, json!({"a": "1", "b": {"c": {"d": 2}}})).await;
    assert_eq!(kv.data(Read, "subkeys/app", Value::Null).await["subkeys"], json!({"a": null, "b": {"c": {"d": null}}}));
    assert_eq!(kv.data(Read, "subkeys/app", json!({"depth": 1})).await["subkeys"], json!({"a": null, "b": null}));
}

#[tokio::test]
async fn a_path_without_its_section_is_explained() {
    let mut kv = mounted();
    let reply = kv.call(Read, "app", Value::Null).await.unwrap();
    assert!(matches!(reply.body, Body::Missing(None)));
    assert!(reply.warnings[0].contains("vault kv get"));
    let reply = kv.call(Read, "data", Value::Null).await.unwrap();
    assert!(reply.warnings[0].starts_with("Non-listing operations"));
    assert_eq!(kv.call(Update, "data/", json!({"data": {}})).await.unwrap_err().to_string(), "missing path");
}
