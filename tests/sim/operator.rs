//! The operator: makes the clusters, and asks; through the API, as any operator would. Seals are in `seal`, roles in `roles`.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use coffer::core::{RawRequest, Standing};
use coffer::machine::Role;
use coffer::raft::Consensus;
use coffer::storage::Physical;
use coffer::types::Prefix;
use serde_json::{Value, json};

use crate::invariants::LOCAL_CANARY;
use crate::limits::LIFE;
use crate::net::{HostId, NoAnswer, now};
use crate::seal;
use crate::talk::{Reply, Request};
use crate::trace;
use crate::transport::raw;
use crate::world::World;

/// How long each step of making a cluster may take.
pub const STEP: Duration = Duration::from_secs(60);
/// The password of all users.
pub const PASSWORD: &str = "correct-horse-battery";
/// A user who may read, and the policy of the same name.
pub const READER: &str = "reader";
/// A policy, and what it allows everything below.
pub const OPEN: &str = "open";
/// A policy that denies what that one allows.
pub const SHUT: &str = "shut";
/// Where users log in whose tokens do not live long.
pub const BRIEF: &str = "brief";
/// What is said of a path that has a mount.
const IN_USE: &str = "already in use";
/// As long as a call of the operator's may take.
const CALL: Duration = Duration::from_secs(20);

/// Sends a request to a host as a client; the status, and the body as JSON.
///
/// # Errors
/// If there was no answer.
pub async fn ask(world: &World, host: HostId, method: &str, path: &str, token: &str, body: &Value) -> Result<(u16, Value), NoAnswer> {
    send(world, host, raw(method, path, Some(token), body)).await
}

/// The same with a request that is made already.
///
/// # Errors
/// If there was no answer.
pub async fn send(world: &World, host: HostId, request: RawRequest) -> Result<(u16, Value), NoAnswer> {
    match world.net.call(world.plan.clients_host(), host, Request::Client(request), CALL).await? {
        Reply::Response(response) => Ok((response.status, serde_json::from_slice(&response.body).unwrap_or_default())),
        _ => Err(NoAnswer::Unknown("another answer")),
    }
}

/// The same, until it is done or `STEP` is over; any host of the cluster is asked.
///
/// # Errors
/// With the last answer.
pub async fn must(world: &World, hosts: &[HostId], method: &str, path: &str, token: &str, body: &Value) -> Result<Value, String> {
    let end = now() + STEP;
    let mut last = String::new();
    let mut at = 0;
    while now() < end {
        match ask(world, hosts[at % hosts.len()], method, path, token, body).await {
            Ok((status, answer)) if status < 300 => return Ok(answer),
            Ok((status, answer)) => last = format!("{status} {answer}"),
            Err(error) => last = format!("{error:?}"),
        }
        // To ask again changes nothing about that.
        if last.contains(IN_USE) {
            break;
        }
        at += 1;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Err(format!("{method} {path}: {last}"))
}

/// Whether the node on `host` runs and is unsealed.
pub fn is_open(world: &World, host: HostId) -> bool {
    let standing = world.slot(host).running().map(|running| running.core.standing());
    matches!(standing, Some(Standing::Active | Standing::Standby { .. }))
}

/// The active node of a cluster; not one that stands still, whatever it took itself for.
pub fn active(world: &World, cluster: usize) -> Option<HostId> {
    let is_active = |host: &HostId| {
        let slot = world.slot(*host);
        !slot.is_held.load(Ordering::Relaxed) && slot.running().is_some_and(|running| running.core.standing() == Standing::Active)
    };
    world.plan.all_of(cluster).into_iter().find(is_active)
}

/// The role of a cluster, as its active node has it.
pub fn role(world: &World, cluster: usize) -> Option<Role> {
    active(world, cluster).map(|host| world.slot(host).store().role())
}

/// Makes cluster number `cluster`: its first member begins it, the others join.
///
/// # Errors
/// With what did not come to be.
pub async fn found(world: &Arc<World>, cluster: usize) -> Result<(), String> {
    let members = world.plan.first_members(cluster);
    let first = members[0];
    let answer = must(world, &[first], "PUT", "sys/init", "", &json!({ "secret_shares": 1, "secret_threshold": 1 })).await?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    world.keep_seal(vec![text(&answer["keys_base64"][0])]);
    world.keep_root(cluster, text(&answer["root_token"]));
    seal::open(world, first).await?;
    for member in &members[1..] {
        join(world, *member, first).await?;
    }
    world.wait("all members vote", STEP, || is_whole(world, cluster)).await
}

/// Whether all hosts of a cluster that are to run do so, are open, and vote.
pub fn is_whole(world: &World, cluster: usize) -> bool {
    world.wanted(cluster).into_iter().all(|host| is_open(world, host) && votes(world, cluster, host))
}

/// Whether a host is a voter, as the active node of its cluster knows them.
pub fn votes(world: &World, cluster: usize, host: HostId) -> bool {
    let Some(running) = active(world, cluster).and_then(|host| world.slot(host).running()) else { return false };
    let status = running.raft.status();
    let status = status.borrow();
    status.peers.iter().any(|peer| peer.is_voter && peer.member.name == world.names[host.0])
}

/// Has `host` join through `through`.
///
/// # Errors
/// If it does not become a member.
pub async fn join(world: &Arc<World>, host: HostId, through: HostId) -> Result<(), String> {
    let leader = world.api_addr(through);
    must(world, &[host], "PUT", "sys/storage/raft/join", "", &json!({ "leader_api_addr": leader })).await?;
    seal::open(world, host).await
}

/// What clients need: a versioned mount that is shared, a local one, and a policy to do anything.
///
/// # Errors
/// With what could not be made.
pub async fn furnish(world: &World, cluster: usize) -> Result<(), String> {
    let (hosts, root) = (world.plan.first_members(cluster), &world.root(cluster));
    must(world, &hosts, "PUT", "sys/mounts/kv", root, &json!({ "type": "kv", "options": { "version": "2" } })).await?;
    must(world, &hosts, "PUT", "sys/auth/up", root, &json!({ "type": "userpass" })).await?;
    must(world, &hosts, "PUT", "auth/up/users/somebody", root, &json!({ "password": PASSWORD })).await?;
    let policy = json!({ "policy": "path \"kv/data/*\" { capabilities = [\"read\"] }" });
    must(world, &hosts, "PUT", &format!("sys/policies/acl/{READER}"), root, &policy).await?;
    let user = json!({ "password": PASSWORD, "token_policies": READER });
    must(world, &hosts, "PUT", &format!("auth/up/users/{READER}"), root, &user).await?;
    let lives = json!({ "default_lease_ttl": format!("{}s", LIFE.0), "max_lease_ttl": format!("{}s", LIFE.1) });
    must(world, &hosts, "PUT", &format!("sys/auth/{BRIEF}"), root, &json!({ "type": "userpass", "config": lives })).await?;
    must(world, &hosts, "PUT", &format!("auth/{BRIEF}/users/{READER}"), root, &json!({ "password": PASSWORD })).await?;
    let open = r#"path "kv/data/open/*" { capabilities = ["create", "update", "read", "list", "delete"] }
                  path "kv/data/open/shut/*" { capabilities = ["deny"] }
                  path "kv/data/one/+" { capabilities = ["create", "update", "read", "list", "delete"] }
                  path "kv/data/alone" { capabilities = ["create", "update", "read", "list", "delete"] }
                  path "auth/token/create" { capabilities = ["update"] }"#;
    let shut = r#"path "kv/data/open/*" { capabilities = ["deny"] }"#;
    for (name, policy) in [(OPEN, open), (SHUT, shut)] {
        must(world, &hosts, "PUT", &format!("sys/policies/acl/{name}"), root, &json!({ "policy": policy })).await?;
    }
    if world.plan.audits {
        let options = json!({ "file_path": world.audit_file.to_string_lossy() });
        must(world, &hosts, "PUT", "sys/audit/file", root, &json!({ "type": "file", "options": options })).await?;
    }
    furnish_here(world, cluster).await
}

/// The local mounts: secrets, and users.
///
/// # Errors
/// With what could not be made.
pub async fn furnish_here(world: &World, cluster: usize) -> Result<(), String> {
    let hosts = world.wanted(cluster);
    for (folder, kind) in [("mounts", "kv"), ("auth", "userpass")] {
        let path = format!("sys/{folder}/{LOCAL_CANARY}");
        mount(world, (cluster, &hosts), &path, &json!({ "type": kind, "local": true })).await?;
    }
    Ok(())
}

/// Mounts what `body` says at a path that is nobody's: if it is in use, an answer was lost, and it is there.
///
/// # Errors
/// If it does not come to be.
pub async fn mount(world: &World, (cluster, hosts): (usize, &[HostId]), path: &str, body: &Value) -> Result<(), String> {
    match must(world, hosts, "PUT", path, &world.root(cluster), body).await {
        Err(why) if why.contains(IN_USE) => Ok(()),
        done => done.map(drop),
    }
}

/// Paths of the rows that a cluster's active node has below a prefix.
///
/// # Errors
/// If nobody is active.
pub fn stored(world: &World, cluster: usize, below: &Prefix) -> Result<Vec<Arc<str>>, String> {
    let host = active(world, cluster).ok_or("nobody is active")?;
    world.slot(host).store().reader().list(below, None, usize::MAX).map_err(|error| error.to_string())
}

/// Tells the trace what a step came to.
pub fn told(what: &str, done: &Result<(), String>) {
    match done {
        Ok(()) => trace::line(format_args!("operator: {what}")),
        Err(why) => trace::line(format_args!("operator: {what} failed: {why}")),
    }
}
