//! Tokens that live for seconds: each ends when it should; none lives on, none ends early.
//!
//! The product has no engine yet whose credentials live elsewhere. So a token stands for the credential, and looking it up for asking the
//! backend: seen alive is *not revoked*, refused is *revoked*, at some time between the last look that saw it alive and the refusal.
//! Renewals extend, revocations end.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::json;

use crate::check::{Verdict, lease as check};
use crate::client::http::Request;
use crate::client::outcome::{Outcome, usual_refusal};
use crate::core::{History, Kind, Value};

use super::actor::Actor;
use super::{Workload, decided};

/// Whole seconds.
const TTLS: &[i64] = &[2, 4, 8];
/// After its end a token is looked for this long: failover, and the work of revoking.
const LATE: Duration = Duration::from_secs(12);

struct Token {
    name: String,
    secret: String,
    /// Nanoseconds of the history at which it ends at the latest, as far as is known.
    end: u64,
    /// When it was last asked for and seen alive.
    seen: u64,
}

/// The workload.
#[derive(Default)]
pub struct Leases {
    alive: Mutex<Vec<Token>>,
}

impl Workload for Leases {
    fn name(&self) -> &'static str {
        "lease"
    }

    fn step(&self, actor: &mut Actor<'_>) {
        let (token, is_many) = {
            let mut alive = self.alive.lock().unwrap_or_else(PoisonError::into_inner);
            let is_many = alive.len() > 24;
            let at = if alive.is_empty() { None } else { Some(actor.rng.index(alive.len())) };
            (at.map(|at| alive.swap_remove(at)), is_many)
        };
        let dice = actor.rng.below(20);
        match token {
            Some(token) if is_many || dice < 14 => self.look(actor, token),
            Some(token) if dice < 16 => self.renew(actor, token),
            Some(token) if dice < 17 => self.revoke(actor, token),
            token => {
                self.alive.lock().unwrap_or_else(PoisonError::into_inner).extend(token);
                self.create(actor);
            }
        }
    }

    fn finish(&self, actor: &mut Actor<'_>) {
        // Until the last has ended, or is late.
        for _ in 0..400 {
            let token = self.alive.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some(token) = token else { return };
            let is_late = token.end + u64::try_from(LATE.as_nanos()).unwrap_or(u64::MAX) < actor.now();
            self.look(actor, token);
            if is_late {
                // At the front, if it lives on: enough was seen of it.
                let mut alive = self.alive.lock().unwrap_or_else(PoisonError::into_inner);
                alive.first().is_some_and(|token| token.end < actor.now()).then(|| alive.remove(0));
            } else {
                std::thread::sleep(Duration::from_millis(50));
            }
        }
    }

    fn check(&self, history: &History) -> Verdict {
        // Ends are judged by the active node's wall clock: while that was off, they are off by as much.
        let jumps = history.ops.iter().filter(|op| op.f == "clock").filter_map(|op| op.value.as_int());
        let off = Duration::from_secs(jumps.map(i64::unsigned_abs).max().unwrap_or(0));
        let options = check::Options { early: Duration::from_millis(1100) + off, late: LATE + off, orphan: Duration::from_secs(60) + off };
        decided(self.name(), check::check(history, options))
    }
}

fn named<T: Into<Value>>(entries: impl IntoIterator<Item = (&'static str, T)>) -> Value {
    Value::map(entries)
}

impl Leases {
    fn keep(&self, token: Token) {
        // At the front: the oldest is looked at last.
        self.alive.lock().unwrap_or_else(PoisonError::into_inner).insert(0, token);
    }

    fn create(&self, actor: &mut Actor<'_>) {
        let name = format!("l{}-{}", actor.slot, actor.steps);
        let ttl = actor.rng.pick(TTLS).copied().unwrap_or(4);
        let begun = actor.begin("lease", named([("lease", name.as_str())]));
        let seen = actor.now();
        let body = json!({"ttl": format!("{ttl}s"), "policies": ["default"]});
        let outcome = Outcome::of(actor.ask(Request::new("POST", "auth/token/create").with_body(body)), true, usual_refusal);
        let mut secret = None;
        if let Outcome::Ok(reply) = &outcome {
            secret = reply.body["auth"]["client_token"].as_str().map(str::to_owned);
        }
        if secret.is_some() {
            actor.note("backend-create", named([("credential", name.as_str())]));
        }
        actor.end(&begun, &outcome, |_| {
            Ok(named([("lease", Value::from(name.as_str())), ("credential", name.as_str().into()), ("ttl", (ttl * 1000).into())]))
        });
        if let Some(secret) = secret {
            let end = actor.now() + u64::try_from(ttl).unwrap_or(0) * 1_000_000_000;
            self.keep(Token { name, secret, end, seen });
        }
    }

    /// Asks whether it lives. A refusal says that it ended before the answer, and after it was last seen alive: nobody may have looked for
    /// long, and a request may wait for long while nodes are away.
    fn look(&self, actor: &mut Actor<'_>, mut token: Token) {
        let asked_at = actor.now();
        match actor.ask_bare(&Request::new("GET", "auth/token/lookup-self").with_token(&token.secret)) {
            Ok(reply) if reply.status == 403 => {
                let fact = actor.fact("backend-revoke", named([("credential", token.name.as_str())]));
                actor.tell(fact.with("since", token.seen));
            }
            reply => {
                if reply.is_ok_and(|reply| reply.status == 200) {
                    token.seen = asked_at;
                }
                self.keep(token);
            }
        }
    }

    fn renew(&self, actor: &mut Actor<'_>, mut token: Token) {
        let begun = actor.begin("renew", named([("lease", token.name.as_str())]));
        let request = Request::new("POST", "auth/token/renew-self").with_token(&token.secret).with_body(json!({"increment": "8s"}));
        let outcome = Outcome::of(actor.ask_bare(&request), true, usual_refusal);
        let mut ttl = 0;
        let kind = actor.end(&begun, &outcome, |reply| {
            ttl = reply.body["auth"]["lease_duration"].as_i64().ok_or_else(|| format!("no duration in {}", reply.body))?;
            Ok(named([("lease", Value::from(token.name.as_str())), ("ttl", (ttl * 1000).into())]))
        });
        if kind != Kind::Fail {
            token.end = token.end.max(actor.now() + u64::try_from(ttl.max(8)).unwrap_or(0) * 1_000_000_000);
        }
        self.keep(token);
    }

    fn revoke(&self, actor: &mut Actor<'_>, token: Token) {
        let begun = actor.begin("revoke", named([("lease", token.name.as_str())]));
        let request = Request::new("POST", "auth/token/revoke").with_body(json!({ "token": token.secret }));
        let outcome = Outcome::of(actor.ask(request), true, usual_refusal);
        actor.end(&begun, &outcome, |_| Ok(named([("lease", token.name.as_str())])));
        self.keep(token);
    }
}
