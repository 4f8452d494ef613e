//! What a cluster remembers of its role: two kinds of rows of its own, encrypted by the barrier.

use serde::{Deserialize, Serialize};

use crate::barrier::{BarrierError, Txn};
use crate::core::keys;
use crate::crypto::cert::Identity;
use crate::types::{Key, Secret, Timestamp};

/// Where a secondary's primary is, and how it proves itself there.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct KnownPrimary {
    /// The name under which the primary knows this cluster.
    pub secondary_id: String,
    /// What the primary issued.
    pub identity: Identity,
    /// `https://host:port` of each known node's cluster listener; follows the primary's heartbeats. Empty: left alone.
    pub cluster_addrs: Vec<String>,
}

/// The row at `keys::replication_role`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RoleRecord {
    /// A primary: the only addresses that secondaries are told, with commas between; empty: those of its nodes.
    pub primary_cluster_addr: String,
    /// A secondary: its primary, unless it was demoted and not yet pointed to one.
    pub primary: Option<KnownPrimary>,
    /// A primary that was promoted: what it knew of its copy at that moment.
    pub promotion: Option<Promotion>,
}

/// What a cluster knew of how whole its copy was when it was promoted: what it lacked then is nowhere in its history.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Promotion {
    /// The generation that began with it.
    pub generation: u64,
    /// When.
    pub at_ms: u64,
    /// Where its shared history stood.
    pub wal: u64,
    /// Whether it had a link to its primary.
    pub is_connected: bool,
    /// How many records it knew itself to be behind.
    pub records_behind: u64,
    /// How long before it knew itself to have everything; `None` if it never did.
    pub behind_ms: Option<u64>,
}

/// A row at `keys::secondary`: the primary admits this secondary.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SecondaryRecord {
    /// SHA-256 of its certificate, in hexadecimal.
    pub fingerprint: String,
    /// When its activation token was made.
    pub created_ms: u64,
    /// When its activation token is good no longer; zero if that is not known.
    #[serde(default)]
    pub expires_ms: u64,
    /// Whether its activation token was used.
    #[serde(default)]
    pub is_used: bool,
}

impl RoleRecord {
    /// What is stored; empty if nothing is.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn read(txn: &mut Txn) -> Result<Self, BarrierError> {
        Ok(read(txn, &keys::replication_role())?.unwrap_or_default())
    }

    /// The stored form.
    pub fn row(&self) -> Secret<Vec<u8>> {
        row(self)
    }
}

impl SecondaryRecord {
    /// Whether nobody can ever come with this certificate: its activation token was not used in time.
    pub fn is_void(&self, now: Timestamp) -> bool {
        !self.is_used && self.expires_ms > 0 && self.expires_ms <= now.0
    }

    /// What is stored of the secondary called `id`.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn read(txn: &mut Txn, id: &str) -> Result<Option<Self>, BarrierError> {
        read(txn, &keys::secondary(id))
    }

    /// The stored form.
    pub fn row(&self) -> Secret<Vec<u8>> {
        row(self)
    }
}

fn row(record: &impl Serialize) -> Secret<Vec<u8>> {
    Secret::new(serde_json::to_vec(record).expect("texts and numbers are JSON"))
}

fn read<T: serde::de::DeserializeOwned>(txn: &mut Txn, key: &Key) -> Result<Option<T>, BarrierError> {
    match txn.get(key)? {
        None => Ok(None),
        Some(stored) => serde_json::from_slice(stored.expose()).map(Some).map_err(|_| BarrierError::Damaged(key.clone())),
    }
}
