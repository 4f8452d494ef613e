//! Names of this folder's metrics.

/// Connections that were refused, by `reason`.
pub const REFUSED: &str = "coffer_cluster_connections_refused_total";
/// Connections now open, by `class`.
pub const OPEN: &str = "coffer_cluster_connections_open";
/// Attempts to reach another node that failed.
pub const DIALS_FAILED: &str = "coffer_cluster_dials_failed_total";
/// Requests handed on, by `to` (`active`, `primary`) and `outcome` (`answered`, `unreachable`, `unknown`).
pub const FORWARDED: &str = "coffer_cluster_forwarded_total";
/// Bytes of snapshot files, by `direction`.
pub const SNAPSHOT_BYTES: &str = "coffer_cluster_snapshot_bytes_total";
/// Links that were cut because the secondary was revoked.
pub const LINKS_CUT: &str = "coffer_cluster_links_cut_total";
/// Renewals of this node's certificate, by `outcome`.
pub const RENEWALS: &str = "coffer_cluster_certificate_renewals_total";
/// Bytes sent to secondaries: as they are on the wire, compressed, before TLS encrypts them.
pub const LINK_SENT_BYTES: &str = "coffer_cluster_link_sent_bytes_total";
/// Bytes received from secondaries: as [`LINK_SENT_BYTES`].
pub const LINK_RECEIVED_BYTES: &str = "coffer_cluster_link_received_bytes_total";
/// Bytes of messages sent to secondaries on their links, before they are compressed.
pub const LINK_MESSAGE_BYTES: &str = "coffer_cluster_link_message_bytes_total";
/// On a standby: milliseconds until the active node had answered a request that was handed on.
pub const FORWARD: &str = "vault.ha.rpc.client.forward";
/// Of those, how many were not answered.
pub const FORWARD_ERRORS: &str = "vault.ha.rpc.client.forward.errors";
/// On a secondary: milliseconds until the primary had answered a shared write that was handed on.
pub const FORWARD_SHARED: &str = "vault.replication.rpc.client.forward";
/// On a primary: milliseconds that a write of a secondary took.
pub const SERVE_SHARED: &str = "vault.replication.rpc.server.forwarding_request";
