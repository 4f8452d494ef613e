//! What clients try at what guards: policies that change between allow and deny, and wrong passwords.

use std::sync::Arc;

use jepsen::core::{Kind, Op, Value};
use serde_json::json;

use crate::clients::{Clients, LOGINS, POLICY, Told};
use crate::net::HostId;
use crate::rng::Rng;

/// Tries at a secret through a copy.
const WRITES: usize = 4;

/// A policy of one client's own, and a token that has it alone.
pub struct Guarded {
    policy: String,
    token: Option<String>,
}

impl Guarded {
    /// For a client of that number.
    pub fn new(number: u64) -> Self {
        Self { policy: format!("p{number}"), token: None }
    }
}

impl Clients {
    /// Changes the policy, or asks for what it guards. It begins as one that is not there, and so denies.
    pub async fn change_or_probe(&self, host: HostId, guarded: &mut Guarded, rng: &mut Rng, process: &mut u64) {
        let Guarded { policy, token } = guarded;
        let Some(token) = token else {
            let body = json!({ "policies": [policy], "no_default_policy": true, "ttl": "1h" });
            *token = self.told(host, "POST", "auth/token/create", &self.token(0), &body).await.token();
            return;
        };
        let value = |word: &str| Value::pair(policy.as_str(), Value::keyword(word));
        if rng.permille(250) {
            // A policy that is not there allows nothing.
            let (word, method, capability) = *rng.pick(&[("allow", "PUT", "read"), ("deny", "PUT", "deny"), ("deny", "DELETE", "")]);
            let begun = self.histories.record(POLICY, Op::invoke(*process, "set", value(word)));
            let body = json!({ "policy": format!("path \"kv/data/guarded\" {{ capabilities = [\"{capability}\"] }}") });
            let (kind, why) = self.told(host, method, &format!("sys/policies/acl/{policy}"), &self.token(0), &body).await.outcome();
            return self.histories.end(POLICY, &begun, kind, value(word), &why, process);
        }
        let nothing = Value::pair(policy.as_str(), Value::Nil);
        let begun = self.histories.record(POLICY, Op::invoke(*process, "probe", nothing.clone()));
        let (kind, seen, why) = match self.told(host, "GET", "kv/data/guarded", token, &serde_json::Value::Null).await {
            Told::Refused(403, _) => (Kind::Ok, value("deny"), String::new()),
            // Nothing was ever written there.
            Told::Done(_) | Told::Refused(404, _) => (Kind::Ok, value("allow"), String::new()),
            Told::Refused(_, why) | Told::Unknown(why) => (Kind::Fail, nothing, why),
        };
        self.histories.end(POLICY, &begun, kind, seen, &why, process);
    }

    /// Guesses a password.
    pub async fn login_wrongly(&self, host: HostId, process: &mut u64) {
        let begun = self.histories.record(LOGINS, Op::invoke(*process, "guess", Value::Nil));
        let told = self.told(host, "PUT", "auth/up/login/somebody", "", &json!({ "password": "wrong" })).await;
        let (kind, why) = match told {
            Told::Refused(400, _) => (Kind::Ok, String::new()),
            Told::Refused(403, _) => (Kind::Fail, "locked".to_owned()),
            Told::Refused(_, why) => (Kind::Fail, why),
            Told::Done(answer) => return self.world.fail(format!("a wrong password was taken: {answer}")),
            Told::Unknown(why) => (Kind::Info, why),
        };
        self.histories.end(LOGINS, &begun, kind, Value::Nil, &why, process);
    }

    /// Writes where the shared data are a copy, with a policy that is taken away: from then on the primary refuses, whatever the copy knows.
    pub async fn write_by_copy(self: Arc<Self>, mut rng: Rng) {
        let (policy, cluster) = (format!("copy{}", self.fresh()), rng.index(self.world.plan.sizes.len() - 1) + 1);
        let belief = self.world.belief(cluster);
        let (at, secret) = (format!("sys/policies/acl/{policy}"), format!("kv/data/{policy}"));
        let rule = |capability: &str| json!({ "policy": format!("path \"{secret}\" {{ capabilities = [{capability}] }}") });
        let allow = rule(r#""create", "update""#);
        if !matches!(self.told(self.any_host(0, &mut rng), "PUT", &at, &self.token(0), &allow).await, Told::Done(_)) {
            return;
        }
        let body = json!({ "policies": [policy], "no_default_policy": true, "ttl": "1h" });
        let told = self.told(self.any_host(cluster, &mut rng), "POST", "auth/token/create", &self.token(cluster), &body).await;
        let Some(token) = told.token() else { return };
        let body = json!({ "data": { "v": 1 } });
        let mut is_known = false;
        for _ in 0..WRITES {
            is_known |= matches!(self.told(self.any_host(cluster, &mut rng), "POST", &secret, &token, &body).await, Told::Done(_));
        }
        let deny = rule(r#""deny""#);
        if !is_known || !matches!(self.told(self.any_host(0, &mut rng), "PUT", &at, &self.token(0), &deny).await, Told::Done(_)) {
            return;
        }
        let hosts: Vec<HostId> = (0..WRITES).map(|_| self.any_host(cluster, &mut rng)).collect();
        let written = hosts.into_iter().map(|host| self.told(host, "POST", &secret, &token, &body));
        let is_written = futures::future::join_all(written).await.iter().any(|told| matches!(told, Told::Done(_)));
        // One that is disabled to be filled anew decides for itself meanwhile.
        if is_written && self.world.still_believes(cluster, belief) {
            self.world.fail(format!("{secret} was written through cluster {cluster} after the primary had denied that"));
        }
    }
}
