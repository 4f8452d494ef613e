//! What a token keeps for itself: it alone sees it, and it goes when the token goes.

use std::sync::Arc;

use coffer::storage::Physical;
use coffer::types::{Key, Prefix, Scope};
use serde_json::{Value, json};

use crate::clients::{Clients, Told};
use crate::operator::active;
use crate::rng::Rng;
use crate::tokens::rest;

const PATH: &str = "cubbyhole/mine";

impl Clients {
    /// Has a token keep something, looks for it as that token and as another, and revokes the token.
    pub async fn keep_to_itself(self: Arc<Self>, cluster: usize, mut rng: Rng) {
        let (root, belief) = (self.token(cluster), self.world.belief(cluster));
        let body = json!({ "policies": ["default"], "ttl": "1h" });
        let told = self.told(self.any_host(cluster, &mut rng), "POST", "auth/token/create", &root, &body).await;
        let Some(token) = told.token() else { return };
        let value = self.fresh();
        let kept = self.told(self.any_host(cluster, &mut rng), "POST", PATH, &token, &json!({ "v": value })).await;
        if !matches!(kept, Told::Done(_)) {
            return;
        }
        rest(&mut rng, 2000).await;
        match self.told(self.any_host(cluster, &mut rng), "GET", PATH, &token, &Value::Null).await {
            Told::Done(answer) if answer["data"]["v"] != value => self.world.fail(format!("a token kept {value} and has {answer}")),
            Told::Refused(404, _) if self.world.still_believes(cluster, belief) => {
                self.world.fail(format!("a token kept {value} and has nothing"));
            }
            _ => {}
        }
        if let Told::Done(answer) = self.told(self.any_host(cluster, &mut rng), "GET", PATH, &root, &Value::Null).await {
            self.world.fail(format!("what a token kept was shown to another: {answer}"));
        }
        self.told(self.any_host(cluster, &mut rng), "POST", "auth/token/revoke-self", &token, &json!({})).await;
    }

    /// What is still kept for tokens that are gone.
    ///
    /// # Errors
    /// If nobody is active.
    pub async fn kept_for_nobody(&self, cluster: usize) -> Result<Vec<String>, String> {
        let host = active(&self.world, cluster).ok_or("nobody is active")?;
        let reader = self.world.slot(host).store().reader();
        let kept = reader.list(&Prefix::new(Scope::Local, "cubbyhole/"), None, usize::MAX).map_err(|error| error.to_string())?;
        let is_alone = |path: &str| {
            let hash = path.split('/').nth(1).unwrap_or_default();
            matches!(reader.get(&Key::local(format!("sys/token/id/{hash}"))), Ok(None))
        };
        Ok(kept.iter().filter(|path| is_alone(path)).map(ToString::to_string).collect())
    }
}
