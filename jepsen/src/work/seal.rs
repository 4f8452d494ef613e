//! Keys that change while everything works: rotations, rekeys, and active nodes that are sealed and opened again.
//!
//! Old shares or new ones open the store: never neither, and the old ones no longer once the change was acknowledged. Other workloads
//! show whether everything can still be decrypted. New shares are verified: where the answer to that is lost, the old ones are in force
//! or the new ones, and both are at hand.

use std::sync::{Mutex, PoisonError};

use serde_json::{Value as Json, json};

use crate::check::Verdict;
use crate::client::http::{Failure, Request};
use crate::client::outcome::{Outcome, usual_refusal};
use crate::core::{History, Kind, Value};
use crate::world::World;
use crate::world::node::Node;

use super::Workload;
use super::actor::Actor;

/// The workload.
#[derive(Default)]
pub struct Seal {
    /// Shares that an acknowledged rekey replaced.
    old: Mutex<Vec<String>>,
}

impl Workload for Seal {
    fn name(&self) -> &'static str {
        "seal"
    }

    /// Keys change seldom.
    fn enough(&self) -> usize {
        3
    }

    /// One: two rekeys at once cancel each other.
    fn processes(&self, _world: &World) -> usize {
        1
    }

    fn step(&self, actor: &mut Actor<'_>) {
        match actor.rng.below(4) {
            0 => self.rekey(actor),
            1 | 2 => rotate(actor),
            _ => reopen(actor),
        }
        // Keys change seldom even here.
        std::thread::sleep(std::time::Duration::from_millis(actor.rng.between(300, 1500)));
    }

    /// Seals a node and tries what should not open it, then what should.
    fn finish(&self, actor: &mut Actor<'_>) {
        let Some(cluster) = actor.stage.world.cluster(&actor.node().cluster) else { return };
        let old = self.old.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Ok(node) = cluster.await_active() else { return };
        node.put("sys/seal", &cluster.token(), json!({}));
        let keys = cluster.keys();
        let open = |keys: &[String]| {
            keys.iter().any(|key| node.put("sys/unseal", "", json!({ "key": key })).is_some_and(|reply| reply.body["sealed"] == false))
        };
        let tries = [("old", old), ("one share", keys[..1.min(keys.len())].to_vec()), ("new", keys.clone())];
        for (what, keys) in tries.into_iter().filter(|(_, keys)| !keys.is_empty()) {
            node.put("sys/unseal", "", json!({"reset": true}));
            actor.note("open", Value::map([("keys", Value::from(what)), ("opened", open(&keys).into())]));
        }
        // Whatever came of it, the next reads need the node.
        let _ = node.unseal(|| keys.clone(), std::time::Duration::from_secs(30));
    }

    fn check(&self, history: &History) -> Verdict {
        let opened = |what: &str| {
            let lines = history.ops.iter().filter(|op| op.f == "open" && op.value.get("keys").and_then(Value::as_str) == Some(what));
            lines.map(|op| (op.clone(), op.value.get("opened").and_then(Value::as_bool) == Some(true))).collect::<Vec<_>>()
        };
        let rekeys = history.ops.iter().filter(|op| op.f == "rekey" && op.kind == Kind::Ok).count();
        let rotations = history.ops.iter().filter(|op| op.f == "rotate" && op.kind == Kind::Ok).count();
        let witness = |tries: Vec<(crate::core::Op, bool)>, bad: bool| {
            tries.into_iter().filter(|(_, opened)| *opened == bad).map(|(op, _)| op).collect::<Vec<_>>()
        };
        let (old, few, new) = (witness(opened("old"), true), witness(opened("one share"), true), witness(opened("new"), false));
        let told = format!("{rekeys} rekeys and {rotations} rotations were acknowledged");
        let rule = |name: &str, wrong: Vec<_>, text: &str| match wrong.is_empty() {
            true => Verdict::valid(name, told.clone()),
            false => Verdict::invalid(name, text, wrong),
        };
        if opened("new").is_empty() || rekeys == 0 {
            return Verdict::unknown("seal", format!("{told}: nothing to tell"));
        }
        Verdict::all(
            "seal",
            vec![
                rule("old shares", old, "shares that were replaced open a node"),
                rule("too few shares", few, "one share of two opens a node"),
                rule("new shares", new, "the shares that were given out do not open a node"),
            ],
        )
    }
}

impl Seal {
    /// New shares for the same root key. Where its end is not known, both sets are tried from then on.
    fn rekey(&self, actor: &mut Actor<'_>) {
        let Some(cluster) = actor.stage.world.cluster(&actor.node().cluster) else { return };
        let keys = cluster.keys();
        let begun = actor.begin("rekey", Value::Nil);
        let (outcome, fresh) = match cluster.active() {
            Some(active) => rekeyed(active, &cluster.token(), &keys),
            None => (Outcome::Fail("nobody is active".to_owned(), None), Vec::new()),
        };
        match (&outcome, fresh.is_empty()) {
            (Outcome::Ok(_), false) => {
                cluster.change(|secrets| secrets.keys = fresh);
                *self.old.lock().unwrap_or_else(PoisonError::into_inner) = keys;
            }
            (Outcome::Info(..), false) => cluster.change(|secrets| secrets.keys.extend(fresh)),
            _ => {}
        }
        actor.end(&begun, &outcome, |_| Ok(Value::Nil));
    }
}

/// What became of a rekey, and the new shares, if they may be in force.
fn rekeyed(node: &Node, token: &str, keys: &[String]) -> (Outcome, Vec<String>) {
    let ask = |request: Request| node.ask(&request.with_token(token)).ok_or_else(|| Failure::Unknown("no answer".to_owned()));
    // One that was left by an earlier try; there may be none.
    let _ = ask(Request::new("DELETE", "sys/rekey/init"));
    let body = json!({"secret_shares": 3, "secret_threshold": 2, "require_verification": true});
    let started = match Outcome::of(ask(Request::new("PUT", "sys/rekey/init").with_body(body)), false, usual_refusal) {
        Outcome::Ok(reply) => reply,
        other => return (other, Vec::new()),
    };
    // Nothing is in force before the verification ends: until then, what is lost did not happen.
    let made = match give(&ask, "sys/rekey/update", keys, &started.body["nonce"], false) {
        Outcome::Ok(reply) => reply,
        other => return (other, Vec::new()),
    };
    let text = |value: &Json| value.as_str().unwrap_or_default().to_owned();
    let fresh: Vec<String> = made.body["keys_base64"].as_array().map(|keys| keys.iter().take(2).map(text).collect()).unwrap_or_default();
    (give(&ask, "sys/rekey/verify", &fresh, &made.body["verification_nonce"], true), fresh)
}

/// Gives shares until they are enough. A set that is no longer in force is refused with its last, and the next one tried.
fn give(
    ask: &dyn Fn(Request) -> Result<crate::client::http::Reply, Failure>,
    path: &str,
    keys: &[String],
    nonce: &Json,
    changes: bool,
) -> Outcome {
    for (n, key) in keys.iter().enumerate() {
        let is_last = n + 1 == keys.len();
        let answer = ask(Request::new("PUT", path).with_body(json!({ "key": key, "nonce": nonce })));
        match Outcome::of(answer, changes && is_last, usual_refusal) {
            Outcome::Ok(reply) if reply.body["complete"] == true => return Outcome::Ok(reply),
            Outcome::Ok(_) => {}
            Outcome::Fail(..) if !is_last => {}
            other => return other,
        }
    }
    Outcome::Fail("the shares were not enough".to_owned(), None)
}

fn rotate(actor: &mut Actor<'_>) {
    let begun = actor.begin("rotate", Value::Nil);
    let outcome = Outcome::of(actor.ask(Request::new("PUT", "sys/rotate").with_body(json!({}))), true, usual_refusal);
    actor.end(&begun, &outcome, |_| Ok(Value::Nil));
}

/// Seals the active node and opens it again once another has taken over.
fn reopen(actor: &mut Actor<'_>) {
    let Some(cluster) = actor.stage.world.cluster(&actor.node().cluster) else { return };
    let Some(node) = cluster.active() else { return };
    let sealed = node.put("sys/seal", &cluster.token(), json!({})).map(|reply| u32::from(reply.status));
    let opened = node.unseal(|| cluster.keys(), std::time::Duration::from_secs(20)).is_ok();
    actor.note("reopen", Value::map([("sealed", Value::from(sealed)), ("opened", opened.into())]));
}
