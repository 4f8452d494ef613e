//! What load balancers, probes and clients ask first: `sys/health`, `sys/leader`, `sys/ha-status`. Which status a kind of health
//! has on the wire, and what a query may make of it, is decided in `http`.

use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::cluster_identity::ClusterIdentity;
use super::{Context, Sealed, Standing};
use crate::machine::Role;
use crate::raft::{Contacts, RaftStatus};
use crate::types::{API_VERSION, Timestamp};

/// Go's zero time: never.
const NEVER: &str = "0001-01-01T00:00:00Z";

/// Decides the status of `sys/health`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HealthKind {
    /// 501, `uninitcode`.
    Uninitialized,
    /// 530, `removedcode`.
    Removed,
    /// 503, `sealedcode`.
    Sealed,
    /// A standby that has no active node: 474, `haunhealthycode`; `standbyok` does not apply.
    Unhealthy,
    /// 429, `standbycode`, `standbyok`.
    Standby,
    /// 200, `activecode`.
    Active,
}

impl HealthKind {
    /// The first rule that matches. A node that waits for its leader to send the state is sealed.
    pub fn of(standing: &Standing) -> Self {
        match standing {
            Standing::Uninitialized => Self::Uninitialized,
            Standing::Removed => Self::Removed,
            Standing::Sealed => Self::Sealed,
            Standing::Standby { active: None } if !bug!(126) => Self::Unhealthy,
            Standing::Standby { .. } => Self::Standby,
            Standing::Active => Self::Active,
        }
    }
}

/// `sys/health`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Health {
    /// Decides the status.
    #[serde(skip)]
    pub kind: HealthKind,
    /// Whether the cluster exists.
    pub initialized: bool,
    /// Whether this node has no keys.
    pub sealed: bool,
    /// Whether it is not active.
    pub standby: bool,
    /// Never.
    pub performance_standby: bool,
    /// `disabled`, `primary`, `secondary`, `bootstrapping`; `unknown` while sealed.
    pub replication_performance_mode: &'static str,
    /// `disabled`; `unknown` while sealed.
    pub replication_dr_mode: &'static str,
    /// In seconds.
    pub server_time_utc: u64,
    /// The version whose API this speaks.
    pub version: &'static str,
    /// Never.
    pub enterprise: bool,
    /// While unsealed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_name: Option<String>,
    /// While unsealed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_id: Option<String>,
    /// The last record of the shared history, on the active node of a replicated cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_wal: Option<u64>,
    /// Not measured.
    pub echo_duration_ms: u64,
    /// Not measured.
    pub clock_skew_ms: u64,
    /// Not measured.
    pub replication_primary_canary_age_ms: u64,
    /// Whether this node was removed from its cluster.
    pub removed_from_cluster: bool,
    /// On standbys: whether there is an active node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ha_connection_healthy: Option<bool>,
    /// On standbys: how long ago the active node was last heard of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_request_forwarding_heartbeat_ms: Option<u64>,
}

impl Health {
    /// Of a node that stands so.
    pub fn of(context: &Context, standing: &Standing) -> Self {
        let kind = HealthKind::of(standing);
        let role = context.store.role();
        let cluster = ClusterIdentity::of(context);
        let is_open = matches!(standing, Standing::Standby { .. } | Standing::Active);
        let wal = context.store.positions().performance.wal.0;
        Self {
            kind,
            initialized: kind != HealthKind::Uninitialized,
            sealed: !is_open,
            standby: *standing != Standing::Active,
            performance_standby: false,
            replication_performance_mode: if is_open { role.mode() } else { "unknown" },
            replication_dr_mode: if is_open { "disabled" } else { "unknown" },
            server_time_utc: context.now().secs(),
            version: API_VERSION,
            enterprise: false,
            cluster_name: cluster.as_ref().map(|cluster| cluster.name.clone()),
            cluster_id: cluster.map(|cluster| cluster.id),
            last_wal: (kind == HealthKind::Active && role != Role::Alone && wal > 0).then_some(wal),
            echo_duration_ms: 0,
            clock_skew_ms: 0,
            replication_primary_canary_age_ms: 0,
            removed_from_cluster: *standing == Standing::Removed,
            ha_connection_healthy: match standing {
                Standing::Standby { active } => Some(active.is_some()),
                _ => None,
            },
            last_request_forwarding_heartbeat_ms: match standing {
                Standing::Standby { .. } => context.raft.contacts().leader.map(millis),
                _ => None,
            },
        }
    }
}

/// `sys/leader`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LeaderStatus {
    /// Always: storage is Raft.
    pub ha_enabled: bool,
    /// Whether this node is active.
    pub is_self: bool,
    /// Since when it is, or the zero time.
    pub active_time: String,
    /// URL of the active node's API, or empty.
    pub leader_address: String,
    /// URL of the active node's cluster listener, or empty.
    pub leader_cluster_address: String,
    /// Never.
    pub performance_standby: bool,
    /// Always zero.
    pub performance_standby_last_remote_wal: u64,
    /// The last record of the shared history, on the active node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_wal: Option<u64>,
    /// The last entry known to be committed.
    pub raft_committed_index: u64,
    /// The last entry applied here.
    pub raft_applied_index: u64,
}

impl LeaderStatus {
    /// As this node knows it.
    ///
    /// # Errors
    /// While sealed, or before there is a cluster.
    pub fn of(context: &Context, standing: &Standing, active_since: Option<Timestamp>) -> Result<Self, Sealed> {
        if !matches!(standing, Standing::Standby { .. } | Standing::Active) {
            return Err(Sealed);
        }
        let raft = context.raft.status().borrow().clone();
        let is_self = *standing == Standing::Active;
        let leader = if is_self { raft.peers.iter().find(|peer| peer.id == raft.id) } else { raft.leader_peer() };
        let wal = context.store.positions().performance.wal.0;
        Ok(Self {
            ha_enabled: true,
            is_self,
            active_time: active_since.filter(|_| is_self).map_or_else(|| NEVER.to_owned(), Timestamp::rfc3339),
            leader_address: leader.map_or_else(String::new, |peer| peer.member.api_addr.clone()),
            leader_cluster_address: leader.map_or_else(String::new, |peer| format!("https://{}", peer.member.cluster_addr)),
            performance_standby: false,
            performance_standby_last_remote_wal: 0,
            last_wal: (is_self && context.store.role() != Role::Alone && wal > 0).then_some(wal),
            raft_committed_index: raft.committed.0,
            raft_applied_index: raft.applied.0,
        })
    }
}

/// `sys/ha-status`, as the active node knows it. Raft's heartbeats are the echoes; clocks are not compared.
pub fn ha_status(raft: &RaftStatus, contacts: &Contacts, now: Timestamp) -> Map<String, Value> {
    let mut peers: Vec<_> = raft.peers.iter().collect();
    peers.sort_by(|a, b| a.member.api_addr.cmp(&b.member.api_addr));
    let nodes: Vec<Value> = peers
        .into_iter()
        .map(|peer| {
            let contact = contacts.peers.get(&peer.id).copied().unwrap_or_default();
            let echoed = contact.answered.map(|ago| Timestamp(now.0.saturating_sub(millis(ago))).rfc3339());
            json!({
                "hostname": peer.member.name,
                "api_address": peer.member.api_addr,
                "cluster_address": format!("https://{}", peer.member.cluster_addr),
                "active_node": raft.leader == Some(peer.id),
                "last_echo": echoed,
                "echo_duration_ms": contact.round_trip.map_or(0, millis),
                "clock_skew_ms": 0,
                "replication_primary_canary_age_ms": 0,
                "version": API_VERSION,
                "upgrade_version": API_VERSION,
                "redundancy_zone": "",
            })
        })
        .collect();
    Map::from_iter([("nodes".to_owned(), Value::Array(nodes))])
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn health_follows_how_a_node_stands() {
        let other = crate::raft::Peer { id: crate::types::NodeId(2), member: crate::raft::Member::default(), is_voter: true };
        for (standing, expected) in [
            (Standing::Uninitialized, HealthKind::Uninitialized),
            (Standing::Removed, HealthKind::Removed),
            (Standing::Sealed, HealthKind::Sealed),
            (Standing::Standby { active: None }, HealthKind::Unhealthy),
            (Standing::Standby { active: Some(other) }, HealthKind::Standby),
            (Standing::Active, HealthKind::Active),
        ] {
            assert_eq!(HealthKind::of(&standing), expected, "{standing:?}");
        }
    }
}
