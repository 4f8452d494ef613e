//! What belongs to one cluster alone is there, whichever of its nodes is active: local secrets, local users, and a local mount at a path
//! that the primary came to use for another one.

use std::time::Duration;

use serde_json::{Value, json};

use crate::everywhere::answers;
use crate::invariants::LOCAL_CANARY;
use crate::kv::LOCAL_VALUE;
use crate::liveness::WITHIN;
use crate::net::now;
use crate::operator::{PASSWORD, active, ask, furnish_here, is_whole, mount, must};
use crate::trace;
use crate::world::World;

/// Where the first cluster has a shared mount, and others had a local one before.
const BESIDE: &str = "beside";

/// After so long it is tried again.
const AGAIN: Duration = Duration::from_secs(5);

/// A secondary gets a local mount, and a secret in it.
///
/// # Errors
/// With what could not be made.
pub async fn take_a_path(world: &World, cluster: usize) -> Result<(), String> {
    let (hosts, root) = (world.wanted(cluster), world.root(cluster));
    mount(world, (cluster, &hosts), &format!("sys/mounts/{BESIDE}"), &json!({ "type": "kv", "local": true })).await?;
    must(world, &hosts, "POST", &format!("{BESIDE}/mine"), &root, &json!({ "v": LOCAL_VALUE })).await?;
    if let Some(belief) = world.belief(cluster) {
        world.beside.lock().expect("no holder of this lock panics").push((cluster, belief));
    }
    Ok(())
}

/// The first cluster gets a shared mount at that path.
///
/// # Errors
/// If it could not be made.
pub async fn share_that_path(world: &World) -> Result<(), String> {
    mount(world, (0, &world.wanted(0)), &format!("sys/mounts/{BESIDE}"), &json!({ "type": "kv" })).await
}

/// A cluster gets its local mounts, if it was filled since, and a local user: whoever is active later must have him.
///
/// # Errors
/// With what could not be made.
pub async fn make_user(world: &World, cluster: usize) -> Result<(), String> {
    furnish_here(world, cluster).await?;
    let user = format!("auth/{LOCAL_CANARY}/users/{LOCAL_CANARY}");
    must(world, &world.wanted(cluster), "POST", &user, &world.root(cluster), &json!({ "password": PASSWORD })).await.map(drop)
}

/// Every node of every cluster takes and shows what is local there.
///
/// # Errors
/// With the answer of one that does not.
pub async fn is_kept(world: &World) -> Result<(), String> {
    for cluster in 0..world.plan.sizes.len() {
        trace::line(format_args!("what is local to cluster {cluster} is looked at"));
        let (hosts, root) = (world.wanted(cluster), world.root(cluster));
        for host in hosts {
            let secret = format!("{LOCAL_CANARY}/last");
            let is_done = |status: u16, _: &Value| (200..300).contains(&status);
            answers(world, host, ("POST", &secret, &root), &json!({ "v": LOCAL_VALUE }), is_done).await?;
            let is_it = |status: u16, answer: &Value| status == 200 && answer["data"]["v"] == LOCAL_VALUE;
            answers(world, host, ("GET", &secret, &root), &Value::Null, is_it).await?;
            let login = format!("auth/{LOCAL_CANARY}/login/{LOCAL_CANARY}");
            answers(world, host, ("POST", &login, ""), &json!({ "password": PASSWORD }), is_done).await?;
            let beside = world.beside.lock().expect("no holder of this lock panics").clone();
            if beside.iter().any(|(of, belief)| *of == cluster && world.still_believes(cluster, Some(*belief))) {
                answers(world, host, ("GET", &format!("{BESIDE}/mine"), &root), &Value::Null, is_it).await?;
            }
        }
    }
    Ok(())
}

/// Another node of the cluster becomes active; if the others will not have it just then, they are asked again.
///
/// # Errors
/// If none does.
pub async fn hand_over(world: &World, cluster: usize) -> Result<(), String> {
    let end = now() + WITHIN;
    while now() < end {
        let before = active(world, cluster);
        if let Some(host) = before {
            // Whatever it answers: the next look shows.
            let _ = ask(world, host, "PUT", "sys/step-down", &world.root(cluster), &json!({})).await;
        }
        let is_other = || active(world, cluster).is_some_and(|host| Some(host) != before) && is_whole(world, cluster);
        if world.wait("another node is active", AGAIN, is_other).await.is_ok() {
            let name = before.map_or_else(|| "nobody".to_owned(), trace::name);
            trace::line(format_args!("{name} was active, and another one is"));
            return Ok(());
        }
    }
    Err(format!("no other node of cluster {cluster} became active"))
}
