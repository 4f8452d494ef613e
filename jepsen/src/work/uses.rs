//! Tokens with a number of uses, used by everybody at once through all nodes.

use std::sync::{Mutex, PoisonError};

use serde_json::json;

use crate::check::{Verdict, uses as check};
use crate::client::http::Request;
use crate::client::outcome::Outcome;
use crate::core::{History, Value};

use super::actor::Actor;
use super::{Workload, decided};

/// The last is for faults that come while it is being used.
const LIMITS: &[i64] = &[1, 2, 10, 200];
/// So many calls more than uses and a half: some must be refused, also where a fault leaves many without an answer.
const MORE: i64 = 8;

struct Token {
    name: String,
    secret: String,
    limit: i64,
    calls_left: i64,
}

/// The workload.
#[derive(Default)]
pub struct Uses {
    current: Mutex<Vec<Token>>,
}

impl Workload for Uses {
    fn name(&self) -> &'static str {
        "uses"
    }

    fn step(&self, actor: &mut Actor<'_>) {
        match self.take(actor) {
            Some((name, secret, limit)) => spend(actor, &name, &secret, limit),
            None => self.create(actor),
        }
    }

    fn finish(&self, actor: &mut Actor<'_>) {
        // Spends what is left of each, so that each is refused in the end.
        let left: Vec<Token> = std::mem::take(&mut *self.current.lock().unwrap_or_else(PoisonError::into_inner));
        for token in left {
            for _ in 0..=token.limit {
                spend(actor, &token.name, &token.secret, token.limit);
            }
        }
    }

    fn check(&self, history: &History) -> Verdict {
        let verdict = decided(self.name(), check::check(history));
        // A token that was never refused proves nothing and breaks nothing, if others were.
        let (told, silent): (Vec<_>, Vec<_>) = verdict.children.into_iter().partition(|child| child.valid != crate::check::Valid::Unknown);
        if told.is_empty() {
            return Verdict::all(self.name(), silent);
        }
        Verdict::all(self.name(), told)
    }
}

impl Uses {
    fn take(&self, actor: &mut Actor<'_>) -> Option<(String, String, i64)> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.len() < LIMITS.len() {
            return None;
        }
        let at = actor.rng.index(current.len());
        current[at].calls_left -= 1;
        let token = (current[at].name.clone(), current[at].secret.clone(), current[at].limit);
        if current[at].calls_left <= 0 {
            current.remove(at);
        }
        Some(token)
    }

    fn create(&self, actor: &mut Actor<'_>) {
        let limit = actor.rng.pick(LIMITS).copied().unwrap_or(1);
        let body = json!({"num_uses": limit, "ttl": "240h", "no_parent": true, "policies": ["default"]});
        let Ok(reply) = actor.ask(Request::new("POST", "auth/token/create").with_body(body)) else { return };
        let Some(secret) = reply.body["auth"]["client_token"].as_str() else { return };
        let name = format!("t{}-{}", actor.slot, actor.steps);
        let token = Token { name, secret: secret.to_owned(), limit, calls_left: limit + limit / 2 + MORE };
        self.current.lock().unwrap_or_else(PoisonError::into_inner).push(token);
    }
}

fn spend(actor: &mut Actor<'_>, name: &str, secret: &str, limit: i64) {
    let begun = actor.begin("use", Value::pair(name, limit));
    // What its policy refuses takes a use as well.
    let path = if actor.rng.below(4) == 0 { "sys/mounts" } else { "auth/token/lookup-self" };
    let request = Request::new("GET", path).with_token(secret);
    let outcome = match Outcome::of(actor.ask_bare(&request), true, |reply| reply.status == 403) {
        Outcome::Fail(_, Some(reply)) if !reply.body["errors"].to_string().contains("invalid token") => Outcome::Ok(reply),
        Outcome::Fail(_, Some(reply)) => Outcome::Fail(check::EXHAUSTED.to_owned(), Some(reply)),
        outcome => outcome,
    };
    actor.end(&begun, &outcome, |_| Ok(Value::pair(name, limit)));
}
