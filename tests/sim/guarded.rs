//! What clients try at what guards: policies that change between allow and deny, and wrong passwords.

use jepsen::core::{Kind, Op, Value};
use serde_json::json;

use crate::clients::{Clients, LOGINS, POLICY, Told};
use crate::net::HostId;
use crate::rng::Rng;

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
}
