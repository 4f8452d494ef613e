//! Families of tokens, and logins: who goes when one of them is revoked, in whatever way, through whatever node, and who stays.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Value as Json, json};

use crate::check::{Verdict, kin as check};
use crate::client::http::Request;
use crate::client::outcome::{Outcome, usual_refusal};
use crate::core::{History, Kind, Value};

use super::actor::Actor;
use super::stage::Stage;
use super::{Workload, decided};

/// So many are known at once.
const MOST_TOKENS: usize = 24;
const MOST_MOUNTS: usize = 2;
/// A token that was asked so often is forgotten, good or over.
const TRIES: usize = 12;
/// One that was over is asked so often again.
const TRIES_AFTER: usize = 2;
/// All service tokens have it; that of a login may not be `root`.
const POLICY: &str = "family";
const RULES: &str = "path \"auth/token/create\" { capabilities = [\"update\", \"sudo\"] }";
const USER: &str = "u";
const PASSWORD: &str = "right";

#[derive(Clone)]
struct Token {
    name: String,
    secret: String,
    accessor: String,
    is_batch: bool,
    tries: usize,
}

/// The workload.
#[derive(Default)]
pub struct Families {
    tokens: Mutex<Vec<Token>>,
    /// Paths of auth mounts.
    mounts: Mutex<Vec<String>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Workload for Families {
    fn name(&self) -> &'static str {
        "family"
    }

    fn set_up(&self, stage: &Stage) -> Result<(), String> {
        stage.world.first().must(&format!("sys/policies/acl/{POLICY}"), &json!({ "policy": RULES })).map(drop)
    }

    fn step(&self, actor: &mut Actor<'_>) {
        let count = lock(&self.tokens).len();
        match actor.rng.below(if count < MOST_TOKENS / 2 { 14 } else { 40 }) {
            0..8 if count < MOST_TOKENS => self.create(actor),
            8..12 if count < MOST_TOKENS => self.let_in(actor),
            37 => self.revoke_mount(actor),
            38.. => self.revoke(actor),
            _ => self.use_any(actor),
        }
    }

    fn finish(&self, actor: &mut Actor<'_>) {
        let tokens = lock(&self.tokens).clone();
        for token in &tokens {
            use_once(actor, token);
        }
    }

    fn check(&self, history: &History) -> Verdict {
        decided(self.name(), check::check(history))
    }
}

impl Families {
    fn any(&self, actor: &mut Actor<'_>) -> Option<Token> {
        let tokens = lock(&self.tokens);
        actor.rng.pick(&tokens).cloned()
    }

    fn use_any(&self, actor: &mut Actor<'_>) {
        let token = {
            let mut tokens = lock(&self.tokens);
            if tokens.is_empty() {
                return;
            }
            let at = actor.rng.index(tokens.len());
            tokens[at].tries -= 1;
            if tokens[at].tries == 0 { tokens.swap_remove(at) } else { tokens[at].clone() }
        };
        if use_once(actor, &token) == Kind::Fail {
            let mut tokens = lock(&self.tokens);
            tokens.iter_mut().filter(|other| other.name == token.name).for_each(|over| over.tries = over.tries.min(TRIES_AFTER));
        }
    }

    /// A token's child, or nobody's.
    fn create(&self, actor: &mut Actor<'_>) {
        let parent = self.any(actor).filter(|parent| !parent.is_batch);
        let is_orphan = parent.is_none() || actor.rng.below(6) == 0;
        let is_batch = !is_orphan && actor.rng.below(4) == 0;
        let kind = if is_batch { "batch" } else { "service" };
        let policies = if is_batch { ["default"] } else { [POLICY] };
        let body = json!({"policies": policies, "ttl": "24h", "type": kind, "no_parent": is_orphan});
        let secret = parent.as_ref().map_or_else(|| actor.token(), |parent| parent.secret.clone());
        let request = Request::new("POST", "auth/token/create").with_token(&secret).with_body(body);
        let parent = parent.filter(|_| !is_orphan).map_or(Value::Nil, |parent| parent.name.into());
        self.make(actor, &request, parent, is_batch);
    }

    /// A login, or a mount for logins where there are few.
    fn let_in(&self, actor: &mut Actor<'_>) {
        let mount = {
            let mounts = lock(&self.mounts);
            if mounts.len() < MOST_MOUNTS { None } else { actor.rng.pick(&mounts).cloned() }
        };
        let Some(mount) = mount else { return self.mount(actor) };
        let request = Request::new("POST", format!("auth/{mount}/login/{USER}")).with_body(json!({ "password": PASSWORD }));
        self.make(actor, &request, Value::from(mount), false);
    }

    fn mount(&self, actor: &mut Actor<'_>) {
        let mount = format!("family{}-{}", actor.slot, actor.steps);
        let steps: [(String, Json); 2] = [
            (format!("sys/auth/{mount}"), json!({"type": "userpass"})),
            (format!("auth/{mount}/users/{USER}"), json!({"password": PASSWORD, "token_policies": [POLICY], "token_ttl": "24h"})),
        ];
        let mut told = |(path, body)| Outcome::of(actor.ask(Request::new("POST", path).with_body(body)), true, usual_refusal);
        if steps.into_iter().all(|step| matches!(told(step), Outcome::Ok(_))) {
            lock(&self.mounts).push(mount);
        }
    }

    /// Asks for a token, and keeps it.
    fn make(&self, actor: &mut Actor<'_>, request: &Request, parent: Value, is_batch: bool) {
        let name = format!("f{}-{}", actor.slot, actor.steps);
        let kind = Value::keyword(if is_batch { "batch" } else { "service" });
        let value = Value::map([("token", Value::from(name.as_str())), ("parent", parent), ("type", kind)]);
        let begun = actor.begin("create", value.clone());
        let outcome = Outcome::of(actor.ask_bare(request), true, usual_refusal);
        let mut made = None;
        actor.end(&begun, &outcome, |reply| {
            let auth = &reply.body["auth"];
            let secret = auth["client_token"].as_str().ok_or("no token")?.to_owned();
            let accessor = auth["accessor"].as_str().unwrap_or_default().to_owned();
            made = Some(Token { name, secret, accessor, is_batch, tries: TRIES });
            Ok(value)
        });
        lock(&self.tokens).extend(made);
    }

    /// Ends a token, in one of the ways.
    fn revoke(&self, actor: &mut Actor<'_>) {
        let Some(token) = self.any(actor).filter(|token| !token.is_batch) else { return };
        let root = actor.token();
        let (path, by, body) = match actor.rng.below(4) {
            0 => ("revoke-self", token.secret.clone(), json!({})),
            1 => ("revoke-accessor", root, json!({"accessor": token.accessor})),
            2 => ("revoke-orphan", root, json!({"token": token.secret})),
            _ => ("revoke", root, json!({"token": token.secret})),
        };
        let way = if path == "revoke-orphan" { "alone" } else { "all" };
        let request = Request::new("POST", format!("auth/token/{path}")).with_token(&by).with_body(body);
        revoke(actor, &token.name, way, &request);
    }

    /// Ends all logins of a mount, with it or without.
    fn revoke_mount(&self, actor: &mut Actor<'_>) {
        let Some(mount) = actor.rng.pick(&lock(&self.mounts)).cloned() else { return };
        let root = actor.token();
        if actor.rng.below(2) == 0 {
            let request = Request::new("POST", format!("sys/leases/revoke-prefix/auth/{mount}/login")).with_body(json!({}));
            revoke(actor, &mount, "under", &request.with_token(&root));
            return;
        }
        let request = Request::new("DELETE", format!("sys/auth/{mount}")).with_token(&root);
        if revoke(actor, &mount, "all", &request) != Kind::Fail {
            lock(&self.mounts).retain(|other| *other != mount);
        }
    }
}

fn revoke(actor: &mut Actor<'_>, name: &str, way: &str, request: &Request) -> Kind {
    let value = Value::map([("token", Value::from(name)), ("way", Value::keyword(way))]);
    let begun = actor.begin("revoke", value.clone());
    let outcome = Outcome::of(actor.ask_bare(request), true, usual_refusal);
    actor.end(&begun, &outcome, |_| Ok(value))
}

fn use_once(actor: &mut Actor<'_>, token: &Token) -> Kind {
    let begun = actor.begin("use", token.name.as_str());
    let request = Request::new("GET", "auth/token/lookup-self").with_token(&token.secret);
    // Every policy that they have allows this much, so a refusal is of the token.
    let outcome = match Outcome::of(actor.ask_bare(&request), false, usual_refusal) {
        Outcome::Fail(_, Some(reply)) if reply.status == 403 => Outcome::Fail(check::REVOKED.to_owned(), Some(reply)),
        outcome => outcome,
    };
    actor.end(&begun, &outcome, |_| Ok(token.name.as_str().into()))
}
