//! What was done once all is mended must be so on every node of every cluster: a write is read, a policy is in force, a mount is
//! there, a new key encrypts.

use std::time::Duration;

use serde_json::{Value, json};

use crate::liveness::WITHIN;
use crate::net::{HostId, now};
use crate::operator::{active, ask, mount, must};
use crate::trace;
use crate::world::World;

/// A policy and a mount that are made last of all.
const LAST: &str = "last";
/// So much is written with a new key.
const WRITES: u64 = 5;

/// Who is to run, and the number of his cluster.
pub fn all(world: &World) -> Vec<(usize, HostId)> {
    world.slots.iter().filter(|slot| slot.is_wanted()).map(|slot| (slot.cluster, slot.id)).collect()
}

/// Every node shows the fresh write.
///
/// # Errors
/// With the answer of one that does not.
pub async fn read(world: &World, value: &str) -> Result<(), String> {
    for (cluster, host) in all(world) {
        let is_it = |status: u16, answer: &Value| status == 200 && answer["data"]["data"]["v"] == value;
        answers(world, host, ("GET", "kv/data/fresh", &world.root(cluster)), &Value::Null, is_it).await?;
    }
    Ok(())
}

/// A policy that is made, and one that is changed, and a mount, are so wherever the shared data are a copy.
///
/// # Errors
/// With the answer of a node for which they are not.
pub async fn is_in_force(world: &World, primary: usize) -> Result<(), String> {
    let tokens = tokens_with(world, LAST).await?;
    for (capabilities, status) in [(r#""read", "update""#, 200), (r#""deny""#, 403)] {
        let policy = json!({ "policy": format!("path \"kv/data/fresh\" {{ capabilities = [{capabilities}] }}") });
        must(world, &world.wanted(primary), "PUT", &format!("sys/policies/acl/{LAST}"), &world.root(primary), &policy).await?;
        if status == 403 {
            is_denied_already(world, primary, &tokens).await?;
        }
        reads_end_in(world, &tokens, status).await?;
    }
    mount(world, (primary, &world.wanted(primary)), &format!("sys/mounts/{LAST}"), &json!({ "type": "kv" })).await?;
    for (cluster, host) in all(world) {
        // Nothing is there, which is said in other words where the mount is not.
        let is_it = |status: u16, answer: &Value| status == 404 && answer["errors"].as_array().is_some_and(Vec::is_empty);
        answers(world, host, ("LIST", LAST, &world.root(cluster)), &Value::Null, is_it).await?;
    }
    Ok(())
}

/// A token of each cluster that has this policy alone.
///
/// # Errors
/// If one is not made.
pub async fn tokens_with(world: &World, policy: &str) -> Result<Vec<String>, String> {
    let mut tokens = Vec::new();
    for cluster in 0..world.plan.sizes.len() {
        let body = json!({ "policies": [policy], "no_default_policy": true, "ttl": "1h" });
        let answer = must(world, &world.wanted(cluster), "POST", "auth/token/create", &world.root(cluster), &body).await?;
        tokens.push(answer["auth"]["client_token"].as_str().unwrap_or_default().to_owned());
    }
    Ok(tokens)
}

/// Every node answers the tokens of its cluster so when they read the fresh write.
///
/// # Errors
/// With the answer of one that does not.
pub async fn reads_end_in(world: &World, tokens: &[String], status: u16) -> Result<(), String> {
    for (cluster, host) in all(world) {
        answers(world, host, ("GET", "kv/data/fresh", &tokens[cluster]), &Value::Null, |is, _| is == status).await?;
    }
    Ok(())
}

/// What the primary denies is written through no copy, though none of them has heard of it yet.
async fn is_denied_already(world: &World, primary: usize, tokens: &[String]) -> Result<(), String> {
    let body = json!({ "data": { "v": "denied" } });
    let copies = world.plan.clusters_but(&[primary]);
    let writes = copies.iter().filter_map(|copy| active(world, *copy).map(|host| (host, &tokens[*copy])));
    let told = futures::future::join_all(writes.map(|(host, token)| ask(world, host, "POST", "kv/data/fresh", token, &body))).await;
    match told.into_iter().find(|told| matches!(told, Ok((200..300, _)))) {
        Some(told) => Err(format!("a copy wrote what its primary had denied: {told:?}")),
        None => Ok(()),
    }
}

/// After a rotation every cluster encrypts with the new key.
///
/// # Errors
/// If one does not.
pub async fn is_rotated(world: &World, primary: usize) -> Result<(), String> {
    let term = |cluster: usize| {
        let running = active(world, cluster).and_then(|host| world.slot(host).running())?;
        Some(running.core.context().keys().ok()?.keyring.info().term.0)
    };
    world.wait("the primary tells its newest key", WITHIN, || term(primary).is_some()).await?;
    let before = term(primary);
    must(world, &world.plan.all_of(primary), "PUT", "sys/rotate", &world.root(primary), &json!({})).await?;
    for cluster in 0..world.plan.sizes.len() {
        world.wait("what is written is encrypted with the new key", WITHIN, || term(cluster) > before).await?;
    }
    is_counted(world, primary).await
}

/// What a key has encrypted is counted.
async fn is_counted(world: &World, primary: usize) -> Result<(), String> {
    let (hosts, root) = (world.wanted(primary), world.root(primary));
    for n in 0..WRITES {
        must(world, &hosts, "POST", &format!("kv/data/counted{n}"), &root, &json!({ "data": { "v": n } })).await?;
    }
    let told = must(world, &hosts, "GET", "sys/key-status", &root, &Value::Null).await?;
    match told["data"]["encryptions"].as_u64() {
        Some(told) if told >= WRITES => Ok(()),
        _ => Err(format!("{WRITES} values were encrypted, and the key's status says {told}")),
    }
}

/// Every copy follows the primary by its records, and both ends say so.
///
/// # Errors
/// With what one of them says.
pub async fn is_streaming(world: &World, primary: usize) -> Result<(), String> {
    let status = ("GET", "sys/replication/performance/status", "");
    let copies = world.plan.clusters_but(&[primary]);
    trace::line(format_args!("clusters {copies:?} are to stream"));
    let theirs: Vec<&str> = world.wanted(primary).iter().map(|host| world.names[host.0].as_str()).collect();
    for copy in &copies {
        for host in world.wanted(*copy) {
            let is_it = |code: u16, answer: &Value| code == 200 && answer["data"]["state"] == "stream-wals";
            answers(world, host, status, &Value::Null, is_it).await?;
        }
        // Whichever nodes the primary had when it was followed first: it knows those that there are.
        let Some(host) = active(world, *copy) else { continue };
        let is_it = |_: u16, answer: &Value| {
            let known = answer["data"]["known_primary_cluster_addrs"].to_string();
            theirs.iter().all(|name| known.contains(&format!("{name}:")))
        };
        answers(world, host, status, &Value::Null, is_it).await?;
    }
    for host in world.wanted(primary) {
        // One that was taken in under another name is known by its old one too, unless that was revoked.
        let is_it = |code: u16, answer: &Value| {
            let all = answer["data"]["secondaries"].as_array().cloned().unwrap_or_default();
            code == 200
                && all.iter().filter(|one| one["connection_status"] == "connected" && one["lag_records"] == 0).count() == copies.len()
        };
        answers(world, host, status, &Value::Null, is_it).await?;
    }
    Ok(())
}

/// Asks a node until it answers so.
///
/// # Errors
/// With its last answer.
pub async fn answers(
    world: &World,
    host: HostId,
    (method, path, token): (&str, &str, &str),
    body: &Value,
    is_it: impl Fn(u16, &Value) -> bool,
) -> Result<(), String> {
    let end = now() + WITHIN;
    loop {
        let answer = ask(world, host, method, path, token, body).await;
        if answer.as_ref().is_ok_and(|(status, answer)| is_it(*status, answer)) {
            return Ok(());
        }
        if now() > end {
            return Err(format!("{} does not say what it should to {method} {path}: {answer:?}", trace::name(host)));
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
