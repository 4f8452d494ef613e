//! Policies that are flipped between allow and deny, or deleted, and requests that depend on them: a change holds from its answer on.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde_json::json;

use crate::check::{Verdict, policy as check, wgl};
use crate::client::http::Request;
use crate::client::outcome::{Outcome, usual_refusal};
use crate::core::{History, Value};

use super::actor::Actor;
use super::stage::Stage;
use super::{Workload, decided, kv};

const MOUNT: &str = "policy";
/// Few calls for each, as their order is searched for.
const POLICIES: u64 = 12;

/// The workload.
#[derive(Default)]
pub struct Policies {
    /// Tokens by policy.
    tokens: Mutex<BTreeMap<String, String>>,
}

fn rule(name: &str, is_allowed: bool) -> serde_json::Value {
    let word = if is_allowed { "read" } else { "deny" };
    json!({"policy": format!("path \"{MOUNT}/data/{name}\" {{ capabilities = [\"{word}\"] }}")})
}

impl Workload for Policies {
    fn name(&self) -> &'static str {
        "policy"
    }

    fn set_up(&self, stage: &Stage) -> Result<(), String> {
        let first = stage.world.first();
        kv::mount(first, MOUNT, 1)?;
        for n in 0..POLICIES {
            let name = format!("pol{n}");
            first.must(&format!("sys/policies/acl/{name}"), &rule(&name, false))?;
            first.must(&format!("{MOUNT}/data/{name}"), &json!({"data": {"v": n}}))?;
            let answer = first.must("auth/token/create", &json!({"policies": [name.as_str()], "no_default_policy": true, "ttl": "24h"}))?;
            let token = answer["auth"]["client_token"].as_str().ok_or("no token")?.to_owned();
            self.tokens.lock().unwrap_or_else(PoisonError::into_inner).insert(name, token);
        }
        Ok(())
    }

    fn step(&self, actor: &mut Actor<'_>) {
        let name = format!("pol{}", actor.rng.below(POLICIES));
        if actor.rng.below(4) > 0 {
            return self.probe(actor, &name);
        }
        let is_allowed = actor.rng.below(2) == 0;
        let value = Value::pair(name.as_str(), Value::keyword(if is_allowed { "allow" } else { "deny" }));
        let begun = actor.begin("set", value.clone());
        let path = format!("sys/policies/acl/{name}");
        // A policy that is not there allows nothing.
        let request = match !is_allowed && actor.rng.below(2) == 0 {
            true => Request::new("DELETE", path),
            false => Request::new("PUT", path).with_body(rule(&name, is_allowed)),
        };
        let outcome = Outcome::of(actor.ask(request), true, usual_refusal);
        actor.end(&begun, &outcome, |_| Ok(value));
    }

    fn finish(&self, actor: &mut Actor<'_>) {
        (0..POLICIES).for_each(|n| self.probe(actor, &format!("pol{n}")));
    }

    fn check(&self, history: &History) -> Verdict {
        decided(self.name(), check::check(history, wgl::Limits::default()))
    }
}

impl Policies {
    fn probe(&self, actor: &mut Actor<'_>, name: &str) {
        let token = self.tokens.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned().unwrap_or_default();
        let begun = actor.begin("probe", Value::pair(name, Value::Nil));
        let request = kv::read(MOUNT, name).with_token(&token);
        let outcome = match actor.ask_bare(&request) {
            // Refusing is an answer to the question.
            Ok(reply) if reply.status == 403 => Outcome::Ok(reply),
            answer => Outcome::of(answer, false, usual_refusal),
        };
        actor.end(&begun, &outcome, |reply| Ok(Value::pair(name, Value::keyword(if reply.status == 403 { "deny" } else { "allow" }))));
    }
}
