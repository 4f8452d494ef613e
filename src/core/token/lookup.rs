//! Reading tokens by accessor, and what a client is shown of one.

use serde_json::{Map, Value, json};

use super::entry::{TokenEntry, read_entry, read_json};
use super::{Identified, Tokens};
use crate::barrier::{BarrierError, Txn};
use crate::core::keys;
use crate::types::Timestamp;

impl Tokens {
    /// The live token that `accessor` names.
    ///
    /// # Errors
    /// If storage cannot be read.
    pub fn by_accessor(&self, txn: &mut Txn, accessor: &str, now: Timestamp) -> Result<Option<Identified>, BarrierError> {
        if accessor.is_empty() || accessor.contains('/') {
            return Ok(None);
        }
        let Some(key) = read_json::<String>(txn, &keys::token_accessor(accessor))? else { return Ok(None) };
        self.by_key(txn, &key, now)
    }

    /// The live token with this stored form.
    ///
    /// # Errors
    /// If storage cannot be read.
    pub fn by_key(&self, txn: &mut Txn, key: &str, now: Timestamp) -> Result<Option<Identified>, BarrierError> {
        let entry = read_entry(txn, key)?.filter(|entry| entry.is_live(now));
        Ok(entry.map(|entry| Identified { entry, key: key.to_owned() }))
    }
}

/// The `data` of a lookup. `id` is the token's text where the client gave it, and empty where an accessor named it.
pub(super) fn shown(entry: &TokenEntry, id: &str, now: Timestamp) -> Map<String, Value> {
    let mut data = Map::new();
    let mut set = |name: &str, value: Value| {
        data.insert(name.to_owned(), value);
    };
    set("id", json!(id));
    set("accessor", json!(entry.accessor));
    set("policies", json!(entry.policies));
    set("path", json!(entry.path));
    set("meta", if entry.meta.is_empty() { Value::Null } else { json!(entry.meta) });
    set("display_name", json!(entry.display_name));
    set("num_uses", json!(entry.num_uses));
    set("orphan", json!(entry.parent.is_empty()));
    set("creation_time", json!(entry.issued_ms / 1000));
    set("creation_ttl", json!(entry.creation_ttl_secs));
    set("expire_time", entry.expires_ms.map_or(Value::Null, |at| json!(Timestamp(at).rfc3339())));
    set("ttl", json!(entry.ttl_left(now).0));
    set("explicit_max_ttl", json!(entry.terms.explicit_max_secs));
    set("entity_id", json!(entry.entity_id));
    set("type", json!(entry.kind_name()));
    if entry.expires_ms.is_some() {
        set("issue_time", json!(Timestamp(entry.issued_ms).rfc3339()));
        set("renewable", json!(entry.renewable));
    }
    if let Some(at) = entry.renewed_ms {
        set("last_renewal", json!(Timestamp(at).rfc3339()));
        set("last_renewal_time", json!(at / 1000));
    }
    if !entry.role.is_empty() {
        set("role", json!(entry.role));
    }
    if entry.terms.period_secs > 0 {
        set("period", json!(entry.terms.period_secs));
    }
    if !entry.bound_cidrs.is_empty() {
        set("bound_cidrs", json!(entry.bound_cidrs));
    }
    data
}
