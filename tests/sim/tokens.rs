//! What clients do with tokens: use them up, and leave them to their end. Families of them are in `families`, wrapped answers in `wrapped`.

use std::sync::Arc;
use std::time::Duration;

use jepsen::check::uses;
use jepsen::core::{Kind, Op, Value};
use serde_json::json;

use crate::clients::{Clients, Told, USES};
use crate::net::HostId;
use crate::operator::{OPEN, active};
use crate::rng::Rng;

/// Life of tokens that are left to their end, in seconds; no other token has this one.
pub const SHORT: u64 = 2;

/// Waits for a while.
pub async fn rest(rng: &mut Rng, most_ms: u64) {
    tokio::time::sleep(Duration::from_millis(rng.between(0, most_ms))).await;
}

impl Clients {
    /// Makes a token for a few uses, and tries to use it more often than that, everywhere; at once, or for as long as others may take over.
    pub async fn use_up(self: Arc<Self>, cluster: usize, mut rng: Rng) {
        let limit = rng.between(1, 4);
        let belief = self.world.belief(cluster);
        let body = json!({ "policies": ["default", OPEN], "num_uses": limit, "ttl": "1h" });
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
        // A request that its policies refuse takes a use as well, and one that another cluster carries out.
        let (method, path, body) = match rng.below(10) {
            0..3 => ("GET", "kv/data/not-for-it", serde_json::Value::Null),
            3..6 => ("POST", "kv/data/open/used", json!({ "data": { "v": 1 } })),
            _ => ("GET", "auth/token/lookup-self", serde_json::Value::Null),
        };
        let (kind, why) = match self.told(host, method, path, token, &body).await {
            Told::Done(_) => (Kind::Ok, String::new()),
            // The use may be taken before it is known that the write cannot be done.
            Told::Refused(status, why) if method == "POST" && status != 403 && status != 0 => (Kind::Info, why),
            Told::Refused(403, why) if !why.contains("invalid token") => (Kind::Ok, String::new()),
            Told::Refused(403, _) if self.world.still_believes(cluster, belief) => (Kind::Fail, uses::EXHAUSTED.to_owned()),
            // All tokens of a cluster go when it is filled anew.
            Told::Refused(403, why) => (Kind::Info, why),
            told => told.outcome(),
        };
        self.histories.end(USES, &begun, kind, argument, &why, &mut process);
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
