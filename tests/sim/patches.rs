//! Several change parts of one secret at one time: no part that was acknowledged is lost.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::clients::{Clients, Told};
use crate::rng::Rng;

/// Who change it.
const PARTS: usize = 4;

impl Clients {
    /// Makes a secret, has parts of it changed at once, and looks for them.
    pub async fn patch_together(self: Arc<Self>, mut rng: Rng) {
        let (path, token) = (format!("kv/data/patched{}", self.fresh()), self.token(0));
        let whole = json!({ "data": { "kept": 1 } });
        if !matches!(self.told(self.any_host(0, &mut rng), "POST", &path, &token, &whole).await, Told::Done(_)) {
            return;
        }
        let parts = (0..PARTS).map(|part| {
            let (name, value) = (format!("part{part}"), self.fresh());
            let body = json!({ "data": { &name: value } });
            (name, value, self.any_host(0, &mut rng), body)
        });
        let parts: Vec<_> = parts.collect();
        let patches = parts.iter().map(|(.., host, body)| self.told(*host, "PATCH", &path, &token, body));
        let told = futures::future::join_all(patches).await;
        let Told::Done(answer) = self.told(self.any_host(0, &mut rng), "GET", &path, &token, &Value::Null).await else { return };
        let seen = &answer["data"]["data"];
        let acknowledged = parts.iter().zip(&told).filter(|(_, told)| matches!(told, Told::Done(_)));
        let lost: Vec<&str> =
            acknowledged.filter(|((part, value, ..), _)| seen[part] != *value).map(|((part, ..), _)| part.as_str()).collect();
        if !lost.is_empty() || seen["kept"] != 1 {
            self.world.fail(format!("of {path} parts are lost ({lost:?}), which is {seen} now"));
        }
    }
}
