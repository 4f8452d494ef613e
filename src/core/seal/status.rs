//! `sys/seal-status`.

use serde::Serialize;

use super::super::cluster_identity::ClusterIdentity;
use super::{Seal, SealError};
use crate::types::{API_VERSION, BUILD_DATE};

/// How far this node is from being unsealed. Answered by every node, sealed or not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SealStatus {
    /// Always `shamir`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Whether the cluster exists.
    pub initialized: bool,
    /// Whether this node has no keys.
    pub sealed: bool,
    /// The threshold.
    pub t: u8,
    /// How many shares there are.
    pub n: u8,
    /// How many shares were given.
    pub progress: usize,
    /// Names this collection of shares.
    pub nonce: String,
    /// The version whose API this speaks.
    pub version: &'static str,
    /// When it was built.
    pub build_date: &'static str,
    /// Never.
    pub migration: bool,
    /// While unsealed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_name: Option<String>,
    /// While unsealed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_id: Option<String>,
    /// Never.
    pub recovery_seal: bool,
    /// Always `raft`.
    pub storage_type: &'static str,
    /// Whether this node was removed from its cluster.
    pub removed_from_cluster: bool,
}

impl Seal {
    /// `sys/seal-status`.
    ///
    /// # Errors
    /// If the seal's configuration cannot be read.
    pub fn status(&self) -> Result<SealStatus, SealError> {
        let config = self.seal_config()?;
        let cluster = ClusterIdentity::of(&self.ctx);
        let (progress, nonce) = {
            let progress = self.progress();
            (progress.unseal.progress(), progress.unseal.nonce().to_owned())
        };
        Ok(SealStatus {
            kind: "shamir",
            initialized: config.is_some(),
            sealed: self.ctx.is_sealed(),
            t: config.map_or(0, |config| config.secret_threshold),
            n: config.map_or(0, |config| config.secret_shares),
            progress,
            nonce,
            version: API_VERSION,
            build_date: BUILD_DATE,
            migration: false,
            cluster_name: cluster.as_ref().map(|cluster| cluster.name.clone()),
            cluster_id: cluster.map(|cluster| cluster.id),
            recovery_seal: false,
            storage_type: "raft",
            removed_from_cluster: self.ctx.raft.status().borrow().is_removed,
        })
    }
}
