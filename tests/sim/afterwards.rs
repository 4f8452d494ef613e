//! What people do any day, once all is mended: it comes out as it should on every node of every cluster.

use serde_json::{Value, json};

use crate::everywhere::{all, answers, reads_end_in, tokens_with};
use crate::kv::LOCAL_VALUE;
use crate::liveness::WITHIN;
use crate::operator::{active, ask, is_open, mount, must};
use crate::trace;
use crate::world::World;

/// A local mount, and where it is moved to.
const HOMELY: &str = "homely";
const MOVED: &str = "homely-moved";
/// A policy, as it is made and as it is deleted.
const MADE: &str = "folded";
const DELETED: &str = "Folded";

/// A local mount that is moved is local still, with what it holds.
///
/// # Errors
/// With the answer of a node for which it is not so.
pub async fn moves_stay_at_home(world: &World) -> Result<(), String> {
    for cluster in 0..world.plan.sizes.len() {
        let (hosts, root) = (world.wanted(cluster), world.root(cluster));
        mount(world, (cluster, &hosts), &format!("sys/mounts/{HOMELY}"), &json!({ "type": "kv", "local": true })).await?;
        must(world, &hosts, "POST", &format!("{HOMELY}/mine"), &root, &json!({ "v": LOCAL_VALUE })).await?;
        let Some(host) = active(world, cluster) else { return Err(format!("nobody is active in cluster {cluster}")) };
        // Whatever it answers: that it is moved is seen below.
        let _ = ask(world, host, "POST", "sys/remount", &root, &json!({ "from": HOMELY, "to": MOVED })).await;
        for host in hosts {
            let is_local = |status: u16, answer: &Value| status == 200 && answer["data"]["local"] == true;
            answers(world, host, ("GET", &format!("sys/mounts/{MOVED}"), &root), &Value::Null, is_local).await?;
            let is_it = |status: u16, answer: &Value| status == 200 && answer["data"]["v"] == LOCAL_VALUE;
            answers(world, host, ("GET", &format!("{MOVED}/mine"), &root), &Value::Null, is_it).await?;
        }
    }
    Ok(())
}

/// A policy is one, in whatever case its name is written.
///
/// # Errors
/// With the answer of a node for which it is not so.
pub async fn names_are_folded(world: &World, primary: usize) -> Result<(), String> {
    let (hosts, root) = (world.wanted(primary), world.root(primary));
    let policy = json!({ "policy": r#"path "kv/data/fresh" { capabilities = ["read"] }"# });
    must(world, &hosts, "PUT", &format!("sys/policies/acl/{MADE}"), &root, &policy).await?;
    let tokens = tokens_with(world, DELETED).await?;
    reads_end_in(world, &tokens, 200).await?;
    must(world, &hosts, "DELETE", &format!("sys/policies/acl/{DELETED}"), &root, &Value::Null).await?;
    reads_end_in(world, &tokens, 403).await
}

/// Options of a mount that a tuning does not name stay as they are.
///
/// # Errors
/// With the answer of a node for which it is not so.
pub async fn tuning_adds(world: &World, primary: usize) -> Result<(), String> {
    let body = json!({ "options": { "note": "last" } });
    must(world, &world.wanted(primary), "POST", "sys/mounts/kv/tune", &world.root(primary), &body).await?;
    for (cluster, host) in all(world) {
        let is_it = |status: u16, answer: &Value| {
            let options = &answer["data"]["options"];
            status == 200 && options["note"] == "last" && options["version"] == "2"
        };
        answers(world, host, ("GET", "sys/mounts/kv/tune", &world.root(cluster)), &Value::Null, is_it).await?;
    }
    Ok(())
}

/// A node that is sealed asks for as many shares as its cluster's seal has, whatever it had when the node joined.
///
/// # Errors
/// With what it says.
pub async fn seals_are_those_in_force(world: &World) -> Result<(), String> {
    for cluster in 0..world.plan.sizes.len() {
        let Some(host) = active(world, cluster) else { return Err(format!("nobody is active in cluster {cluster}")) };
        let numbers = async || match ask(world, host, "GET", "sys/seal-status", "", &Value::Null).await {
            Ok((200, told)) => Ok((told["t"].clone(), told["n"].clone())),
            other => Err(format!("{} does not tell its seal: {other:?}", trace::name(host))),
        };
        let open = numbers().await?;
        let _ = ask(world, host, "PUT", "sys/seal", &world.root(cluster), &json!({})).await;
        let sealed = numbers().await?;
        if sealed != open {
            return Err(format!("{} wants {sealed:?} shares, sealed, and {open:?} are in force", trace::name(host)));
        }
        world
            .wait("the node that was sealed is open again, and one is active", WITHIN, || {
                is_open(world, host) && active(world, cluster).is_some()
            })
            .await?;
    }
    Ok(())
}
