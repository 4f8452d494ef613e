//! Roles in replication that change hands while clients work: demote, promote, re-point; at the end the same way back.

use serde_json::json;

use crate::core::Value;
use crate::world::cluster::{Cluster, LONG};
use crate::world::replicate::{activation, until};
use crate::world::rule::Rule;

use super::context::{Context, Installed};
use super::partition::{self, Shape};

const API: &str = "sys/replication/performance";

/// The first secondary and the primary change places.
///
/// # Errors
/// What was refused: a finding, unless another fault is in force.
pub fn swap(context: &Context) -> Result<Installed, String> {
    let (primary, secondary) = ends(context)?;
    change_places(context, primary, secondary)?;
    Ok(Installed::new(secondary.name.clone(), |context| {
        let (primary, secondary) = ends(context)?;
        change_places(context, secondary, primary)?;
        Ok(Value::text(primary.name.clone()))
    }))
}

fn ends(context: &Context) -> Result<(&Cluster, &Cluster), String> {
    match &context.world.clusters[..] {
        [primary, secondary, ..] => Ok((primary, secondary)),
        _ => Err("there is no secondary".to_owned()),
    }
}

/// The secondary is promoted while it cannot reach the primary, which goes on for a while; then the old primary meets the new one,
/// follows it, and in the end they change places again in order.
///
/// # Errors
/// What was refused.
pub fn force(context: &Context) -> Result<Installed, String> {
    let (_, secondary) = ends(context)?;
    let cut =
        context.network.install(partition::between(context, Shape::BetweenClusters).into_iter().map(|pair| (pair, Rule::cut())).collect());
    if let Err(why) = promote(context, secondary, true) {
        context.network.remove(cut);
        return Err(why);
    }
    Ok(Installed::new(secondary.name.clone(), move |context| {
        context.network.remove(cut);
        let (primary, secondary) = ends(context)?;
        change_places(context, primary, secondary)?;
        change_places(context, secondary, primary)?;
        Ok(Value::text(primary.name.clone()))
    }))
}

/// Promotes, and tells from where on.
fn promote(context: &Context, new: &Cluster, is_forced: bool) -> Result<(), String> {
    let is_primary = || new.replication()["mode"] == "primary";
    new.must_unless(&format!("{API}/secondary/promote"), &json!({}), is_primary)?;
    until("the new primary is one", LONG, is_primary)?;
    let status = new.replication();
    let position = status["promotion"]["wal"].as_i64().unwrap_or_default();
    let fact = [
        ("cluster", Value::text(new.name.clone())),
        ("epoch", status["generation"].as_i64().into()),
        ("position", position.into()),
        ("forced", is_forced.into()),
    ];
    context.note("fence", "promote", Value::map(fact));
    Ok(())
}

/// `old` is demoted, `new` promoted, and `old` follows it. Steps that were done already, before an error or by a try whose answer was lost, are not done again.
fn change_places(context: &Context, old: &Cluster, new: &Cluster) -> Result<(), String> {
    if old.replication()["mode"] == "primary" {
        let is_secondary = || old.replication()["mode"] == "secondary";
        old.must_unless(&format!("{API}/primary/demote"), &json!({}), is_secondary)?;
        until("the old primary is a secondary", LONG, is_secondary)?;
    }
    if new.replication()["mode"] != "primary" {
        promote(context, new, false)?;
    }
    let generation = new.replication()["generation"].as_u64().unwrap_or_default();
    let token = activation(new, &format!("{}-{generation}", old.name))?;
    old.must(&format!("{API}/secondary/update-primary"), &json!({ "token": token }))?;
    until("the old primary streams", LONG, || old.replication()["state"] == "stream-wals")?;
    context.note(
        "fence",
        "contact",
        Value::map([("cluster", Value::text(old.name.clone())), ("epoch", i64::try_from(generation).unwrap_or_default().into())]),
    );
    Ok(())
}
