//! What is stored of a token; never the token itself.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ttl::Terms;
use crate::barrier::{BarrierError, Txn};
use crate::core::keys;
use crate::types::{Key, Secret, Timestamp, Ttl};

/// A token, as stored at [`keys::token`], or inside a batch token.
///
/// The stored form has defaults for every field that may be missing, so that older rows stay readable.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenEntry {
    /// Names the token without being able to use it; empty for batch tokens.
    #[serde(default)]
    pub accessor: String,
    /// The stored form of the token that made it; empty for an orphan.
    #[serde(default)]
    pub parent: String,
    /// The path that it was made at.
    #[serde(default)]
    pub path: String,
    /// Sorted names of policies.
    #[serde(default)]
    pub policies: Vec<String>,
    /// Shown with the token.
    #[serde(default)]
    pub meta: BTreeMap<String, String>,
    /// As in the audit log.
    #[serde(default)]
    pub display_name: String,
    /// Uses left; zero for any number of them.
    #[serde(default)]
    pub num_uses: u32,
    /// Made for a fixed number of uses: makes no children.
    #[serde(default)]
    pub is_limited: bool,
    /// Dead: waits to be swept.
    #[serde(default)]
    pub is_revoked: bool,
    /// When it is swept, its children become orphans instead of dying with it.
    #[serde(default)]
    pub spares_children: bool,
    /// A batch token.
    #[serde(default)]
    pub is_batch: bool,
    /// Whether it may be renewed.
    #[serde(default)]
    pub renewable: bool,
    /// Made at, in milliseconds since the epoch.
    #[serde(default)]
    pub issued_ms: u64,
    /// Ends at, in milliseconds since the epoch; none for a root token without an end.
    #[serde(default)]
    pub expires_ms: Option<u64>,
    /// Renewed last at, in milliseconds since the epoch.
    #[serde(default)]
    pub renewed_ms: Option<u64>,
    /// The TTL it was made with, in seconds.
    #[serde(default)]
    pub creation_ttl_secs: u64,
    /// What bounds its renewal.
    #[serde(default)]
    pub terms: Terms,
    /// The token role that it was made by; empty for none.
    #[serde(default)]
    pub role: String,
    /// CIDRs that it may be used from; empty for any.
    #[serde(default)]
    pub bound_cidrs: Vec<String>,
    /// The identity entity; empty for none.
    #[serde(default)]
    pub entity_id: String,
    /// What the auth method needs to renew it.
    #[serde(default)]
    pub internal: serde_json::Map<String, serde_json::Value>,
}

/// What of a token's row says whether its children live: each request reads it of every token above its own.
#[derive(Debug, Deserialize)]
pub(super) struct Ancestor {
    #[serde(default)]
    pub(super) parent: String,
    #[serde(default)]
    is_revoked: bool,
    #[serde(default)]
    pub(super) spares_children: bool,
    #[serde(default)]
    expires_ms: Option<u64>,
}

impl Ancestor {
    /// As [`TokenEntry::is_live`].
    pub(super) fn is_live(&self, now: Timestamp) -> bool {
        is_live(self.is_revoked, self.expires_ms, now)
    }
}

fn is_live(is_revoked: bool, expires_ms: Option<u64>, now: Timestamp) -> bool {
    !is_revoked && expires_ms.is_none_or(|expires| now.0 < expires)
}

impl TokenEntry {
    /// Whether it may still be used at `now`.
    pub fn is_live(&self, now: Timestamp) -> bool {
        is_live(self.is_revoked, self.expires_ms, now)
    }

    /// Whether it is all-powerful.
    pub fn is_root(&self) -> bool {
        self.policies.iter().any(|policy| policy == "root")
    }

    /// What is left at `now`; zero if it has no end.
    pub fn ttl_left(&self, now: Timestamp) -> Ttl {
        Ttl(self.expires_ms.map_or(0, |expires| expires.saturating_sub(now.0) / 1000))
    }

    /// The id of its lease, given its stored form.
    pub fn lease_id(&self, key: &str) -> String {
        format!("{}/h{key}", self.path.trim_end_matches('/'))
    }

    /// `service` or `batch`.
    pub fn kind_name(&self) -> &'static str {
        if self.is_batch { "batch" } else { "service" }
    }
}

/// Reads the row of the token `key`.
pub(in crate::core) fn read_entry(txn: &mut Txn, key: &str) -> Result<Option<TokenEntry>, BarrierError> {
    read_json(txn, &keys::token(key))
}

/// Writes the row of the token `key`.
pub(in crate::core) fn write_entry(txn: &mut Txn, key: &str, entry: &TokenEntry) {
    write_json(txn, keys::token(key), entry);
}

/// Reads a row of JSON.
pub(in crate::core) fn read_json<T: serde::de::DeserializeOwned>(txn: &mut Txn, key: &Key) -> Result<Option<T>, BarrierError> {
    match txn.get(key)? {
        None => Ok(None),
        Some(bytes) => serde_json::from_slice(bytes.expose()).map(Some).map_err(|_| BarrierError::Damaged(key.clone())),
    }
}

/// Writes a row of JSON.
pub(in crate::core) fn write_json<T: Serialize>(txn: &mut Txn, key: Key, value: &T) {
    let bytes = serde_json::to_vec(value).expect("stored types have text keys and no failing serializer");
    txn.put(key, Secret::new(bytes));
}
