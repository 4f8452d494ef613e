//! Tokens and cubbyholes of one cluster, tried at the other: refused there, all the while accepted at home.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde_json::json;

use crate::check::{Verdict, crossing as check};
use crate::client::http::Request;
use crate::core::{History, Value};
use crate::world::World;
use crate::world::node::Node;

use super::actor::Actor;
use super::{Workload, decided};

/// The workload.
#[derive(Default)]
pub struct Crossing {
    /// By name: home, token.
    tokens: Mutex<BTreeMap<String, (String, String)>>,
}

impl Workload for Crossing {
    fn name(&self) -> &'static str {
        "crossing"
    }

    fn is_across(&self) -> bool {
        true
    }

    /// What was tried is told by facts; the checker counts them.
    fn enough(&self) -> usize {
        0
    }

    fn processes(&self, world: &World) -> usize {
        world.clusters.len() * 2
    }

    fn seat<'w>(&self, world: &'w World, slot: usize) -> &'w Node {
        world.across(slot)
    }

    fn step(&self, actor: &mut Actor<'_>) {
        let (token, count) = {
            let tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
            let names: Vec<&String> = tokens.keys().collect();
            let name = actor.rng.pick(&names).map(|name| (*name).clone());
            (name.and_then(|name| tokens.get(&name).map(|(home, token)| (name, home.clone(), token.clone()))), tokens.len())
        };
        match token {
            Some((name, home, token)) if count > 12 || actor.rng.below(4) > 0 => attempt(actor, &name, &home, &token),
            _ => self.create(actor),
        }
    }

    /// Each at each node of both clusters: here everything must be answered.
    fn finish(&self, actor: &mut Actor<'_>) {
        let tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for (name, (home, token)) in tokens {
            attempt(actor, &name, &home, &token);
        }
    }

    fn check(&self, history: &History) -> Verdict {
        decided(self.name(), check::check(history))
    }
}

impl Crossing {
    fn create(&self, actor: &mut Actor<'_>) {
        let name = format!("x{}-{}", actor.slot, actor.steps);
        let home = actor.node().cluster.clone();
        let body = json!({"ttl": "24h", "policies": ["default"], "no_parent": true});
        let Ok(reply) = actor.ask(Request::new("POST", "auth/token/create").with_body(body)) else { return };
        let Some(token) = reply.body["auth"]["client_token"].as_str() else { return };
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner).insert(name, (home, token.to_owned()));
    }
}

/// What is answered neither way proves nothing, and is not told.
fn attempt(actor: &mut Actor<'_>, name: &str, home: &str, token: &str) {
    let Ok(reply) = actor.ask_bare(&Request::new("GET", "auth/token/lookup-self").with_token(token)) else { return };
    let is_accepted = match reply.status {
        200 => true,
        403 => false,
        _ => return,
    };
    let value = Value::map([
        ("thing", Value::from(name)),
        ("home", home.into()),
        ("cluster", actor.node().cluster.as_str().into()),
        ("mode", Value::keyword("performance")),
        ("accepted", is_accepted.into()),
    ]);
    actor.note("try", value);
}
