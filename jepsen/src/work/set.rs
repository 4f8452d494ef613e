//! Unique keys are added below one folder; at the end, and sometimes in between, the folder is listed.
//!
//! Oracle: what was acknowledged is there; what is there was attempted.

use std::sync::atomic::{AtomicI64, Ordering};

use crate::check::{Verdict, setfull};
use crate::client::outcome::{Outcome, usual_refusal};
use crate::core::{History, Value};
use serde_json::json;

use super::actor::Actor;
use super::stage::Stage;
use super::{Workload, decided, kv};

const MOUNT: &str = "set";
/// One in so many steps lists the folder: lists grow.
const LIST_EVERY: u64 = 40;

/// The workload.
#[derive(Default)]
pub struct Set {
    next: AtomicI64,
}

impl Workload for Set {
    fn name(&self) -> &'static str {
        "set"
    }

    fn set_up(&self, stage: &Stage) -> Result<(), String> {
        kv::mount(stage.world.first(), MOUNT, 1)
    }

    fn step(&self, actor: &mut Actor<'_>) {
        if actor.rng.below(LIST_EVERY) == 0 {
            return list(actor);
        }
        let element = self.next.fetch_add(1, Ordering::Relaxed);
        let begun = actor.begin("add", element);
        let answer = actor.ask(kv::write(MOUNT, &format!("all/{element}"), &json!(element), Some(0)));
        let outcome = Outcome::of(answer, true, usual_refusal);
        actor.end(&begun, &outcome, |_| Ok(Value::Int(element)));
    }

    fn finish(&self, actor: &mut Actor<'_>) {
        list(actor);
    }

    fn check(&self, history: &History) -> Verdict {
        // Every node hands reads on to the active one: nothing may be stale.
        decided(self.name(), setfull::check(history, setfull::Stale::Refused))
    }
}

fn list(actor: &mut Actor<'_>) {
    let begun = actor.begin("read", Value::Nil);
    let outcome = match actor.ask(kv::list(MOUNT, "all/")) {
        Ok(reply) if kv::is_absent(&reply) => Outcome::Ok(reply),
        answer => Outcome::of(answer, false, usual_refusal),
    };
    actor.end(&begun, &outcome, |reply| {
        let numbers = kv::names(reply).into_iter().map(|name| name.parse::<i64>().map_err(|_| format!("`{name}` was never added")));
        Ok(Value::list(numbers.collect::<Result<Vec<_>, _>>()?))
    });
}
