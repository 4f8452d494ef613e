//! A few keys that many processes read, write and compare-and-set, through all nodes: the versioned register.
//!
//! Every value is written once, so a read tells which write it saw.

use crate::check::{MISMATCH, Verdict, register as check};
use crate::client::outcome::{Outcome, usual_refusal};
use crate::core::{History, Op, Value};
use crate::world::World;
use serde_json::json;
use std::time::Duration;

use super::actor::Actor;
use super::stage::Stage;
use super::{Workload, decided, kv};

const MOUNT: &str = "register";
/// Few enough that processes meet, many enough that each key stays easy to check.
const KEYS: u64 = 8;

/// The workload.
pub struct Register;

impl Workload for Register {
    fn name(&self) -> &'static str {
        "register"
    }

    fn set_up(&self, stage: &Stage) -> Result<(), String> {
        // Versions must not be trimmed.
        kv::mount(stage.world.first(), MOUNT, 0)
    }

    /// Two at each node do everything. One only reads: whoever writes at a node that is cut off waits for its answer, and learns nothing
    /// of what that node still says.
    fn processes(&self, world: &World) -> usize {
        world.first().nodes.len() * 3
    }

    fn step(&self, actor: &mut Actor<'_>) {
        let key = format!("k{}", actor.rng.below(KEYS));
        if actor.slot >= actor.stage.world.first().nodes.len() * 2 {
            read(actor, MOUNT, &key);
            return;
        }
        match actor.rng.below(10) {
            0..4 => {
                read(actor, MOUNT, &key);
            }
            4..7 => write(actor, MOUNT, &key),
            _ => compare_and_set(actor, MOUNT, &key),
        }
    }

    fn finish(&self, actor: &mut Actor<'_>) {
        for key in 0..KEYS {
            read(actor, MOUNT, &format!("k{key}"));
        }
    }

    fn check(&self, history: &History) -> Verdict {
        decided(self.name(), check::check(history))
    }
}

/// A value that nobody else writes.
fn unique(actor: &Actor<'_>, begun: u64) -> i64 {
    i64::try_from(begun * 1000 + actor.slot as u64 % 1000).unwrap_or(i64::MAX)
}

fn versioned(key: &str, version: impl Into<Value>, value: impl Into<Value>) -> Value {
    Value::pair(key, Value::pair(version, value))
}

/// Reads a key: its version, if it was seen; 0 if it is absent.
pub fn read(actor: &mut Actor<'_>, mount: &str, key: &str) -> Option<i64> {
    let begun = actor.begin("read", versioned(key, Value::Nil, Value::Nil));
    let answer = actor.ask(kv::read(mount, key));
    let outcome = match answer {
        Ok(reply) if kv::is_absent(&reply) => Outcome::Ok(reply),
        answer => Outcome::of(answer, false, usual_refusal),
    };
    let mut version = None;
    actor.end(&begun, &outcome, |reply| {
        let (seen, value) = if kv::is_absent(reply) { (0, Value::Nil) } else { kv::seen(reply)? };
        version = Some(seen);
        Ok(versioned(key, seen, value))
    });
    version
}

/// Writes a fresh value.
pub fn write(actor: &mut Actor<'_>, mount: &str, key: &str) {
    let value = unique(actor, actor.steps);
    let begun = actor.begin("write", versioned(key, Value::Nil, value));
    change(actor, &begun, mount, key, value, None);
}

/// Reads, then writes a fresh value if the version is still that one.
pub fn compare_and_set(actor: &mut Actor<'_>, mount: &str, key: &str) {
    let Some(version) = read(actor, mount, key) else { return };
    let expected = match actor.rng.below(4) {
        // Sure to be refused.
        0 if version > 0 => version - 1,
        // Time for somebody else to be first.
        1 => {
            std::thread::sleep(Duration::from_millis(actor.rng.below(30)));
            version
        }
        _ => version,
    };
    replace(actor, mount, key, expected);
}

/// Writes a fresh value if the version is still that one.
pub fn replace(actor: &mut Actor<'_>, mount: &str, key: &str, version: i64) {
    let value = unique(actor, actor.steps);
    let begun = actor.begin("cas", versioned(key, version, value));
    change(actor, &begun, mount, key, value, Some(version));
}

fn change(actor: &mut Actor<'_>, begun: &Op, mount: &str, key: &str, value: i64, cas: Option<i64>) {
    let answer = actor.ask(kv::write(mount, key, &json!(value), cas));
    let outcome = match Outcome::of(answer, true, usual_refusal) {
        Outcome::Fail(_, Some(reply)) if kv::is_mismatch(&reply) => Outcome::Fail(MISMATCH.to_owned(), Some(reply)),
        outcome => outcome,
    };
    actor.end(begun, &outcome, |reply| Ok(versioned(key, kv::written(reply)?, value)));
}
