//! Two audit devices, and requests whose numbers are looked for in them afterwards: nothing was answered that is not written down.

use std::collections::BTreeSet;

use serde_json::{Value as Json, json};

use crate::check::{Verdict, audit as check};
use crate::client::outcome::{Outcome, usual_refusal};
use crate::core::{History, Value};

use super::actor::Actor;
use super::stage::Stage;
use super::{Workload, decided, kv};

const MOUNT: &str = "audited";
const DEVICES: &[&str] = &["one", "two"];

/// The workload.
pub struct Audit;

impl Workload for Audit {
    fn name(&self) -> &'static str {
        "audit"
    }

    fn set_up(&self, stage: &Stage) -> Result<(), String> {
        let first = stage.world.first();
        for device in DEVICES {
            let path = stage.world.folder.join(format!("audit-{device}.log"));
            first.must(&format!("sys/audit/{device}"), &json!({"type": "file", "options": {"file_path": path}}))?;
        }
        first.must(&format!("sys/mounts/{MOUNT}"), &json!({"type": "kv", "options": {"version": "2"}})).map(drop)
    }

    fn step(&self, actor: &mut Actor<'_>) {
        let key = format!("a{}", actor.rng.below(10));
        let is_write = actor.rng.below(2) == 0;
        let begun = actor.begin(if is_write { "put" } else { "get" }, key.as_str());
        let request = if is_write { kv::write(MOUNT, &key, &json!(actor.steps), None) } else { kv::read(MOUNT, &key) };
        let outcome = Outcome::of(actor.ask(request), is_write, usual_refusal);
        actor.end(&begun, &outcome, |_| Ok(key.as_str().into()));
    }

    /// Reads the devices, once: all nodes write to the same files.
    fn finish(&self, actor: &mut Actor<'_>) {
        if actor.slot > 0 {
            return;
        }
        let history = actor.stage.recorder.history();
        let noted: BTreeSet<&Value> = history.ops.iter().filter(|op| op.f == "audit").map(|op| &op.value).collect();
        let is_mine = |op: &&crate::core::Op| op.extra.get("workload").and_then(Value::as_str) == Some("audit");
        let asked: BTreeSet<&str> = history.ops.iter().filter(is_mine).filter_map(|op| op.extra.get("request-id")?.as_str()).collect();
        for device in DEVICES {
            let path = actor.stage.world.folder.join(format!("audit-{device}.log"));
            let text = std::fs::read_to_string(path).unwrap_or_default();
            for line in text.lines().filter_map(|line| serde_json::from_str::<Json>(line).ok()) {
                let (Some(id), Some(kind)) = (line["request"]["id"].as_str(), line["type"].as_str()) else { continue };
                let entry = Value::map([("request-id", Value::from(id)), ("type", Value::keyword(kind)), ("device", (*device).into())]);
                if asked.contains(id) && !noted.contains(&entry) {
                    actor.note("audit", entry);
                }
            }
        }
    }

    fn check(&self, history: &History) -> Verdict {
        decided(self.name(), check::check(history))
    }
}
