//! Logins that end by other hands: their mount is disabled, or all that it gave out is revoked.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::clients::{Clients, Told};
use crate::operator::{PASSWORD, READER, active};
use crate::rng::Rng;
use crate::tokens::rest;

/// So often a user tries to log in where his mount is a copy, and comes late.
const LOGINS: usize = 8;

impl Clients {
    /// Makes a mount with a user, who logs in to some cluster, and takes from him what he got.
    pub async fn log_in_passing(self: Arc<Self>, mut rng: Rng) {
        let (mount, root) = (format!("passing{}", self.fresh()), self.token(0));
        // Another one begins with its name.
        let sibling = rng.permille(500).then(|| format!("{mount}-stays"));
        for mount in std::iter::once(&mount).chain(&sibling) {
            let steps = [
                (format!("sys/auth/{mount}"), json!({ "type": "userpass" })),
                (format!("auth/{mount}/users/{READER}"), json!({ "password": PASSWORD })),
            ];
            for (path, body) in steps {
                if !matches!(self.told(self.any_host(0, &mut rng), "POST", &path, &root, &body).await, Told::Done(_)) {
                    return;
                }
            }
        }
        if let Some(sibling) = sibling
            && let Some(token) = self.log_in(0, &sibling, &mut rng).await
        {
            self.staying.lock().expect("no holder of this lock panics").push(token);
        }
        // Rather where the mount is a copy.
        let last = self.world.plan.sizes.len() - 1;
        let cluster = if rng.permille(600) { last } else { 0 };
        let Some(token) = self.log_in(cluster, &mount, &mut rng).await else { return };
        if rng.permille(500) {
            let told = self.told(self.any_host(0, &mut rng), "DELETE", &format!("sys/auth/{mount}"), &root, &Value::Null).await;
            if matches!(told, Told::Done(_)) {
                self.passing.lock().expect("no holder of this lock panics").push((cluster, token));
            }
            return;
        }
        let below = *rng.pick(&["", "/login"]);
        let path = format!("sys/leases/revoke-prefix/auth/{mount}{below}");
        if !matches!(self.told(self.any_host(cluster, &mut rng), "POST", &path, &self.token(cluster), &json!({})).await, Told::Done(_)) {
            return;
        }
        let told = self.told(self.any_host(cluster, &mut rng), "GET", "auth/token/lookup-self", &token, &Value::Null).await;
        if matches!(told, Told::Done(_)) {
            self.world.fail(format!("a login was good after all logins of {mount} were revoked"));
        }
    }

    async fn log_in(&self, cluster: usize, mount: &str, rng: &mut Rng) -> Option<String> {
        for _ in 0..LOGINS {
            let (path, body) = (format!("auth/{mount}/login/{READER}"), json!({ "password": PASSWORD }));
            if let Some(token) = self.told(self.any_host(cluster, rng), "POST", &path, "", &body).await.token() {
                return Some(token);
            }
            rest(rng, 1000).await;
        }
        None
    }

    /// Tokens of a cluster that are good though their mount was disabled.
    ///
    /// # Errors
    /// If the cluster does not tell now.
    pub async fn passed(&self, cluster: usize) -> Result<Vec<String>, String> {
        let all = self.passing.lock().expect("no holder of this lock panics").clone();
        let mut left = Vec::new();
        for (_, token) in all.into_iter().filter(|(of, _)| *of == cluster) {
            let host = active(&self.world, cluster).ok_or("nobody is active")?;
            match self.told(host, "GET", "auth/token/lookup-self", &token, &Value::Null).await {
                Told::Done(answer) => left.push(answer["data"]["path"].to_string()),
                Told::Refused(403, _) => {}
                Told::Refused(_, why) | Told::Unknown(why) => return Err(why),
            }
        }
        Ok(left)
    }

    /// Tokens that are no longer good though nobody took anything from them.
    ///
    /// # Errors
    /// If the cluster does not tell now.
    pub async fn gone_too(&self) -> Result<Vec<String>, String> {
        let all = self.staying.lock().expect("no holder of this lock panics").clone();
        let mut gone = Vec::new();
        for token in all {
            let host = active(&self.world, 0).ok_or("nobody is active")?;
            match self.told(host, "GET", "auth/token/lookup-self", &token, &Value::Null).await {
                Told::Done(_) => {}
                Told::Refused(403, why) => gone.push(why),
                Told::Refused(_, why) | Told::Unknown(why) => return Err(why),
            }
        }
        Ok(gone)
    }
}
