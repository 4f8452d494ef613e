//! Shared settings that come and go (mounts, policies, users), and after silence the same answers and roots from every node.

use serde_json::json;

use crate::check::{Verdict, converge as check};
use crate::client::http::Request;
use crate::client::outcome::{Outcome, usual_refusal};
use crate::core::{History, Value};
use crate::world::World;

use super::actor::Actor;
use super::{Workload, decided};

/// Asked of every node at the end.
const ROUTES: &[(&str, &str)] =
    &[("GET", "sys/mounts"), ("GET", "sys/auth"), ("LIST", "sys/policies/acl"), ("GET", "sys/audit"), ("GET", "sys/rotate/config")];

/// The workload.
pub struct Converge;

impl Workload for Converge {
    fn name(&self) -> &'static str {
        "converge"
    }

    fn processes(&self, _world: &World) -> usize {
        2
    }

    fn step(&self, actor: &mut Actor<'_>) {
        let n = actor.rng.below(6);
        let (f, request) = match actor.rng.below(6) {
            0 => ("mount", Request::new("PUT", format!("sys/mounts/come{n}")).with_body(json!({"type": "kv"}))),
            1 => ("unmount", Request::new("DELETE", format!("sys/mounts/come{n}"))),
            2 => (
                "write-policy",
                Request::new("PUT", format!("sys/policies/acl/come{n}"))
                    .with_body(json!({"policy": format!("path \"come{n}/*\" {{ capabilities = [\"read\"] }}")})),
            ),
            3 => ("delete-policy", Request::new("DELETE", format!("sys/policies/acl/come{n}"))),
            _ => ("put", Request::new("PUT", format!("come{n}/key{}", actor.rng.below(20))).with_body(json!({"v": actor.steps}))),
        };
        let begun = actor.begin(f, format!("come{n}"));
        let outcome = Outcome::of(actor.ask(request), true, usual_refusal);
        actor.end(&begun, &outcome, |_| Ok(Value::Nil));
    }

    fn finish(&self, actor: &mut Actor<'_>) {
        if actor.slot > 0 {
            return;
        }
        let world = actor.stage.world.clone();
        for (cluster, node) in world.clusters.iter().flat_map(|cluster| cluster.nodes.iter().map(move |node| (cluster, node))) {
            let fact = |f: &str, value: Value| actor.fact(f, value).on(&node.name).of(&cluster.name);
            for (method, route) in ROUTES {
                let Some(reply) = node.ask(&Request::new(method, *route).with_token(&cluster.token())) else { continue };
                let answer = reply.body["data"].to_string();
                actor.tell(fact("answer", Value::map([("route", *route), ("answer", answer.as_str())])));
            }
            if let Some(root) = node
                .get("sys/replication/performance/status", "")
                .and_then(|reply| reply.body["data"]["merkle_root"].as_str().map(str::to_owned))
            {
                actor.tell(fact("root", Value::map([("tree", Value::keyword("shared")), ("root", root.into())])));
            }
        }
    }

    fn check(&self, history: &History) -> Verdict {
        decided(self.name(), check::check(history))
    }
}
