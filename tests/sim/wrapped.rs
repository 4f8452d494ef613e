//! Answers that are wrapped: they open once, for whoever comes first, and not after their end.

use std::sync::Arc;
use std::time::Duration;

use coffer::core::RawRequest;
use jepsen::check::unwrap;
use jepsen::core::{Kind, Op, Value};
use serde_json::json;

use crate::clients::{Clients, Told, WRAP};
use crate::net::now;
use crate::plan::Fault;
use crate::rng::Rng;
use crate::tokens::{SHORT, rest};
use crate::transport::raw;

impl Clients {
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
        let secret = if rng.permille(250) { self.wrap_anew(cluster, &secret, &mut rng).await } else { Some(secret) };
        let Some(secret) = secret else { return };
        let most_ms = *rng.pick(&[0, 0, 3000]);
        futures::future::join_all((0..3).map(|_| self.open_once(here, name, &secret, most_ms, Rng::new(rng.number(), "open")))).await;
    }

    /// Puts a wrapped answer under another token; the one before opens nothing from then on.
    async fn wrap_anew(&self, cluster: usize, secret: &str, rng: &mut Rng) -> Option<String> {
        let told = self.told(self.any_host(cluster, rng), "POST", "sys/wrapping/rewrap", secret, &json!({})).await;
        let anew = told.wrapping_token()?;
        let told = self.told(self.any_host(cluster, rng), "POST", "sys/wrapping/unwrap", secret, &json!({})).await;
        if matches!(told, Told::Done(_)) {
            self.world.fail("a wrapped answer opened with the token that it had been under before".to_owned());
        }
        Some(anew)
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
}
