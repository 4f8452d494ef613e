//! `storage "raft"`: where data lies, who this node is, and whom it joins.

use std::path::PathBuf;

use super::fields::{Fields, unknown};
use super::tree::Stanza;
use super::{Config, ConfigError};
use crate::core::join::JoinTarget;

/// `storage "raft"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Storage {
    /// The data folder.
    pub path: PathBuf,
    /// This node's name; made and kept in the data folder if not set.
    pub node_id: Option<String>,
    /// Whom to join.
    pub retry_join: Vec<JoinTarget>,
    /// Whether this node joins without a vote.
    pub joins_without_vote: bool,
    /// Divides by this: 1 is the fastest failover, 5 Vault's default.
    pub performance_multiplier: u64,
    /// Entries between snapshots, if not ours.
    pub snapshot_threshold: Option<u64>,
    /// Entries kept after a snapshot.
    pub trailing_logs: Option<u64>,
}

/// Reads a `storage` stanza.
///
/// # Errors
/// The first mistake.
pub fn read(config: &mut Config, file: &str, block: &Stanza) -> Result<Storage, ConfigError> {
    if block.label != "raft" {
        let text = format!("storage {:?} is not supported: use storage \"raft\", which needs no other service", block.label);
        return Err(ConfigError::at(file, block.line, text));
    }
    let mut fields = Fields::of(file, block);
    let path = fields.text("path")?.map(PathBuf::from).unwrap_or_default();
    let mut storage = Storage {
        path,
        node_id: fields.text("node_id")?,
        retry_join: Vec::new(),
        joins_without_vote: fields.flag("retry_join_as_non_voter")?.unwrap_or(false),
        performance_multiplier: fields.number("performance_multiplier")?.filter(|n| *n > 0).unwrap_or(1),
        snapshot_threshold: fields.number("snapshot_threshold")?.filter(|n| *n > 0),
        trailing_logs: fields.number("trailing_logs")?.filter(|n| *n > 0),
    };
    if storage.performance_multiplier > 10 {
        return Err(ConfigError::at(file, block.line, "performance_multiplier must be at most 10"));
    }
    fields.accept(&[
        "max_entry_size",
        "snapshot_interval",
        "autopilot_reconcile_interval",
        "autopilot_update_interval",
        "raft_wal",
        "raft_log_verifier_enabled",
        "raft_log_verification_interval",
    ]);
    fields.finish(&mut config.warnings);
    for inner in &block.blocks {
        if inner.name == "retry_join" {
            storage.retry_join.push(retry_join(config, file, inner)?);
        } else {
            config.warnings.push(unknown(file, &inner.name, inner.line));
        }
    }
    Ok(storage)
}

fn retry_join(config: &mut Config, file: &str, block: &Stanza) -> Result<JoinTarget, ConfigError> {
    let mut fields = Fields::of(file, block);
    if fields.text("auto_join")?.is_some() {
        return Err(ConfigError::at(file, block.line, "auto_join is not supported: set leader_api_addr"));
    }
    let leader_api_addr =
        fields.text("leader_api_addr")?.ok_or_else(|| ConfigError::at(file, block.line, "retry_join needs leader_api_addr"))?;
    let mut pem = |inline: &str| -> Result<String, ConfigError> {
        let text = fields.text(inline)?;
        match fields.text(&format!("{inline}_file"))? {
            None => Ok(text.unwrap_or_default()),
            Some(path) => {
                std::fs::read_to_string(&path).map_err(|error| ConfigError::at(file, block.line, format!("cannot read {path}: {error}")))
            }
        }
    };
    let leader_ca_cert = pem("leader_ca_cert")?;
    let leader_client_cert = pem("leader_client_cert")?;
    let leader_client_key = pem("leader_client_key")?;
    let leader_tls_servername = fields.text("leader_tls_servername")?.unwrap_or_default();
    fields.accept(&["auto_join_scheme", "auto_join_port"]);
    fields.finish(&mut config.warnings);
    Ok(JoinTarget { leader_api_addr, leader_ca_cert, leader_client_cert, leader_client_key, leader_tls_servername })
}
