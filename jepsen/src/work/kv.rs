//! Words of the KV engine, version 2, that several workloads use.

use serde_json::{Value as Json, json};

use crate::client::http::{Reply, Request};
use crate::core::Value;
use crate::world::cluster::Cluster;

/// Mounts the engine at `path`, with so many versions kept of a key (0: its default).
///
/// # Errors
/// What was refused.
pub fn mount(cluster: &Cluster, path: &str, max_versions: u32) -> Result<(), String> {
    cluster.must(&format!("sys/mounts/{path}"), &json!({"type": "kv", "options": {"version": "2"}}))?;
    cluster.must(&format!("{path}/config"), &json!({ "max_versions": max_versions })).map(drop)
}

/// Reads a key.
pub fn read(mount: &str, key: &str) -> Request {
    Request::new("GET", format!("{mount}/data/{key}"))
}

/// Writes a key; with `cas`, only if that is its version (0: only if there is none).
pub fn write(mount: &str, key: &str, value: &Json, cas: Option<i64>) -> Request {
    let mut body = json!({"data": {"v": value}});
    if let Some(version) = cas {
        body["options"] = json!({ "cas": version });
    }
    Request::new("PUT", format!("{mount}/data/{key}")).with_body(body)
}

/// Names below a folder.
pub fn list(mount: &str, folder: &str) -> Request {
    Request::new("LIST", format!("{mount}/metadata/{folder}"))
}

/// Whether a write was refused because the version was another.
pub fn is_mismatch(reply: &Reply) -> bool {
    reply.status == 400 && reply.body["errors"].to_string().contains("check-and-set")
}

/// The version that a write made.
///
/// # Errors
/// If the answer has none.
pub fn written(reply: &Reply) -> Result<i64, String> {
    reply.body["data"]["version"].as_i64().ok_or_else(|| format!("no version in {}", reply.body))
}

/// Version and value that a read saw.
///
/// # Errors
/// If the answer has none.
pub fn seen(reply: &Reply) -> Result<(i64, Value), String> {
    let data = &reply.body["data"];
    let version = data["metadata"]["version"].as_i64().ok_or_else(|| format!("no version in {}", reply.body))?;
    Ok((version, number(&data["data"]["v"])?))
}

/// Nothing is there, as the engine says it: 404 without any error.
pub fn is_absent(reply: &Reply) -> bool {
    reply.status == 404 && reply.body["errors"].as_array().is_some_and(Vec::is_empty)
}

/// Names in a list.
pub fn names(reply: &Reply) -> Vec<String> {
    let keys = reply.body["data"]["keys"].as_array();
    keys.map(|keys| keys.iter().filter_map(|key| key.as_str().map(str::to_owned)).collect()).unwrap_or_default()
}

fn number(json: &Json) -> Result<Value, String> {
    json.as_i64().map(Value::Int).ok_or_else(|| format!("{json} was never written"))
}
