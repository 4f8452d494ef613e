//! What is stored of a lease.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::core::token::Terms;
use crate::engine::LeaseSpec;
use crate::types::{Timestamp, Ttl};

/// A lease's row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StoredLease {
    /// A token's: all else is in the token's own row.
    Token {
        /// The token's stored form.
        key: String,
    },
    /// That of something an engine gave out.
    Secret(Box<Lease>),
}

/// A lease of something that an engine gave out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Lease {
    /// Its id: the path that it was given out at, and random characters.
    pub id: String,
    /// The whole path that it was given out at.
    pub path: String,
    /// The id of the mount that gave it out: it may have been moved since.
    pub mount_id: String,
    /// The accessor of that mount.
    pub mount_accessor: String,
    /// The stored form of the token that it ends with.
    pub token_key: String,
    /// Given out at, in milliseconds since the epoch.
    pub issued_ms: u64,
    /// Ends at, in milliseconds since the epoch.
    pub expires_ms: u64,
    /// When it is due next: its end, or the next try to revoke it.
    pub due_ms: u64,
    /// Renewed last at, in milliseconds since the epoch.
    pub renewed_ms: Option<u64>,
    /// What bounds its renewal.
    pub terms: Terms,
    /// Whether it may be renewed.
    pub renewable: bool,
    /// What the engine needs to revoke it.
    pub internal: Map<String, Value>,
    /// How often revoking it has failed.
    pub failures: u32,
    /// Why revoking it failed last; at most `ERROR_CHARS_MAX` characters.
    pub revoke_error: String,
    /// It is not tried any more.
    pub is_irrevocable: bool,
}

/// Longest text of an error that is kept with a lease.
pub(super) const ERROR_CHARS_MAX: usize = 240;

impl Lease {
    /// As the engine sees it.
    pub fn spec(&self) -> LeaseSpec {
        LeaseSpec {
            ttl: Ttl(self.expires_ms.saturating_sub(self.issued_ms) / 1000),
            max_ttl: Ttl(self.terms.max_secs),
            renewable: self.renewable,
            internal: self.internal.clone(),
        }
    }

    /// What is left at `now`.
    pub fn ttl_left(&self, now: Timestamp) -> Ttl {
        Ttl(self.expires_ms.saturating_sub(now.0) / 1000)
    }

    /// What its due row says.
    pub(super) fn due_name(&self) -> String {
        format!("lease/{}", self.id)
    }
}
