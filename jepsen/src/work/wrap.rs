//! Wrapped answers that many try to open at once, through all nodes: one may.

use std::sync::{Mutex, PoisonError};

use serde_json::json;

use crate::check::{Valid, Verdict, unwrap as check};
use crate::client::http::Request;
use crate::client::outcome::Outcome;
use crate::core::{History, Value};

use super::actor::Actor;
use super::{Workload, decided};

/// Tries of each token.
const TRIES: usize = 20;

/// The workload.
#[derive(Default)]
pub struct Wrap {
    /// Name, token, tries left.
    current: Mutex<Vec<(String, String, usize)>>,
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
            let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
            current.iter_mut().for_each(|token| token.2 -= 1);
            let token = current.first().map(|token| (token.0.clone(), token.1.clone()));
            current.retain(|token| token.2 > 0);
            token
        };
        match token {
            Some((name, secret)) => unwrap(actor, &name, &secret),
            None => self.wrap(actor),
        }
    }

    fn finish(&self, actor: &mut Actor<'_>) {
        let left = std::mem::take(&mut *self.current.lock().unwrap_or_else(PoisonError::into_inner));
        for (name, secret, _) in left {
            unwrap(actor, &name, &secret);
            unwrap(actor, &name, &secret);
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
    fn wrap(&self, actor: &mut Actor<'_>) {
        let name = format!("w{}-{}", actor.slot, actor.steps);
        let payload = i64::try_from(actor.steps * 1000 + actor.slot as u64).unwrap_or(i64::MAX);
        let begun = actor.begin("wrap", Value::pair(name.as_str(), payload));
        let request = Request::new("POST", "sys/wrapping/wrap").with_header("X-Vault-Wrap-TTL", "240h").with_body(json!({ "v": payload }));
        let outcome = Outcome::of(actor.ask(request), true, crate::client::outcome::usual_refusal);
        let mut secret = None;
        actor.end(&begun, &outcome, |reply| {
            secret = reply.body["wrap_info"]["token"].as_str().map(str::to_owned);
            secret.as_ref().map(|_| Value::pair(name.as_str(), payload)).ok_or_else(|| "no wrapping token".to_owned())
        });
        if let Some(secret) = secret {
            self.current.lock().unwrap_or_else(PoisonError::into_inner).push((name, secret, TRIES));
        }
    }
}

fn unwrap(actor: &mut Actor<'_>, name: &str, secret: &str) {
    let begun = actor.begin("unwrap", Value::pair(name, Value::Nil));
    let request = Request::new("POST", "sys/wrapping/unwrap").with_token(secret).with_body(json!({}));
    let outcome = match Outcome::of(actor.ask_bare(&request), true, |reply| matches!(reply.status, 400 | 403)) {
        Outcome::Fail(_, Some(reply)) => Outcome::Fail(check::GONE.to_owned(), Some(reply)),
        outcome => outcome,
    };
    actor.end(&begun, &outcome, |reply| {
        let payload = reply.body["data"]["v"].as_i64().ok_or_else(|| format!("no payload in {}", reply.body))?;
        Ok(Value::pair(name, payload))
    });
}
