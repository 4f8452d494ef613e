//! What clients try that must not be: to get around a policy by another spelling of a path, and to live longer than was given.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use crate::clients::{Clients, Told};
use crate::net::now;
use crate::operator::{BRIEF, OPEN, PASSWORD, READER, SHUT};
use crate::plan::Fault;
use crate::rng::Rng;
use crate::trace;

/// Lives of tokens that are tried to the end, in seconds: at first, and with all renewals.
pub const LIFE: (u64, u64) = (3, 5);
/// What is asked for with each renewal.
const MORE: Duration = Duration::from_secs(3);

impl Clients {
    /// Asks for what a policy does not allow, by ways that lead through what it allows.
    pub async fn go_around(self: Arc<Self>, cluster: usize, mut rng: Rng) {
        let body = json!({ "policies": [OPEN], "no_default_policy": true, "ttl": "1h" });
        let told = self.told(self.any_host(cluster, &mut rng), "POST", "auth/token/create", &self.token(cluster), &body).await;
        let Some(token) = told.token() else { return };
        self.want_more(cluster, &token, &mut rng).await;
        self.take_one_id(cluster, &mut rng).await;
        let mut ways =
            vec!["", "open/shut/", "open/../", "open/x/../../", "open/%2e%2e/", "open/..%2f", "open/./../", "open//../", "OPEN/../"];
        // Deeper than a + reaches, and below or beside what is meant alone.
        ways.extend(["one/x/", "one/x/y/", "one/", "alone/", "alone"]);
        for _ in 0..3 {
            let way = rng.pick(&ways);
            let (method, body) = *rng.pick(&[("GET", "null"), ("POST", r#"{"data":{"v":-1}}"#), ("LIST", "null"), ("DELETE", "null")]);
            let name = if *way == "one/" { "/x" } else { "r" };
            let path = format!("kv/data/{way}{name}{}", rng.below(self.world.plan.keys));
            let body = serde_json::from_str(body).expect("a text of ours");
            match self.told(self.any_host(cluster, &mut rng), method, &path, &token, &body).await {
                Told::Done(_) => self.world.fail(format!("{method} {path} was done for a token that may use kv/data/open/ only")),
                Told::Refused(404, text) if text == "[]" => self.world.fail(format!("{method} {path} was allowed to such a token")),
                _ => {}
            }
        }
    }

    /// Has a token make others that may do what it may not, and one that may do less than each of its policies.
    async fn want_more(&self, cluster: usize, token: &str, rng: &mut Rng) {
        let asked = *rng.pick(&[r#"{"policies":["root"]}"#, r#"{"policies":["reader"]}"#, r#"{"no_parent":true}"#, r#"{"period":"1h"}"#]);
        let body = serde_json::from_str(asked).expect("a text of ours");
        if let Told::Done(answer) = self.told(self.any_host(cluster, rng), "POST", "auth/token/create", token, &body).await {
            self.world.fail(format!("a token made one for which it asked {asked}: {answer}"));
        }
        let both = json!({ "policies": [OPEN, SHUT], "no_default_policy": true, "ttl": "1h" });
        let told = self.told(self.any_host(cluster, rng), "POST", "auth/token/create", &self.token(cluster), &both).await;
        let Some(shut) = told.token() else { return };
        let told = self.told(self.any_host(cluster, rng), "GET", "kv/data/open/x", &shut, &serde_json::Value::Null).await;
        if matches!(&told, Told::Refused(404, text) if text == "[]") {
            self.world.fail("what one policy denies was allowed by another".to_owned());
        }
    }

    /// Has several tokens made at once that want the same id: one may.
    async fn take_one_id(&self, cluster: usize, rng: &mut Rng) {
        let (root, body) = (self.token(cluster), json!({ "id": format!("own-{}", self.fresh()), "policies": ["default"], "ttl": "1h" }));
        let hosts: Vec<_> = (0..3).map(|_| self.any_host(cluster, rng)).collect();
        let made = hosts.into_iter().map(|host| self.told(host, "POST", "auth/token/create", &root, &body));
        let made = futures::future::join_all(made).await;
        let made = made.iter().filter(|told| matches!(told, Told::Done(_))).count();
        if made > 1 {
            self.world.fail(format!("{made} tokens were made with one id"));
        }
    }

    /// Renews a token as long as that goes, and asks whether it still lives: until the end that the last renewal gave it, and never after the
    /// last of all.
    pub async fn outlive(self: Arc<Self>, cluster: usize, mut rng: Rng) {
        // Which of the clocks counts is not known here: with wrong ones neither end is.
        if self.world.plan.may(Fault::Clock) {
            return;
        }
        let belief = self.world.belief(cluster);
        let (ttl, max) = LIFE;
        // Limits of the token's own, or of the mount that a user came by; or it is one that cannot be renewed.
        let (path, body, max) = match rng.below(10) {
            0..4 => (format!("auth/{BRIEF}/login/{READER}"), json!({ "password": PASSWORD }), max),
            4..6 => ("auth/token/create".to_owned(), json!({ "policies": ["default"], "ttl": ttl, "type": "batch" }), ttl),
            _ => ("auth/token/create".to_owned(), json!({ "policies": ["default"], "ttl": ttl, "explicit_max_ttl": max }), max),
        };
        let before = now();
        let told = self.told(self.any_host(cluster, &mut rng), "POST", &path, &self.token(cluster), &body).await;
        let Some(token) = told.token() else { return };
        let (mut good_until, last_end) = (before + Duration::from_secs(ttl), now() + Duration::from_secs(max));
        while now() < last_end + Duration::from_secs(2) {
            tokio::time::sleep(Duration::from_millis(rng.between(50, 900))).await;
            let host = self.any_host(cluster, &mut rng);
            let renews = max > ttl && rng.permille(500);
            let (method, path, body) = match renews {
                true => ("POST", "auth/token/renew-self", json!({ "increment": MORE.as_secs() })),
                false => ("GET", "auth/token/lookup-self", serde_json::Value::Null),
            };
            let asked = now();
            match self.told(host, method, path, &token, &body).await {
                Told::Done(answer) if asked >= last_end => {
                    let late = (asked - last_end).as_millis();
                    self.world.fail(format!("a token was good {late} ms after the end of its life, at {}: {answer}", trace::name(host)));
                }
                Told::Done(_) if renews => good_until = good_until.max((asked + MORE).min(before + Duration::from_secs(max))),
                Told::Refused(403, why) if now() < good_until && self.world.still_believes(cluster, belief) => {
                    let early = (good_until - now()).as_millis();
                    self.world.fail(format!("a token was not good {early} ms before its end, at {}: {why}", trace::name(host)));
                }
                _ => {}
            }
        }
    }
}
