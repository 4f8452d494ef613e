//! Lists that grow by compare-and-set on one key each: no update may be lost, and no refused one seen.

use serde_json::{Value as Json, json};

use crate::check::{Verdict, append as check};
use crate::client::http::Reply;
use crate::client::outcome::{Outcome, usual_refusal};
use crate::core::{History, Op, Value};

use super::actor::Actor;
use super::stage::Stage;
use super::{Workload, decided, kv};

const MOUNT: &str = "append";
/// At once; and after so many steps of a process the next keys are used, so that lists stay short.
const KEYS: u64 = 4;
const STEPS_PER_KEY: u64 = 25;

/// The workload.
pub struct Append;

impl Workload for Append {
    fn name(&self) -> &'static str {
        "append"
    }

    fn set_up(&self, stage: &Stage) -> Result<(), String> {
        kv::mount(stage.world.first(), MOUNT, 1)
    }

    fn step(&self, actor: &mut Actor<'_>) {
        let key = format!("l{}", actor.steps / STEPS_PER_KEY * KEYS + actor.rng.below(KEYS));
        if actor.rng.below(3) == 0 {
            return read(actor, &key);
        }
        // One process has one slot and counts its steps: nobody else appends this.
        let element = i64::try_from(actor.steps * 1000 + actor.slot as u64).unwrap_or(i64::MAX);
        let begun = actor.begin("txn", parts(&key, Some(element), None));
        let seen = match actor.ask(kv::read(MOUNT, &key)) {
            Ok(reply) if kv::is_absent(&reply) => Ok((0, Vec::new())),
            answer => match Outcome::of(answer, false, usual_refusal) {
                Outcome::Ok(reply) => state(&reply),
                Outcome::Fail(why, _) | Outcome::Info(why, _) => Err(why),
            },
        };
        let (version, mut list) = match seen {
            Ok(seen) => seen,
            // Nothing was written.
            Err(why) => {
                actor.end(&begun, &Outcome::Fail(why, None), |_| Ok(Value::Nil));
                return;
            }
        };
        list.push(element);
        let outcome = Outcome::of(actor.ask(kv::write(MOUNT, &key, &json!(list), Some(version))), true, usual_refusal);
        actor.end(&begun, &outcome, |_| Ok(parts(&key, Some(element), Some(&list))));
    }

    fn finish(&self, actor: &mut Actor<'_>) {
        let Ok(reply) = actor.ask(kv::list(MOUNT, "")) else { return };
        kv::names(&reply).iter().for_each(|key| read(actor, key));
    }

    fn check(&self, history: &History) -> Verdict {
        decided(self.name(), check::check(history))
    }
}

fn read(actor: &mut Actor<'_>, key: &str) {
    let begun: Op = actor.begin("txn", parts(key, None, None));
    let outcome = match actor.ask(kv::read(MOUNT, key)) {
        Ok(reply) if kv::is_absent(&reply) => Outcome::Ok(reply),
        answer => Outcome::of(answer, false, usual_refusal),
    };
    actor.end(&begun, &outcome, |reply| {
        let list = if kv::is_absent(reply) { Vec::new() } else { state(reply)?.1 };
        Ok(parts(key, None, Some(&list)))
    });
}

/// `[[:append k v] [:r k list]]`, without the append if nothing is appended.
fn parts(key: &str, element: Option<i64>, list: Option<&[i64]>) -> Value {
    let append = element.map(|element| Value::List(vec![Value::keyword("append"), key.into(), element.into()]));
    let seen = list.map(|list| Value::list(list.iter().copied()));
    let read = Value::List(vec![Value::keyword("r"), key.into(), seen.into()]);
    Value::List(append.into_iter().chain([read]).collect())
}

fn state(reply: &Reply) -> Result<(i64, Vec<i64>), String> {
    let data = &reply.body["data"];
    let version = data["metadata"]["version"].as_i64();
    let list = data["data"]["v"].as_array().map(|list| list.iter().filter_map(Json::as_i64).collect());
    version.zip(list).ok_or_else(|| format!("no list in {}", reply.body))
}
