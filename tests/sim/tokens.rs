//! What clients do with tokens: use them up, revoke their parents, open what they wrap, and leave them to their end.

use std::sync::Arc;
use std::time::Duration;

use coffer::core::RawRequest;
use jepsen::check::{unwrap, uses};
use jepsen::core::{Kind, Op, Value};
use serde_json::json;

use crate::clients::{Clients, REVOKED, Told, USES, WRAP};
use crate::net::{HostId, now};
use crate::operator::active;
use crate::plan::Fault;
use crate::rng::Rng;
use crate::transport::raw;

/// Life of tokens that are left to their end, in seconds; no other token has this one.
const SHORT: u64 = 2;

/// Waits for a while.
pub async fn rest(rng: &mut Rng, most_ms: u64) {
    tokio::time::sleep(Duration::from_millis(rng.between(0, most_ms))).await;
}

impl Clients {
    /// Makes a token for a few uses, and tries to use it more often than that, everywhere; at once, or for as long as others may take over.
    pub async fn use_up(self: Arc<Self>, cluster: usize, mut rng: Rng) {
        let limit = rng.between(1, 4);
        let belief = self.world.belief(cluster);
        let body = json!({ "policies": ["default"], "num_uses": limit, "ttl": "1h" });
        let told = self.told(self.any_host(cluster, &mut rng), "POST", "auth/token/create", &self.token(cluster), &body).await;
        let Some(token) = told.token() else { return };
        let name = self.fresh();
        let most_ms = *rng.pick(&[0, 0, 6000]);
        let tries = (0..limit + 2)
            .map(|_| self.use_once((cluster, belief), &token, Value::pair(name, limit), most_ms, Rng::new(rng.number(), "use")));
        futures::future::join_all(tries).await;
    }

    async fn use_once(&self, (cluster, belief): (usize, Option<u64>), token: &str, argument: Value, most_ms: u64, mut rng: Rng) {
        rest(&mut rng, most_ms).await;
        let mut process = self.histories.process();
        let begun = self.histories.record(USES, Op::invoke(process, "use", argument.clone()));
        let host = self.any_host(cluster, &mut rng);
        // A request that its policies refuse takes a use as well.
        let path = if rng.permille(300) { "kv/data/not-for-it" } else { "auth/token/lookup-self" };
        let (kind, why) = match self.told(host, "GET", path, token, &serde_json::Value::Null).await {
            Told::Done(_) => (Kind::Ok, String::new()),
            Told::Refused(403, why) if !why.contains("invalid token") => (Kind::Ok, String::new()),
            Told::Refused(403, _) if self.world.still_believes(cluster, belief) => (Kind::Fail, uses::EXHAUSTED.to_owned()),
            // All tokens of a cluster go when it is filled anew.
            Told::Refused(403, why) => (Kind::Info, why),
            told => told.outcome(),
        };
        self.histories.end(USES, &begun, kind, argument, &why, &mut process);
    }

    /// Has a token make another, revokes the first in some way, and tries the second: it went with the first, unless it is nobody's child.
    pub async fn end_family(self: Arc<Self>, cluster: usize, mut rng: Rng) {
        let kind = if rng.permille(300) { "batch" } else { "service" };
        let is_orphan = kind == "service" && rng.permille(250);
        let belief = self.world.belief(cluster);
        let body =
            |policy: &str, kind: &str, is_orphan: bool| json!({ "policies": [policy], "ttl": "1h", "type": kind, "no_parent": is_orphan });
        let host = self.any_host(cluster, &mut rng);
        let told = self.told(host, "POST", "auth/token/create", &self.token(cluster), &body("root", "service", false)).await;
        let (Some(parent), Some(accessor)) = (told.token(), told.accessor()) else { return };
        let told =
            self.told(self.any_host(cluster, &mut rng), "POST", "auth/token/create", &parent, &body("default", kind, is_orphan)).await;
        let Some(child) = told.token() else { return };
        rest(&mut rng, 1000).await;
        let root = self.token(cluster);
        let (way, by, body) = match rng.below(3) {
            0 => ("revoke-self", &parent, json!({})),
            1 => ("revoke", &root, json!({ "token": parent })),
            _ => ("revoke-accessor", &root, json!({ "accessor": accessor })),
        };
        let told = self.told(self.any_host(cluster, &mut rng), "POST", &format!("auth/token/{way}"), by, &body).await;
        if !matches!(told, Told::Done(_)) {
            return;
        }
        if is_orphan {
            return self.is_good((cluster, belief), &child, way, rng).await;
        }
        let name = Value::from(self.fresh());
        for _ in 0..3 {
            let mut process = self.histories.process();
            let begun = self.histories.record(REVOKED, Op::invoke(process, "use", name.clone()));
            let host = self.any_host(cluster, &mut rng);
            let (kind, why) = match self.told(host, "GET", "auth/token/lookup-self", &child, &serde_json::Value::Null).await {
                Told::Done(_) => (Kind::Ok, String::new()),
                Told::Refused(_, why) | Told::Unknown(why) => (Kind::Fail, why),
            };
            self.histories.end(REVOKED, &begun, kind, name.clone(), &why, &mut process);
            rest(&mut rng, 2000).await;
        }
    }

    /// An orphan outlives the token that made it.
    async fn is_good(&self, (cluster, belief): (usize, Option<u64>), orphan: &str, way: &str, mut rng: Rng) {
        rest(&mut rng, 2000).await;
        let host = self.any_host(cluster, &mut rng);
        let told = self.told(host, "GET", "auth/token/lookup-self", orphan, &serde_json::Value::Null).await;
        if matches!(told, Told::Refused(403, _)) && self.world.still_believes(cluster, belief) {
            self.world.fail(format!("an orphan went with the token that made it, after {way}"));
        }
    }

    /// Has `payload` wrapped for as long as `life`, in whole seconds.
    async fn wrap(&self, cluster: usize, payload: i64, life: Duration, rng: &mut Rng) -> Told {
        let mut request: RawRequest = raw("POST", "sys/wrapping/wrap", Some(&self.token(cluster)), &json!({ "v": payload }));
        request.headers.push(("x-vault-wrap-ttl".to_owned(), format!("{}s", life.as_secs()).into_bytes()));
        self.told_of(self.any_host(cluster, rng), request).await
    }

    /// Has an answer wrapped, and tries once to open it, about when its time is over.
    async fn leave_wrapped(&self, cluster: usize, mut rng: Rng) {
        // Which of the clocks counts is not known here.
        if self.world.plan.may(Fault::Clock) {
            return;
        }
        let (belief, life) = (self.world.belief(cluster), Duration::from_secs(SHORT + 1));
        let asked = now();
        let told = self.wrap(cluster, 1, life, &mut rng).await;
        let end = now() + life;
        let Some(secret) = told.wrapping_token() else { return };
        rest(&mut rng, 5000).await;
        // With the token that holds it, or with another.
        let root = self.token(cluster);
        let (token, body) = if rng.permille(500) { (secret.as_str(), json!({})) } else { (root.as_str(), json!({ "token": secret })) };
        let tried = now();
        match self.told(self.any_host(cluster, &mut rng), "POST", "sys/wrapping/unwrap", token, &body).await {
            Told::Done(_) if tried > end => {
                self.world.fail(format!("a wrapped answer opened {} ms after its end", (tried - end).as_millis()))
            }
            Told::Refused(400 | 403, why) if now() < asked + life && self.world.still_believes(cluster, belief) => {
                self.world.fail(format!("a wrapped answer was gone {} ms before its end: {why}", (asked + life - now()).as_millis()));
            }
            _ => {}
        }
    }

    /// Has an answer wrapped, which several try to open.
    pub async fn open_wrapped(self: Arc<Self>, cluster: usize, mut rng: Rng) {
        if rng.permille(250) {
            return self.leave_wrapped(cluster, rng).await;
        }
        let (name, payload) = (self.fresh(), self.fresh());
        let here = (cluster, self.world.belief(cluster));
        let mut process = self.histories.process();
        let both = Value::pair(name, payload);
        let begun = self.histories.record(WRAP, Op::invoke(process, "wrap", both.clone()));
        let told = self.wrap(cluster, payload, Duration::from_secs(3600), &mut rng).await;
        let Some(secret) = told.wrapping_token() else {
            return self.histories.end(WRAP, &begun, Kind::Info, both, "nothing to open", &mut process);
        };
        self.histories.end(WRAP, &begun, Kind::Ok, both, "", &mut process);
        let most_ms = *rng.pick(&[0, 0, 3000]);
        futures::future::join_all((0..3).map(|_| self.open_once(here, name, &secret, most_ms, Rng::new(rng.number(), "open")))).await;
    }

    async fn open_once(&self, (cluster, belief): (usize, Option<u64>), name: i64, secret: &str, most_ms: u64, mut rng: Rng) {
        rest(&mut rng, most_ms).await;
        let mut process = self.histories.process();
        let begun = self.histories.record(WRAP, Op::invoke(process, "unwrap", Value::pair(name, Value::Nil)));
        let told = self.told(self.any_host(cluster, &mut rng), "POST", "sys/wrapping/unwrap", secret, &json!({})).await;
        let (kind, payload, why) = match told {
            Told::Done(answer) => (Kind::Ok, answer["data"]["v"].as_i64().map_or(Value::Nil, Value::from), String::new()),
            Told::Refused(400 | 403, _) if self.world.still_believes(cluster, belief) => (Kind::Fail, Value::Nil, unwrap::GONE.to_owned()),
            Told::Refused(400 | 403, why) => (Kind::Info, Value::Nil, why),
            Told::Refused(_, why) => (Kind::Fail, Value::Nil, why),
            Told::Unknown(why) => (Kind::Info, Value::Nil, why),
        };
        self.histories.end(WRAP, &begun, kind, Value::pair(name, payload), &why, &mut process);
    }

    /// Makes tokens that nobody revokes: they have to end by themselves, whatever became of the answers.
    pub async fn leave_behind(&self, cluster: usize, host: HostId) {
        let (root, body) = (self.token(cluster), json!({ "policies": ["default"], "ttl": SHORT }));
        let some = (0..4).map(|_| self.told(host, "POST", "auth/token/create", &root, &body));
        futures::future::join_all(some).await;
    }

    /// Those of them that are there, and all other tokens that are over, by accessor.
    ///
    /// # Errors
    /// If the cluster does not tell now.
    pub async fn left_behind(&self, cluster: usize) -> Result<Vec<String>, String> {
        let host = active(&self.world, cluster).ok_or("nobody is active")?;
        let root = self.token(cluster);
        let listed = match self.told(host, "LIST", "auth/token/accessors", &root, &serde_json::Value::Null).await {
            Told::Done(listed) => listed,
            Told::Refused(_, why) | Told::Unknown(why) => return Err(why),
        };
        let mut left = Vec::new();
        for accessor in listed["data"]["keys"].as_array().into_iter().flatten().filter_map(|accessor| accessor.as_str()) {
            match self.told(host, "POST", "auth/token/lookup-accessor", &root, &json!({ "accessor": accessor })).await {
                // Those that were made while a clock was fast live as much longer.
                Told::Done(answer) if answer["data"]["creation_ttl"] == SHORT && answer["data"]["ttl"].as_u64() <= Some(SHORT) => {
                    left.push(accessor.to_owned());
                }
                Told::Done(_) => {}
                // It is over, and still there.
                Told::Refused(..) => left.push(accessor.to_owned()),
                Told::Unknown(why) => return Err(why),
            }
        }
        Ok(left)
    }
}
