//! Roles in replication: who follows whom, and how that changes; each step as an operator would take it, again until it is done.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use coffer::machine::Role;
use coffer::storage::Physical;
use coffer::types::WalIndex;
use serde_json::{Value, json};

use crate::clients::{Clients, LOCAL, REGISTER};
use crate::net::{HostId, now};
use crate::operator::{STEP, active, ask, furnish_here, is_open, must, role};
use crate::rng::Rng;
use crate::seal::make_root;
use crate::world::World;

const API: &str = "sys/replication/performance";
/// Between two looks at how things stand.
const LOOK: Duration = Duration::from_millis(300);

/// Makes `secondary` follow `primary`, and a root token there; both have their own until now.
///
/// # Errors
/// With the step that was not done.
pub async fn replicate(world: &Arc<World>, primary: usize, secondary: usize) -> Result<(), String> {
    let (ours, theirs) = (world.plan.first_members(primary), world.plan.first_members(secondary));
    world.wait("somebody is active", STEP, || role(world, primary).is_some()).await?;
    if !role(world, primary).is_some_and(|role| role.is_primary()) {
        must(world, &ours, "PUT", &format!("{API}/primary/enable"), &world.root(primary), &json!({})).await?;
    }
    world.wait("it is primary", STEP, || role(world, primary).is_some_and(|role| role.is_primary())).await?;
    let body = json!({ "id": format!("{secondary}-first") });
    let token = must(world, &ours, "PUT", &format!("{API}/primary/secondary-token"), &world.root(primary), &body).await?;
    let body = json!({ "token": token["wrap_info"]["token"] });
    let of_before = batch_token(world, secondary).await;
    must(world, &theirs, "PUT", &format!("{API}/secondary/enable"), &world.root(secondary), &body).await?;
    world.wait("it is filled", STEP, || matches!(role(world, secondary), Some(Role::Secondary { filling: false, .. }))).await?;
    is_void(world, secondary, of_before).await;
    // Whoever finds a token that was used gets nothing for it.
    if let Some(other) = (secondary + 1 < world.plan.sizes.len()).then_some(secondary + 1)
        && let Ok((200..300, _)) =
            ask(world, world.plan.first_members(other)[0], "PUT", &format!("{API}/secondary/enable"), &world.root(other), &body).await
    {
        world.fail(format!("cluster {other} was activated with the token of cluster {secondary}"));
    }
    make_root(world, secondary).await
}

/// A token that stands in no row, and is nobody's child.
async fn batch_token(world: &World, cluster: usize) -> Option<String> {
    let body = json!({ "type": "batch", "no_parent": true, "policies": ["default"], "ttl": "1h" });
    let told = ask(world, active(world, cluster)?, "POST", "auth/token/create", &world.root(cluster), &body).await;
    told.ok()?.1["auth"]["client_token"].as_str().map(str::to_owned)
}

/// A cluster that gave up what it had knows no token of before.
async fn is_void(world: &World, cluster: usize, token: Option<String>) {
    let (Some(token), Some(host)) = (token, active(world, cluster)) else { return };
    if let Ok((200, answer)) = ask(world, host, "GET", "auth/token/lookup-self", &token, &Value::Null).await {
        world.fail(format!("a batch token of before is good in cluster {cluster}, which was filled since: {answer}"));
    }
}

/// Asks the active node of a cluster to change its role; says whether it did.
async fn change(world: &World, cluster: usize, path: &str, body: Value) -> Option<Value> {
    let host = active(world, cluster)?;
    match ask(world, host, "PUT", &format!("{API}/{path}"), &world.root(cluster), &body).await {
        Ok((200..300, answer)) => Some(answer),
        _ => None,
    }
}

/// Asks a cluster to change its role, again until it is as wanted.
async fn make(world: &World, cluster: usize, is_so: fn(&Role) -> bool, path: &str, body: Value) {
    while !role(world, cluster).is_some_and(|role| is_so(&role)) {
        change(world, cluster, path, body.clone()).await;
        tokio::time::sleep(LOOK).await;
    }
}

/// Has `secondary` follow `primary`, if it can be done now.
async fn follow(world: &World, secondary: usize, primary: usize) -> bool {
    // A name is given once.
    let id = format!("{secondary}-at-{}", now().as_millis());
    let Some(token) = change(world, primary, "primary/secondary-token", json!({ "id": id })).await else { return false };
    change(world, secondary, "secondary/update-primary", json!({ "token": token["wrap_info"]["token"] })).await.is_some()
}

/// The same, again until it is done.
async fn follow_at_last(world: &World, secondary: usize, primary: usize) {
    while !follow(world, secondary, primary).await {
        tokio::time::sleep(LOOK).await;
    }
}

async fn all_follow(world: &World, secondaries: &[usize], primary: usize) {
    for secondary in secondaries {
        follow_at_last(world, *secondary, primary).await;
    }
}

/// Has the clusters change places without loss: the primary is demoted, the other has everything, and only then is promoted. Goes on
/// until it is done.
pub async fn swap(world: &Arc<World>, from: usize, to: usize) {
    loop {
        tokio::time::sleep(LOOK).await;
        match (role(world, from), role(world, to)) {
            (Some(Role::Primary { .. }), Some(Role::Secondary { .. })) => drop(change(world, from, "primary/demote", json!({})).await),
            (Some(Role::Secondary { .. }), Some(Role::Secondary { .. })) => {
                // The operator compares what both clusters tell of themselves: what one of them lacks would be lost.
                let positions: Vec<_> = [from, to].into_iter().flat_map(|cluster| open_positions(world, cluster)).collect();
                if positions.windows(2).all(|pair| pair[0] == pair[1]) {
                    change(world, to, "secondary/promote", json!({})).await;
                }
            }
            (Some(Role::Secondary { .. }), Some(Role::Primary { .. })) if follow(world, from, to).await => {
                world.did("swap");
                return all_follow(world, &world.plan.clusters_but(&[from, to]), to).await;
            }
            _ => {}
        }
    }
}

/// The last record that an open node of a cluster has.
fn last(world: &World, cluster: usize) -> WalIndex {
    open_positions(world, cluster).into_iter().map(|position| position.wal).max().unwrap_or_default()
}

/// Where the shared history of a cluster's open nodes stands.
fn open_positions(world: &World, cluster: usize) -> Vec<coffer::types::Position> {
    let open = world.plan.all_of(cluster).into_iter().filter(|host| is_open(world, *host));
    open.map(|host| world.slot(host).store().positions().performance).collect()
}

/// The secondary is promoted whatever it lacks, and for a while both clusters take shared writes. Then the old primary is demoted by its
/// operator, or it meets the new one once more and learns in this way that it was replaced; and follows at last.
pub async fn force(world: &Arc<World>, clients: &Clients, old: usize, new: usize, rng: &mut Rng) {
    // What the old primary acknowledges may be lost from here on, and the new one counts versions of its own.
    clients.histories.close(REGISTER);
    let others = world.plan.clusters_but(&[new]);
    others.iter().for_each(|other| world.doubt(*other));
    make(world, new, Role::is_primary, "secondary/promote", json!({ "force": true })).await;
    world.did("force");
    tokio::time::sleep(Duration::from_millis(rng.between(0, 5000))).await;
    if rng.permille(500) {
        // The operator sees to it that there is one, and the new primary goes on past where the old one ended.
        make(world, old, Role::is_secondary, "primary/demote", json!({})).await;
        let is_past = || last(world, new) > last(world, old);
        // Unless nobody writes just then.
        let _ = world.wait("the new primary is past the old one", STEP / 3, is_past).await;
        return all_follow(world, &others, new).await;
    }
    make(world, new, Role::is_secondary, "primary/demote", json!({})).await;
    while !matches!(role(world, old), Some(Role::Primary { fenced_by: Some(_), .. })) {
        follow(world, new, old).await;
        tokio::time::sleep(LOOK * 10).await;
    }
    world.did("fenced");
    make(world, new, Role::is_primary, "secondary/promote", json!({ "force": true })).await;
    make(world, old, Role::is_secondary, "primary/demote", json!({})).await;
    all_follow(world, &others, new).await;
}

/// The primary revokes its secondaries, and takes them back under other names after a while, in which another node becomes active perhaps.
pub async fn throw_out(world: &Arc<World>, primary: usize, rng: &mut Rng) {
    let known = async |host: HostId| {
        let status = ask(world, host, "GET", &format!("{API}/status"), &world.root(primary), &Value::Null).await;
        let answer = status.map(|(_, answer)| answer).unwrap_or_default();
        let known = answer["data"]["known_secondaries"].as_array().cloned().unwrap_or_default();
        known.into_iter().filter_map(|id| id.as_str().map(str::to_owned)).collect::<Vec<_>>()
    };
    let Some(host) = active(world, primary) else { return };
    let mut are_out = false;
    for id in known(host).await {
        are_out = change(world, primary, "primary/revoke-secondary", json!({ "id": id })).await.is_some();
        if !are_out {
            break;
        }
        world.has_revoked(id);
        world.did("revoke");
    }
    let upto = last(world, primary);
    if rng.permille(500)
        && let Some(host) = active(world, primary)
    {
        let _ = ask(world, host, "PUT", "sys/step-down", &world.root(primary), &json!({})).await;
    }
    tokio::time::sleep(Duration::from_millis(rng.between(1000, 10_000))).await;
    let secondaries = world.plan.clusters_but(&[primary]);
    for secondary in secondaries.iter().filter(|_| are_out) {
        let has = last(world, *secondary);
        if has > upto {
            world.fail(format!("cluster {secondary} was revoked when its primary was at {upto}, and has {has}"));
        }
    }
    all_follow(world, &secondaries, primary).await;
}

/// Two clusters do not hear each other for a while.
async fn keep_apart(world: Arc<World>, one: usize, other: usize, time: Duration) {
    let cut = |is_cut: bool| {
        for (a, b) in world.plan.all_of(one).into_iter().flat_map(|a| world.plan.all_of(other).into_iter().map(move |b| (a, b))) {
            world.net.cut(a, b, is_cut);
            world.net.cut(b, a, is_cut);
        }
    };
    // Not when everything was mended meanwhile.
    if !world.is_mended.load(Ordering::Relaxed) {
        cut(true);
        tokio::time::sleep(time).await;
        cut(false);
    }
}

/// The secondary gives up what it has, and is filled anew; it serves nobody until it has everything.
pub async fn fill_anew(world: &Arc<World>, clients: &Arc<Clients>, primary: usize, secondary: usize, rng: &mut Rng) {
    // What is local there goes, with all tokens, and what it takes while it is alone.
    clients.histories.close(LOCAL[secondary]);
    world.doubt(secondary);
    make(world, secondary, |role| *role == Role::Alone, "secondary/disable", json!({})).await;
    world.did("fill anew");
    let of_before = batch_token(world, secondary).await;
    let there = clients.versions(primary).await;
    while !matches!(role(world, secondary), Some(Role::Secondary { .. })) {
        let id = format!("{secondary}-at-{}", now().as_millis());
        if let Some(token) = change(world, primary, "primary/secondary-token", json!({ "id": id })).await {
            change(world, secondary, "secondary/enable", json!({ "token": token["wrap_info"]["token"] })).await;
        }
        tokio::time::sleep(LOOK).await;
    }
    // What was shared before is what it shows from its first answer on.
    world.believe(secondary);
    clients.are_there(secondary, there);
    is_void(world, secondary, of_before).await;
    if rng.permille(500) {
        // It has nothing yet, and is not to show that.
        tokio::spawn(keep_apart(world.clone(), primary, secondary, Duration::from_millis(rng.between(1000, 4000))));
    }
    clients.aside({
        let clients = clients.clone();
        async move { clients.read_as_user(secondary).await }
    });
    while make_root(world, secondary).await.is_err() {}
    while furnish_here(world, secondary).await.is_err() {}
}
