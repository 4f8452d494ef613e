//! What a cluster is called: its id, for ever, and its name. Not shared with other clusters of a replication set.

use serde::{Deserialize, Serialize};

use super::{Context, keys};
use crate::barrier::{BarrierError, Txn};
use crate::crypto::{Entropy, entropy};
use crate::types::Secret;

/// `cluster_id` and `cluster_name` of `sys/health`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ClusterIdentity {
    /// A UUID.
    pub id: String,
    /// `cluster_name` of the configuration, or one made up at init.
    pub name: String,
}

impl ClusterIdentity {
    /// A new cluster's.
    pub fn fresh(source: &dyn Entropy, name: Option<&str>) -> Self {
        let suffix: [u8; 4] = entropy::random(source);
        let name = name.filter(|name| !name.is_empty()).map_or_else(|| format!("vault-cluster-{}", hex::encode(suffix)), str::to_owned);
        Self { id: entropy::random_uuid(source), name }
    }

    /// The stored form, for `keys::cluster_identity`.
    pub fn row(&self) -> Secret<Vec<u8>> {
        Secret::new(serde_json::to_vec(self).expect("texts are JSON"))
    }

    /// What is stored; `None` before there is one.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn read(txn: &mut Txn) -> Result<Option<Self>, BarrierError> {
        let key = keys::cluster_identity();
        match txn.get(&key)? {
            None => Ok(None),
            Some(row) => serde_json::from_slice(row.expose()).map(Some).map_err(|_| BarrierError::Damaged(key)),
        }
    }

    /// What is stored, while unsealed.
    pub fn of(context: &Context) -> Option<Self> {
        Self::read(&mut context.begin().ok()?).ok()?
    }
}
