//! The status bodies, as Vault's tools read them: numbers are numbers, epochs and milliseconds are text.

use std::sync::atomic::Ordering;

use serde_json::{Map, Value, json};

use super::record::RoleRecord;
use super::{Replication, check, secondary};
use crate::core::sys::object;
use crate::machine::Role;
use crate::types::Scope;

/// Go's zero time in seconds: never.
const NEVER: &str = "-62135596800";

impl Replication {
    /// `performance/status`.
    pub fn status(&self) -> Map<String, Value> {
        let reader = self.ctx.store.reader();
        let (role, positions) = (reader.role(), reader.positions());
        let Some(set) = role.set() else { return object(json!({ "mode": "disabled" })) };
        let record = self.ctx.begin().ok().and_then(|mut txn| RoleRecord::read(&mut txn).ok()).unwrap_or_default();
        let checked = self.checked_at.load(Ordering::Relaxed);
        let mut shown = object(json!({
            "mode": role.mode(),
            "cluster_id": set.as_str(),
            "generation": role.generation().0,
            "merkle_root": hex::encode(check::root(&reader.pages(Scope::Shared))),
            "corrupted_merkle_tree": self.is_corrupted.load(Ordering::Relaxed),
            "last_corruption_check_epoch": if checked == 0 { NEVER.to_owned() } else { checked.to_string() },
            "last_reindex_epoch": "0",
            "ssct_generation_counter": 0,
            "last_wal": positions.dr.0,
            "last_performance_wal": positions.performance.wal.0,
        }));
        let links = self.links.describe();
        match &role {
            Role::Alone => {}
            Role::Primary { fenced_by, .. } => {
                shown.insert("primary_cluster_addr".to_owned(), json!(record.primary_cluster_addr));
                shown.insert("known_secondaries".to_owned(), self.known_secondaries());
                shown.extend(links);
                if let Some(by) = fenced_by {
                    let reason = format!("another cluster was promoted: generation {by} took over, this primary takes no shared writes");
                    shown.insert("state".to_owned(), json!("idle"));
                    shown.insert("state_reason".to_owned(), json!(reason));
                    shown.insert("fenced_by_generation".to_owned(), json!(by.0));
                }
            }
            Role::Secondary { .. } => {
                shown.extend(object(secondary::describe(&record)));
                shown.insert("last_remote_wal".to_owned(), json!(positions.performance.wal.0));
                shown.extend(links);
            }
        }
        shown
    }

    /// `replication/status`: both types.
    pub fn combined_status(&self) -> Map<String, Value> {
        object(json!({ "dr": { "mode": "disabled" }, "performance": self.status() }))
    }
}
