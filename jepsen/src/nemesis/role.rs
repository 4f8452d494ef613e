//! Roles in replication that change hands while clients work: demote, promote, re-point; at the end the same way back.

use serde_json::json;

use crate::core::Value;
use crate::world::cluster::{Cluster, LONG};
use crate::world::replicate::{activation, until};

use super::context::{Context, Installed};

const API: &str = "sys/replication/performance";

/// The first secondary and the primary change places.
///
/// # Errors
/// What was refused: a finding, unless another fault is in force.
pub fn swap(context: &Context) -> Result<Installed, String> {
    let (primary, secondary) = ends(context)?;
    change_places(primary, secondary)?;
    Ok(Installed::new(secondary.name.clone(), |context| {
        let (primary, secondary) = ends(context)?;
        change_places(secondary, primary)?;
        Ok(Value::text(primary.name.clone()))
    }))
}

fn ends(context: &Context) -> Result<(&Cluster, &Cluster), String> {
    match &context.world.clusters[..] {
        [primary, secondary, ..] => Ok((primary, secondary)),
        _ => Err("there is no secondary".to_owned()),
    }
}

/// `old` is demoted, `new` promoted, and `old` follows it. Steps that were done already, before an error, are not done again.
fn change_places(old: &Cluster, new: &Cluster) -> Result<(), String> {
    if old.replication()["mode"] == "primary" {
        old.must(&format!("{API}/primary/demote"), &json!({}))?;
        until("the old primary is a secondary", LONG, || old.replication()["mode"] == "secondary")?;
    }
    if new.replication()["mode"] != "primary" {
        new.must(&format!("{API}/secondary/promote"), &json!({}))?;
        until("the new primary is one", LONG, || new.replication()["mode"] == "primary")?;
    }
    let generation = new.replication()["generation"].as_u64().unwrap_or_default();
    let token = activation(new, &format!("{}-{generation}", old.name))?;
    old.must(&format!("{API}/secondary/update-primary"), &json!({ "token": token }))?;
    until("the old primary streams", LONG, || old.replication()["state"] == "stream-wals")
}
