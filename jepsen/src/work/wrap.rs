//! Wrapped answers that many try to open at once, through all nodes: one may. Some are wrapped anew, which is the one opening of the token
//! that they were under, and makes another.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::json;

use crate::check::{Valid, Verdict, unwrap as check};
use crate::client::http::{Failure, Reply, Request};
use crate::client::outcome::{Outcome, usual_refusal};
use crate::core::{History, Value};

use super::actor::Actor;
use super::{Workload, decided};

/// Tries of each token.
const TRIES: usize = 20;

#[derive(Clone)]
struct Wrapped {
    name: String,
    secret: String,
    payload: i64,
    tries: usize,
}

/// The workload.
#[derive(Default)]
pub struct Wrap {
    current: Mutex<Vec<Wrapped>>,
}

impl Workload for Wrap {
    fn name(&self) -> &'static str {
        "wrap"
    }

    fn processes(&self, _world: &crate::world::World) -> usize {
        TRIES
    }

    fn step(&self, actor: &mut Actor<'_>) {
        let token = {
            let mut current = self.lock();
            current.iter_mut().for_each(|token| token.tries -= 1);
            let token = if current.is_empty() { None } else { Some(current[actor.rng.index(current.len())].clone()) };
            current.retain(|token| token.tries > 0);
            token
        };
        match token {
            Some(token) if actor.rng.below(12) == 0 => self.wrap_anew(actor, &token),
            Some(token) => unwrap(actor, &token),
            None => self.wrap(actor),
        }
    }

    fn finish(&self, actor: &mut Actor<'_>) {
        let left = std::mem::take(&mut *self.lock());
        for token in left {
            unwrap(actor, &token);
            unwrap(actor, &token);
        }
    }

    fn check(&self, history: &History) -> Verdict {
        let verdict = decided(self.name(), check::check(history));
        // A token that nobody came to open proves nothing and breaks nothing, if others did.
        let (told, silent): (Vec<_>, Vec<_>) = verdict.children.into_iter().partition(|child| child.valid != Valid::Unknown);
        Verdict::all(self.name(), if told.is_empty() { silent } else { told })
    }
}

impl Wrap {
    fn lock(&self) -> MutexGuard<'_, Vec<Wrapped>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wrap(&self, actor: &mut Actor<'_>) {
        let (name, payload) = (new_name(actor), i64::try_from(actor.steps * 1000 + actor.slot as u64).unwrap_or(i64::MAX));
        let begun = actor.begin("wrap", Value::pair(name.as_str(), payload));
        let request = Request::new("POST", "sys/wrapping/wrap").with_header("X-Vault-Wrap-TTL", "240h").with_body(json!({ "v": payload }));
        let outcome = Outcome::of(actor.ask(request), true, usual_refusal);
        let mut secret = None;
        actor.end(&begun, &outcome, |reply| {
            secret = Some(wrapping_token(reply)?);
            Ok(Value::pair(name.as_str(), payload))
        });
        self.lock().extend(secret.map(|secret| Wrapped { name, secret, payload, tries: TRIES }));
    }

    fn wrap_anew(&self, actor: &mut Actor<'_>, token: &Wrapped) {
        let begun = actor.begin("unwrap", Value::pair(token.name.as_str(), Value::Nil));
        let request = Request::new("POST", "sys/wrapping/rewrap").with_token(&token.secret).with_body(json!({}));
        let outcome = told(actor.ask_bare(&request));
        let mut secret = None;
        actor.end(&begun, &outcome, |reply| {
            secret = Some(wrapping_token(reply)?);
            Ok(Value::pair(token.name.as_str(), token.payload))
        });
        let Some(secret) = secret else { return };
        let wrapped = Wrapped { name: new_name(actor), secret, payload: token.payload, tries: TRIES };
        let begun = actor.begin("wrap", Value::pair(wrapped.name.as_str(), wrapped.payload));
        actor.end(&begun, &outcome, |_| Ok(Value::pair(wrapped.name.as_str(), wrapped.payload)));
        self.lock().push(wrapped);
    }
}

fn new_name(actor: &Actor<'_>) -> String {
    format!("w{}-{}", actor.slot, actor.steps)
}

/// The token that opens what was wrapped.
fn wrapping_token(reply: &Reply) -> Result<String, String> {
    reply.body["wrap_info"]["token"].as_str().map(str::to_owned).ok_or_else(|| "no wrapping token".to_owned())
}

/// A token that was opened is refused as bad.
fn told(answer: Result<Reply, Failure>) -> Outcome {
    match Outcome::of(answer, true, |reply| matches!(reply.status, 400 | 403)) {
        Outcome::Fail(_, Some(reply)) => Outcome::Fail(check::GONE.to_owned(), Some(reply)),
        outcome => outcome,
    }
}

fn unwrap(actor: &mut Actor<'_>, token: &Wrapped) {
    let begun = actor.begin("unwrap", Value::pair(token.name.as_str(), Value::Nil));
    let request = Request::new("POST", "sys/wrapping/unwrap").with_token(&token.secret).with_body(json!({}));
    let outcome = told(actor.ask_bare(&request));
    actor.end(&begun, &outcome, |reply| {
        let payload = reply.body["data"]["v"].as_i64().ok_or_else(|| format!("no payload in {}", reply.body))?;
        Ok(Value::pair(token.name.as_str(), payload))
    });
}
