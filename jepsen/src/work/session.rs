//! Sessions: each process has keys of its own, writes them through one node and reads them through any: it never sees older.
//!
//! In a pair of clusters the nodes are the secondary's, whose writes run on the primary and whose reads are its own.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde_json::json;

use crate::check::{Verdict, monotonic as check};
use crate::client::outcome::{Outcome, usual_refusal};
use crate::core::{History, Kind, Value};
use crate::world::World;
use crate::world::node::Node;

use super::actor::Actor;
use super::stage::Stage;
use super::{Workload, decided, kv};

const MOUNT: &str = "session";

/// The workload.
#[derive(Default)]
pub struct Sessions {
    /// By session: where its last write stands.
    positions: Mutex<BTreeMap<i64, i64>>,
}

fn nodes(world: &World) -> &[Node] {
    &world.clusters.last().unwrap_or(world.first()).nodes
}

impl Workload for Sessions {
    fn name(&self) -> &'static str {
        "session"
    }

    fn set_up(&self, stage: &Stage) -> Result<(), String> {
        kv::mount(stage.world.first(), MOUNT, 1)
    }

    fn seat<'w>(&self, world: &'w World, slot: usize) -> &'w Node {
        let nodes = nodes(world);
        &nodes[slot % nodes.len()]
    }

    fn step(&self, actor: &mut Actor<'_>) {
        let world = &actor.stage.world;
        let nodes = nodes(world);
        let at = actor.rng.index(nodes.len());
        actor.move_to(&nodes[at]);
        let (key, session) = (format!("s{}", actor.slot), i64::try_from(actor.slot).unwrap_or(i64::MAX));
        let is_write = actor.rng.below(3) == 0;
        let pair = |version: Value, value: Value| Value::pair(key.as_str(), Value::pair(version, value));
        if is_write {
            let value = i64::try_from(actor.steps).unwrap_or(i64::MAX);
            let begun = actor.begin_with("write", pair(Value::Nil, value.into()), [("session", session.into())]);
            let outcome = Outcome::of(actor.ask(kv::write(MOUNT, &key, &json!(value), None)), true, usual_refusal);
            let mut position = None;
            let kind = actor.end(&begun, &outcome, |reply| {
                position = reply.headers.get("x-coffer-wal").and_then(|text| text.parse::<i64>().ok());
                // The secondary may answer before it has the write, and says so: then nothing was promised.
                let is_late = reply.body["warnings"].as_array().is_some_and(|warnings| !warnings.is_empty());
                if is_late {
                    Err("acknowledged before it can be read here".to_owned())
                } else {
                    Ok(pair(kv::written(reply)?.into(), value.into()))
                }
            });
            if let (Kind::Ok, Some(position)) = (kind, position) {
                self.positions.lock().unwrap_or_else(PoisonError::into_inner).insert(session, position);
            }
        } else {
            self.read(actor, &key, session);
        }
    }

    fn finish(&self, actor: &mut Actor<'_>) {
        self.read(actor, &format!("s{}", actor.slot), i64::try_from(actor.slot).unwrap_or(i64::MAX));
    }

    fn check(&self, history: &History) -> Verdict {
        decided(self.name(), check::check(history))
    }
}

impl Sessions {
    /// Asks for at least what this session wrote.
    fn read(&self, actor: &mut Actor<'_>, key: &str, session: i64) {
        let pair = |version: Value, value: Value| Value::pair(key, Value::pair(version, value));
        let asked = self.positions.lock().unwrap_or_else(PoisonError::into_inner).get(&session).copied();
        let begun = actor.begin_with("read", pair(Value::Nil, Value::Nil), [("session", session.into()), ("asked", asked.into())]);
        let outcome = match actor.ask(kv::read(MOUNT, key)) {
            Ok(reply) if kv::is_absent(&reply) => Outcome::Ok(reply),
            answer => Outcome::of(answer, false, usual_refusal),
        };
        actor.end(&begun, &outcome, |reply| {
            if kv::is_absent(reply) {
                return Ok(pair(Value::Int(0), Value::Nil));
            }
            let (version, value) = kv::seen(reply)?;
            Ok(pair(version.into(), value))
        });
    }
}
