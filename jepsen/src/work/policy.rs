//! Policies that are flipped between allow and deny, or deleted, and requests that depend on them; users who get another password, or are
//! deleted, and their logins. A change holds from its answer on.

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
/// A login takes longer than a read.
const USERS: u64 = 4;
/// The password that is tried.
const PASSWORD: &str = "tried";

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
        first.must(&format!("sys/auth/{MOUNT}"), &json!({"type": "userpass"}))?;
        // Wrong logins lock nobody out: each is asked for the user alone.
        first.must(&format!("sys/auth/{MOUNT}/tune"), &json!({"user_lockout_config": {"lockout_disable": true}})).map(drop)
    }

    fn step(&self, actor: &mut Actor<'_>) {
        let at = actor.rng.below(POLICIES + USERS);
        let is_user = at >= POLICIES;
        let name = if is_user { format!("user{}", at - POLICIES) } else { format!("pol{at}") };
        if actor.rng.below(4) > 0 {
            return self.probe(actor, &name, is_user);
        }
        let is_allowed = actor.rng.below(2) == 0;
        let value = Value::pair(name.as_str(), Value::keyword(if is_allowed { "allow" } else { "deny" }));
        let begun = actor.begin("set", value.clone());
        let (path, body) = match is_user {
            true => (format!("auth/{MOUNT}/users/{name}"), json!({"password": if is_allowed { PASSWORD } else { "another" }})),
            false => (format!("sys/policies/acl/{name}"), rule(&name, is_allowed)),
        };
        // A policy that is not there allows nothing, nor does a user.
        let request = match !is_allowed && actor.rng.below(2) == 0 {
            true => Request::new("DELETE", path),
            false => Request::new("PUT", path).with_body(body),
        };
        let outcome = Outcome::of(actor.ask(request), true, usual_refusal);
        actor.end(&begun, &outcome, |_| Ok(value));
    }

    fn finish(&self, actor: &mut Actor<'_>) {
        (0..POLICIES).for_each(|n| self.probe(actor, &format!("pol{n}"), false));
        (0..USERS).for_each(|n| self.probe(actor, &format!("user{n}"), true));
    }

    fn check(&self, history: &History) -> Verdict {
        decided(self.name(), check::check(history, wgl::Limits::default()))
    }
}

impl Policies {
    /// Asks for what a policy decides, or logs in.
    fn probe(&self, actor: &mut Actor<'_>, name: &str, is_user: bool) {
        let (request, refusal) = if is_user {
            (Request::new("POST", format!("auth/{MOUNT}/login/{name}")).with_body(json!({ "password": PASSWORD })), 400)
        } else {
            let token = self.tokens.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned().unwrap_or_default();
            (kv::read(MOUNT, name).with_token(&token), 403)
        };
        let begun = actor.begin("probe", Value::pair(name, Value::Nil));
        let outcome = match actor.ask_bare(&request) {
            // Refusing is an answer to the question.
            Ok(reply) if reply.status == refusal => Outcome::Ok(reply),
            answer => Outcome::of(answer, false, usual_refusal),
        };
        actor.end(&begun, &outcome, |reply| Ok(Value::pair(name, Value::keyword(if reply.status == refusal { "deny" } else { "allow" }))));
    }
}
