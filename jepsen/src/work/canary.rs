//! Canaries in local and shared mounts of both clusters, looked for everywhere at the end: what is local stays at home.
//!
//! A canary is a name of a key, as names lie readable in the store, and a value, which only the API shows. Looked for through the API of
//! each cluster, in the bytes of each node's disk, and in each node's log.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::check::{Verdict, canary as check};
use crate::client::outcome::{Outcome, usual_refusal};
use crate::core::{History, Value};
use crate::world::World;
use crate::world::cluster::Cluster;
use crate::world::node::Node;

use super::actor::Actor;
use super::stage::Stage;
use super::{Workload, decided, kv};

/// Mounts: one that is shared, and one of each cluster's own.
const SHARED: &str = "nest";

/// The workload.
pub struct Canary;

fn local(cluster: &Cluster) -> String {
    format!("local-{}", cluster.name)
}

impl Workload for Canary {
    fn name(&self) -> &'static str {
        "canary"
    }

    fn is_across(&self) -> bool {
        true
    }

    fn set_up(&self, stage: &Stage) -> Result<(), String> {
        stage.world.first().must(&format!("sys/mounts/{SHARED}"), &json!({"type": "kv", "options": {"version": "2"}}))?;
        for cluster in &stage.world.clusters {
            cluster.must(&format!("sys/mounts/{}", local(cluster)), &json!({"type": "kv", "local": true, "options": {"version": "2"}}))?;
        }
        Ok(())
    }

    /// One for each node: each is searched at the end.
    fn processes(&self, world: &World) -> usize {
        world.clusters.len() * world.first().nodes.len()
    }

    fn seat<'w>(&self, world: &'w World, slot: usize) -> &'w Node {
        world.across(slot)
    }

    fn step(&self, actor: &mut Actor<'_>) {
        let Some(cluster) = actor.stage.world.cluster(&actor.node().cluster) else { return };
        let is_local = actor.rng.below(2) == 0;
        let id = format!("canary-{}-{}-{}", cluster.name, actor.slot, actor.steps);
        let (mount, scope) = if is_local { (local(cluster), "local") } else { (SHARED.to_owned(), "shared") };
        let plant =
            Value::map([("canary", Value::from(id.as_str())), ("home", cluster.name.as_str().into()), ("scope", Value::keyword(scope))]);
        let begun = actor.begin("plant", plant.clone());
        let outcome = Outcome::of(actor.ask(kv::write(&mount, &id, &json!(id), None)), true, usual_refusal);
        actor.end(&begun, &outcome, |_| Ok(plant));
    }

    fn finish(&self, actor: &mut Actor<'_>) {
        let Some(cluster) = actor.stage.world.cluster(&actor.node().cluster) else { return };
        let mut mounts = vec![SHARED.to_owned()];
        mounts.extend(actor.stage.world.clusters.iter().map(local));
        let mut found = BTreeSet::new();
        for mount in mounts {
            if let Ok(reply) = actor.ask(kv::list(&mount, "")) {
                found.extend(kv::names(&reply));
            }
        }
        report(actor, cluster, "api", &found);
        for (place, path) in [("disk", actor.node().data.clone()), ("log", actor.node().log().to_owned())] {
            let mut found = BTreeSet::new();
            files(&path).iter().for_each(|file| search(&fs::read(file).unwrap_or_default(), &mut found));
            report(actor, cluster, place, &found);
        }
    }

    fn check(&self, history: &History) -> Verdict {
        decided(self.name(), check::check(history))
    }
}

fn report(actor: &Actor<'_>, cluster: &Cluster, place: &str, found: &BTreeSet<String>) {
    let list = Value::list(found.iter().map(String::as_str));
    actor.note("scan", Value::map([("cluster", Value::from(cluster.name.as_str())), ("where", Value::keyword(place)), ("found", list)]));
}

/// All files at or below a path.
fn files(path: &Path) -> Vec<PathBuf> {
    if path.is_file() {
        return vec![path.to_owned()];
    }
    fs::read_dir(path).into_iter().flatten().flatten().flat_map(|entry| files(&entry.path())).collect()
}

/// Adds every canary's name among these bytes. A block that is compressed hides names: more are seen in logs of changes.
fn search(bytes: &[u8], found: &mut BTreeSet<String>) {
    const MARK: &[u8] = b"canary-";
    let mut at = 0;
    while let Some(next) = bytes[at..].windows(MARK.len()).position(|window| window == MARK) {
        let start = at + next;
        let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-';
        let length = bytes[start..].iter().take(64).take_while(|byte| is_name(byte)).count();
        let name = String::from_utf8_lossy(&bytes[start..start + length]).into_owned();
        // Bytes behind a name may look like a part of it: cut down to what a name can be.
        found.extend(whole(&name));
        at = start + MARK.len();
    }
}

/// `canary-CLUSTER-SLOT-STEP`, and every shorter step that it may have been.
fn whole(name: &str) -> Option<String> {
    let mut parts = name.splitn(4, '-');
    let (mark, cluster, slot, step) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let digits: String = step.chars().take_while(char::is_ascii_digit).collect();
    (!digits.is_empty()).then(|| format!("{mark}-{cluster}-{slot}-{digits}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_among_other_bytes() {
        let mut found = BTreeSet::new();
        search(b"\0canary-p-1-17\xffxcanary-s-0-3zcanary-\0canary-p-2", &mut found);
        assert_eq!(found.into_iter().collect::<Vec<_>>(), ["canary-p-1-17", "canary-s-0-3"]);
    }
}
