//! A secondary that is thrown out, or wiped and filled anew, while both sides work.

use std::time::Duration;

use serde_json::json;

use crate::core::Value;
use crate::world::cluster::{Cluster, LONG};
use crate::world::node::Node;
use crate::world::replicate::{activation, log_in, until};

use super::context::{Context, Installed};

const API: &str = "sys/replication/performance";
/// What was under way when a secondary was revoked may still arrive.
const IN_FLIGHT: Duration = Duration::from_secs(1);

fn ends(context: &Context) -> Result<(&Cluster, &Cluster), String> {
    match &context.world.clusters[..] {
        [primary, secondary, ..] => Ok((primary, secondary)),
        _ => Err("there is no secondary".to_owned()),
    }
}

fn position(secondary: &Cluster) -> Option<i64> {
    secondary.replication()["last_remote_wal"].as_i64()
}

/// Revokes the secondary; at the end it is taken in again under a new certificate. In between nothing may reach it.
///
/// # Errors
/// What was refused.
pub fn revoke(context: &Context) -> Result<Installed, String> {
    let (primary, secondary) = ends(context)?;
    let id = secondary.replication()["secondary_id"].as_str().unwrap_or(&secondary.name).to_owned();
    primary.must(&format!("{API}/primary/revoke-secondary"), &json!({ "id": id }))?;
    std::thread::sleep(IN_FLIGHT);
    let before = position(secondary);
    Ok(Installed::new(Value::pair(id, before), move |context| {
        let (primary, secondary) = ends(context)?;
        let after = position(secondary);
        if before.is_some() && after.is_some() && after > before {
            let what = [("revoked-at", Value::from(before)), ("holds", after.into())];
            context.note("revoke", "violation", Value::map(what));
        }
        let token = activation(primary, &fresh(secondary))?;
        secondary.must(&format!("{API}/secondary/update-primary"), &json!({ "token": token }))?;
        until("the secondary streams again", LONG, || secondary.replication()["state"] == "stream-wals")?;
        Ok(Value::from(after))
    }))
}

/// Ends replication at the secondary, begins it anew, which wipes it, and kills its active node meanwhile.
///
/// # Errors
/// What was refused.
pub fn reseed(context: &Context, dice: u64) -> Result<Installed, String> {
    let (primary, secondary) = ends(context)?;
    // Each step again until it is done: another hand may kill nodes meanwhile, and a secondary must not be left on its own.
    let is = |mode: &str| secondary.replication()["mode"] == mode;
    until("the secondary is on its own", LONG, || {
        let disable = format!("{API}/secondary/disable");
        is("disabled") || (secondary.must(&disable, &json!({})).is_ok() && is("disabled"))
    })?;
    let mut why = String::new();
    until("the secondary is one again", LONG, || match enable(primary, secondary) {
        Ok(()) => true,
        Err(error) => {
            why = error;
            is("secondary")
        }
    })
    .map_err(|late| format!("{late}: {why}"))?;
    std::thread::sleep(Duration::from_millis(dice % 400));
    let killed = secondary.active().or(secondary.nodes.first()).map(|node| {
        node.kill();
        node.name.clone()
    });
    Ok(Installed::new(killed, |context| {
        let (primary, secondary) = ends(context)?;
        secondary.nodes.iter().try_for_each(Node::start)?;
        secondary.open(LONG)?;
        // The kill may have come before the wipe was decided: then it is still on its own.
        until("the secondary has an active node", LONG, || secondary.active().is_some())?;
        if secondary.replication()["mode"] == "disabled" {
            enable(primary, secondary)?;
        }
        until("the secondary streams", LONG, || secondary.replication()["state"] == "stream-wals")?;
        secondary.open(LONG)?;
        log_in(secondary)?;
        Ok(Value::text(secondary.name.clone()))
    }))
}

/// Takes the secondary in under a new name, and first of all its old names from it: a primary knows so many and no more.
fn enable(primary: &Cluster, secondary: &Cluster) -> Result<(), String> {
    let known = primary.replication()["known_secondaries"].as_array().cloned().unwrap_or_default();
    for id in known.iter().filter(|id| id.as_str().is_some_and(|id| id.starts_with(&format!("{}-", secondary.name)))) {
        primary.must(&format!("{API}/primary/revoke-secondary"), &json!({ "id": id }))?;
    }
    let token = activation(primary, &fresh(secondary))?;
    secondary.must(&format!("{API}/secondary/enable"), &json!({ "token": token })).map(drop)
}

/// An id that the primary has not seen.
fn fresh(secondary: &Cluster) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    format!("{}-{}", secondary.name, now.as_millis())
}
