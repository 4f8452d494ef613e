//! A secondary is the primary at some earlier moment: folders are filled at the primary in order, and listed at the secondary.
//!
//! A list is one read of one state: what it shows and what it lacks must fit together. Single keys are read too, with their versions.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde_json::json;

use crate::check::{Verdict, prefix as check};
use crate::client::outcome::{Outcome, usual_refusal};
use crate::core::{History, Value};
use crate::world::World;
use crate::world::node::Node;

use super::actor::Actor;
use super::stage::Stage;
use super::{Workload, decided, kv};

const MOUNT: &str = "prefix";
/// So many names go into one folder.
const FOLDER: i64 = 40;

/// The workload.
#[derive(Default)]
pub struct Prefix {
    /// Names given out.
    next: Mutex<i64>,
}

impl Workload for Prefix {
    fn name(&self) -> &'static str {
        "prefix"
    }

    fn is_across(&self) -> bool {
        true
    }

    fn set_up(&self, stage: &Stage) -> Result<(), String> {
        kv::mount(stage.world.first(), MOUNT, 1)
    }

    /// Half of them write at the primary, half read at the secondary.
    fn seat<'w>(&self, world: &'w World, slot: usize) -> &'w Node {
        let cluster = if slot.is_multiple_of(2) { world.first() } else { world.clusters.last().unwrap_or(world.first()) };
        &cluster.nodes[slot / 2 % cluster.nodes.len()]
    }

    fn step(&self, actor: &mut Actor<'_>) {
        if !actor.slot.is_multiple_of(2) {
            return self.snapshot(actor);
        }
        let number = {
            let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
            *next += 1;
            *next
        };
        let begun = actor.begin("write", versioned(number, Value::Nil, number.into()));
        let outcome = Outcome::of(actor.ask(kv::write(MOUNT, &path(number), &json!(number), None)), true, usual_refusal);
        actor.end(&begun, &outcome, |reply| Ok(versioned(number, kv::written(reply)?.into(), number.into())));
    }

    fn finish(&self, actor: &mut Actor<'_>) {
        if actor.node().cluster != actor.stage.world.first().name {
            self.snapshot(actor);
        }
    }

    fn check(&self, history: &History) -> Verdict {
        decided(self.name(), check::check(history))
    }
}

fn key(number: i64) -> String {
    format!("n{number}")
}

fn path(number: i64) -> String {
    format!("f{}/{}", number / FOLDER, key(number))
}

fn versioned(number: i64, version: Value, value: Value) -> Value {
    Value::pair(key(number), Value::pair(version, value))
}

impl Prefix {
    fn snapshot(&self, actor: &mut Actor<'_>) {
        let last = *self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = last / FOLDER - i64::from(actor.rng.below(3) == 0 && last >= FOLDER);
        let begun = actor.begin("snapshot", Value::Nil);
        let outcome = match actor.ask(kv::list(MOUNT, &format!("f{folder}/"))) {
            Ok(reply) if kv::is_absent(&reply) => Outcome::Ok(reply),
            answer => Outcome::of(answer, false, usual_refusal),
        };
        actor.end(&begun, &outcome, |reply| {
            let seen: BTreeMap<String, ()> = kv::names(reply).into_iter().map(|name| (name, ())).collect();
            // Names that had been given out when the read began, and whatever it shows besides.
            let known = (folder * FOLDER).max(1)..(folder * FOLDER + FOLDER).min(last + 1);
            let shown = seen.keys().filter_map(|name| name.strip_prefix('n')?.parse::<i64>().ok());
            let mut numbers: Vec<i64> = known.chain(shown).collect();
            numbers.sort_unstable();
            numbers.dedup();
            let one = |number: i64| {
                let (version, value) =
                    if seen.contains_key(&key(number)) { (Value::Int(1), number.into()) } else { (Value::Int(0), Value::Nil) };
                versioned(number, version, value)
            };
            Ok(Value::List(numbers.into_iter().map(one).collect()))
        });
    }
}
