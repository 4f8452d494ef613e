//! Reading leases.

use serde_json::{Map, Value, json};

use super::entry::{Lease, StoredLease};
use crate::barrier::{BarrierError, Txn};
use crate::core::keys;
use crate::core::token::TokenEntry;
use crate::core::token::entry::{read_entry, read_json};
use crate::types::Timestamp;

/// A lease, whatever it is of.
#[derive(Clone, Debug)]
pub(super) enum Found {
    /// Of a token, with its stored form.
    Token(String, Box<TokenEntry>),
    /// Of something that an engine gave out.
    Secret(Box<Lease>),
}

/// The lease called `id`.
pub(super) fn find(txn: &mut Txn, id: &str) -> Result<Option<Found>, BarrierError> {
    Ok(match read_json::<StoredLease>(txn, &keys::lease(id))? {
        None => None,
        Some(StoredLease::Secret(lease)) => Some(Found::Secret(lease)),
        Some(StoredLease::Token { key }) => {
            let entry = read_entry(txn, &key)?.filter(|entry| !entry.is_revoked);
            entry.map(|entry| Found::Token(key, Box::new(entry)))
        }
    })
}

/// The `data` of a lookup.
pub(super) fn shown(id: &str, found: &Found, now: Timestamp) -> Map<String, Value> {
    let (issued, expires, renewed, renewable, path, error) = match found {
        Found::Token(_, entry) => (entry.issued_ms, entry.expires_ms, entry.renewed_ms, entry.renewable, &entry.path, ""),
        Found::Secret(lease) => {
            (lease.issued_ms, Some(lease.expires_ms), lease.renewed_ms, lease.renewable, &lease.path, lease.revoke_error.as_str())
        }
    };
    let time = |at: Option<u64>| at.map_or(Value::Null, |at| json!(Timestamp(at).rfc3339()));
    let mut data = Map::new();
    data.insert("id".to_owned(), json!(id));
    data.insert("issue_time".to_owned(), time(Some(issued)));
    data.insert("expire_time".to_owned(), time(expires));
    data.insert("last_renewal".to_owned(), time(renewed));
    data.insert("path".to_owned(), json!(path));
    data.insert("renewable".to_owned(), json!(renewable));
    data.insert("ttl".to_owned(), json!(expires.map_or(0, |at| at.saturating_sub(now.0) / 1000)));
    if !error.is_empty() {
        data.insert("revoke_error".to_owned(), json!(error));
    }
    data
}
