//! What opens clusters: the shares of their seals, which rekeys change, and root tokens; and whoever has them at hand.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use coffer::core::Standing;
use serde_json::{Value, json};

use crate::disk::Loss;
use crate::net::{HostId, now};
use crate::operator::{STEP, active, ask, is_open};
use crate::rng::Rng;
use crate::trace;
use crate::world::World;

/// What the operator keeps in the safe.
#[derive(Debug, Default)]
pub struct Safe {
    /// The root token of each cluster.
    roots: Vec<String>,
    /// Shares of every seal that was in force or may be, as many as it takes; the newest last.
    seals: Vec<Vec<String>>,
}

impl World {
    /// The root token of a cluster; empty if there is none yet.
    pub fn root(&self, cluster: usize) -> String {
        self.safe().roots.get(cluster).cloned().unwrap_or_default()
    }

    /// A cluster has this root token from now on.
    pub fn keep_root(&self, cluster: usize, token: String) {
        let mut safe = self.safe();
        if safe.roots.len() <= cluster {
            safe.roots.resize(cluster + 1, String::new());
        }
        safe.roots[cluster] = token;
    }

    /// Shares that may open a node from now on.
    pub fn keep_seal(&self, shares: Vec<String>) {
        self.safe().seals.push(shares);
    }

    /// All shares that there are, the newest seal's first.
    fn seals(&self) -> Vec<Vec<String>> {
        self.safe().seals.iter().rev().cloned().collect()
    }

    /// Every share there ever was.
    pub fn shares(&self) -> Vec<String> {
        self.safe().seals.concat()
    }

    fn safe(&self) -> std::sync::MutexGuard<'_, Safe> {
        self.safe.lock().expect("no holder of this lock panics")
    }
}

/// Gives one seal's shares to a node. Its standing shows by itself whether they were the right ones.
async fn give(world: &World, host: HostId, shares: &[String]) {
    let _ = ask(world, host, "PUT", "sys/unseal", "", &json!({ "reset": true })).await;
    for share in shares {
        let _ = ask(world, host, "PUT", "sys/unseal", "", &json!({ "key": share })).await;
    }
}

/// Gives a node one seal's shares after the other, until it takes some.
///
/// # Errors
/// If it takes none.
pub async fn open(world: &World, host: HostId) -> Result<(), String> {
    let end = now() + STEP;
    while now() < end {
        for shares in world.seals() {
            if let Some(Standing::Sealed) = world.slot(host).running().map(|running| running.core.standing()) {
                give(world, host, &shares).await;
            }
            // One that joins stays sealed until it has its leader's state.
            tokio::time::sleep(Duration::from_millis(200)).await;
            if is_open(world, host) {
                return Ok(());
            }
        }
    }
    Err(format!("{} does not open", trace::name(host)))
}

/// Opens every node that is sealed, and has those join that have lost their way in, until the simulation ends: an operator's script.
pub async fn keep_open(world: Arc<World>) {
    let mut rng = Rng::new(world.plan.seed, "keep open");
    let busy: Arc<Mutex<BTreeSet<HostId>>> = Arc::default();
    loop {
        tokio::time::sleep(Duration::from_millis(rng.between(300, 900))).await;
        for slot in &world.slots {
            let Some(running) = slot.running() else { continue };
            let (world, host, shares) = (world.clone(), slot.id, rng.pick(&world.seals()).clone());
            let leader = match running.core.standing() {
                Standing::Sealed => None,
                // It ended before it was a member, and a join that was begun is not kept.
                Standing::Uninitialized if slot.is_wanted() && rng.permille(100) => match active(&world, slot.cluster) {
                    Some(leader) => Some(leader),
                    None => continue,
                },
                _ => continue,
            };
            // Two who give shares at one time would mix them.
            if !busy.lock().expect("no holder of this lock panics").insert(host) {
                continue;
            }
            let busy = busy.clone();
            tokio::spawn(async move {
                let has_joined = match leader {
                    Some(leader) => matches!(ask_to_join(&world, host, leader).await, Ok((200, _))),
                    None => true,
                };
                if has_joined {
                    give(&world, host, &shares).await;
                }
                busy.lock().expect("no holder of this lock panics").remove(&host);
            });
        }
    }
}

async fn ask_to_join(world: &World, host: HostId, leader: HostId) -> Result<(u16, Value), crate::net::NoAnswer> {
    let body = json!({ "leader_api_addr": world.api_addr(leader) });
    ask(world, host, "PUT", "sys/storage/raft/join", "", &body).await
}

/// Makes a root token of a cluster that has none that is known.
///
/// # Errors
/// If none is made.
pub async fn make_root(world: &World, cluster: usize) -> Result<(), String> {
    let end = now() + STEP;
    let mut last = String::new();
    while now() < end {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let Some(host) = active(world, cluster) else { continue };
        for shares in world.seals() {
            match ask_for_root(world, host, &shares).await {
                Ok((encoded, otp)) => {
                    let token = coffer::core::seal::decode_token(&encoded, &otp)?;
                    world.keep_root(cluster, token.expose().clone());
                    return Ok(());
                }
                Err(why) => last = why,
            }
        }
    }
    Err(format!("no root token was made: {last}"))
}

/// Has a node make a root token for these shares: the token, and the one-time password that it is encoded with.
///
/// # Errors
/// With its last answer, if it makes none.
async fn ask_for_root(world: &World, host: HostId, shares: &[String]) -> Result<(String, String), String> {
    // One that was left by an attempt before is given up.
    let _ = ask(world, host, "DELETE", "sys/generate-root/attempt", "", &Value::Null).await;
    let begun = match ask(world, host, "PUT", "sys/generate-root/attempt", "", &json!({})).await {
        Ok((200, begun)) => begun,
        other => return Err(format!("{other:?}")),
    };
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut last = "no share was given".to_owned();
    for share in shares {
        let body = json!({ "key": share, "nonce": begun["nonce"] });
        match ask(world, host, "PUT", "sys/generate-root/update", "", &body).await {
            Ok((200, done)) if done["complete"] == true => {
                if let Ok((200, again)) = ask(world, host, "PUT", "sys/generate-root/update", "", &body).await {
                    world.fail(format!("{} goes on making a root token that is made: {again}", trace::name(host)));
                }
                return Ok((text(&done["encoded_token"]), text(&begun["otp"])));
            }
            other => last = format!("{other:?}"),
        }
    }
    Err(last)
}

/// Gives a cluster's seal new shares, which are given back before they count; sometimes the node dies just then.
pub async fn rekey(world: &World, cluster: usize, rng: &mut Rng) {
    let Some(host) = active(world, cluster) else { return };
    let root = world.root(cluster);
    let say = async |method: &str, path: &str, body: Value| match ask(world, host, method, path, &root, &body).await {
        Ok((200..300, answer)) => Some(answer),
        _ => None,
    };
    let (shares, threshold) = *rng.pick(&[(1, 1), (2, 2), (3, 2)]);
    let wanted = json!({ "secret_shares": shares, "secret_threshold": threshold, "require_verification": true });
    let mut done = None;
    for shares in world.seals() {
        // One that was left by an attempt before is given up.
        let _ = say("DELETE", "sys/rekey/init", Value::Null).await;
        let Some(begun) = say("PUT", "sys/rekey/init", wanted.clone()).await else { return };
        for share in shares {
            done = say("PUT", "sys/rekey/update", json!({ "key": share, "nonce": begun["nonce"] })).await;
        }
        done = done.filter(|answer| answer["complete"] == true);
        if done.is_some() {
            break;
        }
    }
    let Some(done) = done else { return };
    let fresh: Vec<String> =
        done["keys_base64"].as_array().into_iter().flatten().filter_map(Value::as_str).take(threshold).map(str::to_owned).collect();
    world.keep_seal(fresh.clone());
    world.did("rekey");
    if world.belief(cluster).is_some() && ask_for_root(world, host, &fresh).await.is_ok() {
        world.fail(format!("{} makes a root token for shares that nobody has verified", trace::name(host)));
    }
    let Some((last, others)) = fresh.split_last() else { return };
    let given = |share: &str| json!({ "key": share, "nonce": done["verification_nonce"] });
    for share in others {
        let _ = say("PUT", "sys/rekey/verify", given(share)).await;
    }
    let dies_after = rng.permille(500).then(|| Duration::from_micros(rng.between(0, 60_000)));
    let death = async {
        let Some(after) = dies_after else { return };
        tokio::time::sleep(after).await;
        world.be_down(host, Loss::Process, Duration::from_secs(1)).await;
    };
    let (done, ()) = tokio::join!(say("PUT", "sys/rekey/verify", given(last)), death);
    // One that may come to follow another cluster may come to have an older seal too.
    if done.is_some_and(|answer| answer["complete"] == true) && world.belief(cluster).is_some() {
        old_shares_are_void(world, host, &fresh).await;
    }
}

/// What opened the seal before opens it no more.
async fn old_shares_are_void(world: &World, host: HostId, fresh: &[String]) {
    for shares in world.seals().into_iter().skip_while(|shares| shares != fresh).skip(1) {
        if ask_for_root(world, host, &shares).await.is_ok() {
            world.fail(format!("{} makes a root token for shares that were replaced", trace::name(host)));
        }
    }
}
