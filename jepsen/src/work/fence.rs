//! Additions at whichever cluster says that it is the primary, while roles change: each is acknowledged in one epoch by one cluster.
//!
//! An addition counts as acknowledged only if its cluster was the primary in the same epoch before and after; else nobody knows.

use std::sync::atomic::{AtomicI64, Ordering};

use serde_json::json;

use crate::check::{Verdict, fence as check};
use crate::client::outcome::{Outcome, usual_refusal};
use crate::core::{History, Value};
use crate::world::World;
use crate::world::cluster::Cluster;
use crate::world::node::Node;

use super::actor::Actor;
use super::stage::Stage;
use super::{Workload, decided, kv};

const MOUNT: &str = "fence";

/// The workload.
#[derive(Default)]
pub struct Fence {
    next: AtomicI64,
}

impl Workload for Fence {
    fn name(&self) -> &'static str {
        "fence"
    }

    fn is_across(&self) -> bool {
        true
    }

    fn set_up(&self, stage: &Stage) -> Result<(), String> {
        kv::mount(stage.world.first(), MOUNT, 1)
    }

    fn processes(&self, world: &World) -> usize {
        world.clusters.len() * 2
    }

    fn seat<'w>(&self, world: &'w World, slot: usize) -> &'w Node {
        world.across(slot)
    }

    fn step(&self, actor: &mut Actor<'_>) {
        let Some(cluster) = actor.stage.world.cluster(&actor.node().cluster) else { return };
        let Some(epoch) = reign(cluster) else { return };
        let element = self.next.fetch_add(1, Ordering::Relaxed);
        let begun = actor.begin("add", element);
        let outcome = Outcome::of(actor.ask(kv::write(MOUNT, &format!("all/{element}"), &json!(element), None)), true, usual_refusal);
        let after = if matches!(outcome, Outcome::Ok(_)) { reign(cluster) } else { None };
        actor.finish(&begun, &outcome, |_| match after {
            Some(after) if after == epoch => Ok((element.into(), vec![("epoch", epoch.into())])),
            _ => Err("acknowledged while the role changed".to_owned()),
        });
    }

    fn finish(&self, actor: &mut Actor<'_>) {
        let Some(cluster) = actor.stage.world.cluster(&actor.node().cluster) else { return };
        let epoch = cluster.replication()["generation"].as_i64().unwrap_or_default();
        let begun = actor.begin("read", Value::Nil);
        let outcome = Outcome::of(actor.ask(kv::list(MOUNT, "all/")), false, usual_refusal);
        actor.finish(&begun, &outcome, |reply| {
            let elements = kv::names(reply).into_iter().filter_map(|name| name.parse::<i64>().ok());
            Ok((Value::list(elements), vec![("epoch", epoch.into())]))
        });
    }

    fn check(&self, history: &History) -> Verdict {
        let is_forced = history.ops.iter().any(|op| op.f == "promote" && op.value.get("forced").and_then(Value::as_bool) == Some(true));
        let change = if is_forced { check::Change::Forced } else { check::Change::Ordered };
        decided(self.name(), check::check(history, change))
    }
}

/// The epoch in which a cluster is the primary, if it is.
fn reign(cluster: &Cluster) -> Option<i64> {
    let status = cluster.replication();
    if status["mode"] == "primary" { status["generation"].as_i64() } else { None }
}
