//! Families of tokens: who goes when one of them is revoked, and who does not.

use std::sync::Arc;

use jepsen::core::{Kind, Op, Value};
use serde_json::json;

use crate::clients::{Clients, REVOKED, Told};
use crate::rng::Rng;
use crate::tokens::rest;

/// Ways to revoke the first of a family; the last one spares its children.
const WAYS: [&str; 4] = ["revoke-self", "revoke", "revoke-accessor", "revoke-orphan"];

impl Clients {
    /// Has a token make another, and that one more, revokes the first in some way, and tries the last: it went with the first, unless it is
    /// nobody's child, or the first was to go alone.
    pub async fn end_family(self: Arc<Self>, cluster: usize, mut rng: Rng) {
        if rng.permille(250) {
            return self.race_parent(cluster, rng).await;
        }
        let kind = if rng.permille(300) { "batch" } else { "service" };
        let is_orphan = kind == "service" && rng.permille(250);
        let generations = rng.index(3) + 1;
        let belief = self.world.belief(cluster);
        let root = self.token(cluster);
        let mut family: Vec<(String, String)> = Vec::new();
        for generation in 0..=generations {
            let is_last = generation == generations;
            let parent = family.last().map_or(&root, |(token, _)| token).clone();
            let body = match is_last {
                true => json!({ "policies": ["default"], "ttl": "1h", "type": kind, "no_parent": is_orphan }),
                false => json!({ "policies": ["root"], "ttl": "1h" }),
            };
            let told = self.told(self.any_host(cluster, &mut rng), "POST", "auth/token/create", &parent, &body).await;
            let Some(token) = told.token() else { return };
            family.push((token, told.accessor().unwrap_or_default()));
        }
        let ((first, accessor), (last, _)) = (&family[0], &family[generations]);
        rest(&mut rng, 1000).await;
        let way = *rng.pick(&WAYS);
        let (by, body) = match way {
            "revoke-self" => (first, json!({})),
            "revoke-accessor" => (&root, json!({ "accessor": accessor })),
            _ => (&root, json!({ "token": first })),
        };
        let told = self.told(self.any_host(cluster, &mut rng), "POST", &format!("auth/token/{way}"), by, &body).await;
        if !matches!(told, Told::Done(_)) {
            return;
        }
        // A batch token has no entry that could lose its parent.
        let is_spared = way == "revoke-orphan" && (kind == "service" || generations > 1);
        if is_orphan || is_spared {
            return self.is_good((cluster, belief), last, way, rng).await;
        }
        let name = Value::from(self.fresh());
        for _ in 0..3 {
            let mut process = self.histories.process();
            let begun = self.histories.record(REVOKED, Op::invoke(process, "use", name.clone()));
            let host = self.any_host(cluster, &mut rng);
            let (kind, why) = match self.told(host, "GET", "auth/token/lookup-self", last, &serde_json::Value::Null).await {
                Told::Done(_) => (Kind::Ok, String::new()),
                Told::Refused(_, why) | Told::Unknown(why) => (Kind::Fail, why),
            };
            self.histories.end(REVOKED, &begun, kind, name.clone(), &why, &mut process);
            rest(&mut rng, 2000).await;
        }
    }

    /// Has a token make another while it is revoked: whatever comes first, none is left that is good.
    async fn race_parent(&self, cluster: usize, mut rng: Rng) {
        let (root, body) = (self.token(cluster), json!({ "policies": ["root"], "ttl": "1h" }));
        let told = self.told(self.any_host(cluster, &mut rng), "POST", "auth/token/create", &root, &body).await;
        let Some(parent) = told.token() else { return };
        let (one, other) = (self.any_host(cluster, &mut rng), self.any_host(cluster, &mut rng));
        let gone = json!({ "token": parent });
        let makes = self.told(one, "POST", "auth/token/create", &parent, &body);
        let ends = self.told(other, "POST", "auth/token/revoke", &root, &gone);
        let (made, ended) = futures::join!(makes, ends);
        let (Some(child), Told::Done(_)) = (made.token(), ended) else { return };
        rest(&mut rng, 1000).await;
        let host = self.any_host(cluster, &mut rng);
        if matches!(self.told(host, "GET", "auth/token/lookup-self", &child, &serde_json::Value::Null).await, Told::Done(_)) {
            self.world.fail("a token was good that was made while the token that made it was revoked".to_owned());
        }
    }

    /// Who is nobody's child outlives everybody.
    async fn is_good(&self, (cluster, belief): (usize, Option<u64>), orphan: &str, way: &str, mut rng: Rng) {
        rest(&mut rng, 2000).await;
        let host = self.any_host(cluster, &mut rng);
        let told = self.told(host, "GET", "auth/token/lookup-self", orphan, &serde_json::Value::Null).await;
        if matches!(told, Told::Refused(403, _)) && self.world.still_believes(cluster, belief) {
            self.world.fail(format!("an orphan went with the token that made it, after {way}"));
        }
    }
}
