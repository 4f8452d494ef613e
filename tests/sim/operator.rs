//! The operator: makes the clusters, unseals what was restarted, and changes roles; through the API, as any operator would.

use std::sync::Arc;
use std::time::Duration;

use coffer::core::{RawRequest, Standing};
use coffer::machine::Role;
use coffer::storage::Physical;
use serde_json::{Value, json};

use crate::net::{HostId, NoAnswer, now};
use crate::rng::Rng;
use crate::talk::{Reply, Request};
use crate::trace;
use crate::transport::raw;
use crate::world::World;

/// How long each step of making a cluster may take.
const STEP: Duration = Duration::from_secs(60);
/// As long as a call of the operator's may take.
const CALL: Duration = Duration::from_secs(20);

/// What opens a cluster.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    /// One share is enough.
    pub share: String,
    pub root: String,
}

/// Sends a request to a host as a client; the status, and the body as JSON.
///
/// # Errors
/// If there was no answer.
pub async fn ask(world: &World, host: HostId, method: &str, path: &str, token: &str, body: &Value) -> Result<(u16, Value), NoAnswer> {
    send(world, host, raw(method, path, Some(token).filter(|token| !token.is_empty()), body)).await
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

/// The active node of a cluster.
pub fn active(world: &World, cluster: usize) -> Option<HostId> {
    let is_active = |host: &HostId| world.slot(*host).running().is_some_and(|running| running.core.standing() == Standing::Active);
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
pub async fn found(world: &Arc<World>, cluster: usize) -> Result<Keys, String> {
    let members = world.plan.first_members(cluster);
    let first = members[0];
    let answer = must(world, &[first], "PUT", "sys/init", "", &json!({ "secret_shares": 1, "secret_threshold": 1 })).await?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let keys = Keys { share: text(&answer["keys_base64"][0]), root: text(&answer["root_token"]) };
    must(world, &[first], "PUT", "sys/unseal", "", &json!({ "key": keys.share })).await?;
    for member in &members[1..] {
        join(world, *member, first, &keys).await?;
    }
    let voters = || {
        active(world, cluster).and_then(|host| world.slot(host).running()).map_or(0, |running| {
            use coffer::raft::Consensus;
            running.raft.status().borrow().peers.iter().filter(|peer| peer.is_voter).count()
        })
    };
    world.wait("all members vote", STEP, || voters() == members.len() && members.iter().all(|host| is_open(world, *host))).await?;
    Ok(keys)
}

/// Has `host` join through `through`.
///
/// # Errors
/// If it does not become a member.
pub async fn join(world: &Arc<World>, host: HostId, through: HostId, keys: &Keys) -> Result<(), String> {
    let leader = format!("http://{}:8200", world.names[through.0]);
    must(world, &[host], "PUT", "sys/storage/raft/join", "", &json!({ "leader_api_addr": leader })).await?;
    must(world, &[host], "PUT", "sys/unseal", "", &json!({ "key": keys.share })).await?;
    Ok(())
}

/// Gives the share to every node that is sealed, and has those join that have lost their way in, until the simulation ends: an
/// operator's script.
pub async fn keep_open(world: Arc<World>, shares: Vec<String>) {
    let mut rng = Rng::new(world.plan.seed, "keep open");
    loop {
        tokio::time::sleep(Duration::from_millis(rng.between(300, 900))).await;
        for slot in &world.slots {
            let Some(running) = slot.running() else { continue };
            let (world, host, share) = (world.clone(), slot.id, rng.pick(&shares).clone());
            match running.core.standing() {
                // The answer shows by itself whether it was the right one.
                Standing::Sealed => {
                    tokio::spawn(async move { ask(&world, host, "PUT", "sys/unseal", "", &json!({ "key": share })).await });
                }
                // It ended before it was a member, and a join that was begun is not kept.
                Standing::Uninitialized if slot.is_wanted() && rng.permille(100) => {
                    let Some(leader) = active(&world, slot.cluster) else { continue };
                    let body = json!({ "leader_api_addr": format!("http://{}:8200", world.names[leader.0]) });
                    tokio::spawn(async move {
                        if let Ok((200, _)) = ask(&world, host, "PUT", "sys/storage/raft/join", "", &body).await {
                            let _ = ask(&world, host, "PUT", "sys/unseal", "", &json!({ "key": share })).await;
                        }
                    });
                }
                _ => {}
            }
        }
    }
}

/// What clients need: a versioned mount that is shared, a local one, and a policy to do anything.
///
/// # Errors
/// With what could not be made.
pub async fn furnish(world: &World, cluster: usize, keys: &Keys) -> Result<(), String> {
    let (hosts, root) = (world.plan.first_members(cluster), &keys.root);
    must(world, &hosts, "PUT", "sys/mounts/kv", root, &json!({ "type": "kv", "options": { "version": "2" } })).await?;
    must(world, &hosts, "PUT", "sys/auth/up", root, &json!({ "type": "userpass" })).await?;
    must(world, &hosts, "PUT", "auth/up/users/somebody", root, &json!({ "password": "right" })).await?;
    furnish_here(world, cluster, root).await
}

/// The local mount.
///
/// # Errors
/// If it could not be made.
pub async fn furnish_here(world: &World, cluster: usize, root: &str) -> Result<(), String> {
    let hosts = world.plan.first_members(cluster);
    let path = format!("sys/mounts/{}", crate::invariants::LOCAL_CANARY);
    must(world, &hosts, "PUT", &path, root, &json!({ "type": "kv", "local": true })).await.map(|_| ())
}

/// Makes `secondary` follow `primary`, and a root token there; both have their own until now.
///
/// # Errors
/// With the step that was not done.
pub async fn replicate(world: &Arc<World>, primary: usize, secondary: usize, keys: &mut [Keys]) -> Result<(), String> {
    let (ours, theirs) = (world.plan.first_members(primary), world.plan.first_members(secondary));
    const API: &str = "sys/replication/performance";
    must(world, &ours, "PUT", &format!("{API}/primary/enable"), &keys[primary].root, &json!({})).await?;
    world.wait("it is primary", STEP, || role(world, primary).is_some_and(|role| role.is_primary())).await?;
    let token = must(world, &ours, "PUT", &format!("{API}/primary/secondary-token"), &keys[primary].root, &json!({ "id": "b" })).await?;
    let body = json!({ "token": token["wrap_info"]["token"] });
    must(world, &theirs, "PUT", &format!("{API}/secondary/enable"), &keys[secondary].root, &body).await?;
    world.wait("it is filled", STEP, || matches!(role(world, secondary), Some(Role::Secondary { filling: false, .. }))).await?;
    keys[secondary].share = keys[primary].share.clone();
    keys[secondary].root = new_root(world, secondary, &keys[primary].share).await?;
    Ok(())
}

/// A root token of a cluster whose share is known.
///
/// # Errors
/// If none is made.
pub async fn new_root(world: &World, cluster: usize, share: &str) -> Result<String, String> {
    let end = now() + STEP;
    let mut last = String::new();
    while now() < end {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let Some(host) = active(world, cluster) else { continue };
        // One that was left by an attempt before is given up.
        let _ = ask(world, host, "DELETE", "sys/generate-root/attempt", "", &Value::Null).await;
        let Ok((200, begun)) = ask(world, host, "PUT", "sys/generate-root/attempt", "", &json!({})).await else { continue };
        let body = json!({ "key": share, "nonce": begun["nonce"] });
        match ask(world, host, "PUT", "sys/generate-root/update", "", &body).await {
            Ok((200, done)) => {
                let (encoded, otp) = (done["encoded_token"].as_str().unwrap_or_default(), begun["otp"].as_str().unwrap_or_default());
                return coffer::core::seal::decode_token(encoded, otp).map(|token| token.expose().clone());
            }
            other => last = format!("{other:?}"),
        }
    }
    Err(format!("no root token was made: {last}"))
}

/// Has the clusters change places without loss: the primary is demoted, the other has everything, and only then is promoted. Goes on
/// until it is done.
pub async fn swap(world: &Arc<World>, keys: &[Keys], from: usize, to: usize) {
    const API: &str = "sys/replication/performance";
    let mut turn = 0;
    loop {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let (Some(old), Some(new)) = (active(world, from), active(world, to)) else { continue };
        let (old_role, new_role) = (world.slot(old).store().role(), world.slot(new).store().role());
        match (&old_role, &new_role) {
            (Role::Primary { .. }, Role::Secondary { .. }) => {
                let _ = ask(world, old, "PUT", &format!("{API}/primary/demote"), &keys[from].root, &json!({})).await;
            }
            (Role::Secondary { .. }, Role::Secondary { .. }) => {
                // The operator compares what both clusters tell of themselves: what one of them lacks would be lost.
                let positions: Vec<_> = [from, to].into_iter().flat_map(|cluster| open_positions(world, cluster)).collect();
                if positions.windows(2).all(|pair| pair[0] == pair[1]) {
                    let _ = ask(world, new, "PUT", &format!("{API}/secondary/promote"), &keys[to].root, &json!({})).await;
                }
            }
            (Role::Secondary { .. }, Role::Primary { .. }) => {
                turn += 1;
                let id = format!("turn-{from}-{turn}-{}", now().as_millis());
                let token = ask(world, new, "PUT", &format!("{API}/primary/secondary-token"), &keys[to].root, &json!({ "id": id })).await;
                if let Ok((200, token)) = token
                    && let Some(host) = active(world, from)
                {
                    let body = json!({ "token": token["wrap_info"]["token"] });
                    let path = format!("{API}/secondary/update-primary");
                    if let Ok((200..300, _)) = ask(world, host, "PUT", &path, &keys[from].root, &body).await {
                        world.did("swap");
                        return;
                    }
                }
            }
            _ => {}
        }
    }
}

/// Where the shared history of a cluster's open nodes stands.
fn open_positions(world: &World, cluster: usize) -> Vec<coffer::types::Position> {
    let open = world.plan.all_of(cluster).into_iter().filter(|host| is_open(world, *host));
    open.map(|host| world.slot(host).store().positions().performance).collect()
}

/// Tells the trace what a step came to.
pub fn told(what: &str, done: &Result<(), String>) {
    match done {
        Ok(()) => trace::line(format_args!("operator: {what}")),
        Err(why) => trace::line(format_args!("operator: {what} failed: {why}")),
    }
}
