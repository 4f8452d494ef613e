//! openraft's settings. Several are not a matter of taste: with its defaults, acknowledged writes can be lost.

use openraft::{Config, SnapshotPolicy};

use super::{Options, StartError};

/// A snapshot of many gigabytes has this long to arrive and be installed.
const INSTALL_SNAPSHOT_MS: u64 = 10 * 60 * 1000;

/// openraft's configuration for `options`.
///
/// # Errors
/// If the timings contradict each other.
pub fn config(options: &Options) -> Result<Config, StartError> {
    let millis = |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let config = Config {
        cluster_name: "coffer".to_owned(),
        // A leader that restarts must be elected anew. Restored into its old term, it would give log ids whose entries were
        // replicated but not yet on its own disk to other commands, and followers would take those for duplicates.
        enable_leader_restore: Some(false),
        // A node that was cut off asks first and does not disturb a working leader with a higher term.
        enable_pre_vote: Some(true),
        // Also the life of each append and heartbeat message.
        heartbeat_interval: millis(options.heartbeat_interval),
        election_timeout_min: millis(options.election_timeout.0),
        // Also the length of the leader's lease, within which it answers reads alone.
        election_timeout_max: millis(options.election_timeout.1),
        // Covers transfer and installation. After the default of 200 ms the whole snapshot would be sent again, and again.
        install_snapshot_timeout: INSTALL_SNAPSHOT_MS,
        // `compaction` decides when: it knows bytes as well as entries, and staggers the nodes.
        snapshot_policy: SnapshotPolicy::Never,
        // `compaction` purges: only behind what is durable in the state, with a margin that spares slow followers a snapshot.
        max_in_snapshot_log_to_keep: u64::MAX,
        // Waiting for company costs a third of the throughput; the log's thread batches anyway.
        api_batch_linger_ms: 0,
        // Set again by `service` once no promise from before a restart can be broken.
        enable_elect: false,
        ..Config::default()
    };
    config.validate().map_err(|error| StartError::Raft(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::NodeId;

    #[test]
    fn settings_that_keep_acknowledged_writes_are_set() {
        let config = config(&Options::new(NodeId(1), "unused")).unwrap();
        assert_eq!(config.enable_leader_restore, Some(false));
        assert_eq!(config.enable_pre_vote, Some(true));
        assert_eq!(config.snapshot_policy, SnapshotPolicy::Never);
        assert_eq!(config.max_in_snapshot_log_to_keep, u64::MAX);
        assert!(config.install_snapshot_timeout >= 60_000);
        assert_eq!(config.api_batch_linger_ms, 0);
    }
}
