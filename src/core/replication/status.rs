//! The status bodies, as Vault's tools read them: numbers are numbers, epochs and milliseconds are text.

use std::sync::atomic::Ordering;

use serde_json::{Map, Value, json};

use super::record::{Promotion, RoleRecord};
use super::{Replication, check, secondary};
use crate::core::sys::object;
use crate::core::{keys, mounts};
use crate::engine::MountClass;
use crate::machine::Role;
use crate::storage::{Reader, StorageError};
use crate::types::limits::PAGE_NAMES_MAX;
use crate::types::{Prefix, Scope, Timestamp};

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
                if let Some(promotion) = &record.promotion {
                    shown.insert("promotion".to_owned(), promotion_shown(promotion));
                }
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
                if record.primary.is_none() {
                    // It was demoted: whom it still serves.
                    shown.insert("known_secondaries".to_owned(), self.known_secondaries());
                }
                let clashes = clashes(reader.as_ref()).unwrap_or_default();
                if !clashes.is_empty() {
                    let reason = format!(
                        "a local (non-replicated) mount already exists at {}: it hides what the primary has mounted there until one of the two is removed",
                        clashes.join(", ")
                    );
                    shown.insert("state_reason".to_owned(), json!(reason));
                    shown.insert("mount_clashes".to_owned(), json!(clashes));
                }
            }
        }
        shown
    }

    /// `replication/status`: both types.
    pub fn combined_status(&self) -> Map<String, Value> {
        object(json!({ "dr": { "mode": "disabled" }, "performance": self.status() }))
    }
}

/// How far behind a cluster knew itself to be when it was promoted.
#[expect(clippy::cast_precision_loss, reason = "a lag of more than 2^52 milliseconds may be shown roughly")]
fn promotion_shown(promotion: &Promotion) -> Value {
    json!({
        "generation": promotion.generation,
        "at": Timestamp(promotion.at_ms).rfc3339(),
        "wal": promotion.wal,
        "connected": promotion.is_connected,
        "lag_records": promotion.records_behind,
        "lag_seconds": promotion.behind_ms.map(|ms| ms as f64 / 1000.0),
    })
}

/// Paths of this cluster's local mounts that lie at, above or below a shared one: the longer path is served, of equal ones the local.
fn clashes(reader: &dyn Reader) -> Result<Vec<String>, StorageError> {
    let mut found = Vec::new();
    for class in [MountClass::Secret, MountClass::Auth] {
        let local = keys::mounts(Scope::Local, class);
        for stored in reader.list(&local, None, PAGE_NAMES_MAX)? {
            let path = &stored[local.path.len()..];
            let folders = path.match_indices('/').map(|(end, _)| &path[..end]).chain([path]);
            let mut is_taken = false;
            for at in folders {
                is_taken |= reader.get(&keys::mount(Scope::Shared, class, at))?.is_some();
            }
            let below = Prefix::new(Scope::Shared, format!("{}{path}/", keys::mounts(Scope::Shared, class).path));
            if is_taken || !reader.list(&below, None, 1)?.is_empty() {
                found.push(mounts::full_path(class, path));
            }
        }
    }
    Ok(found)
}
