//! Metrics of replication, under the names that Vault's have.

/// Whether this cluster is a performance primary: 0 or 1.
pub const IS_PRIMARY: &str = "vault.core.replication.performance.primary";
/// Whether this cluster is a performance secondary: 0 or 1.
pub const IS_SECONDARY: &str = "vault.core.replication.performance.secondary";
/// Number of the last entry with shared or local writes.
pub const LAST_WAL: &str = "vault.replication.wal.last_wal";
/// Number of the last record.
pub const LAST_PERFORMANCE_WAL: &str = "vault.replication.wal.last_performance_wal";
/// Number of the last entry that a DR secondary would follow.
pub const LAST_DR_WAL: &str = "vault.replication.wal.last_dr_wal";
/// On a secondary: number of the last record applied from the primary.
pub const LAST_REMOTE_WAL: &str = "vault.replication.fsm.last_remote_wal";
/// Records kept for secondaries that are away.
pub const BUFFER_LENGTH: &str = "vault.logshipper.buffer.length";
/// Bytes of records kept for secondaries that are away.
pub const BUFFER_SIZE: &str = "vault.logshipper.buffer.size";
/// Bytes of records that are kept at most.
pub const BUFFER_MAX_SIZE: &str = "vault.logshipper.buffer.max_size";
/// Records removed because of size or age.
pub const WAL_DELETED: &str = "vault.wal.gc.deleted";
/// Streams that began with records, because the secondary's position was found.
pub const GUARD_FOUND: &str = "vault.logshipper.streamWALs.guard_found";
/// Streams that began with a comparison, because it was not.
pub const MISSING_GUARD: &str = "vault.logshipper.streamWALs.missing_guard";
/// Milliseconds that a comparison of pages took.
pub const MERKLE_DIFF: &str = "vault.replication.merkleDiff";
/// How far a secondary is behind, in seconds. Asks: would a failover now lose shared writes?
/// Labels: `secondary`, bounded by `SECONDARIES_MAX`; absent on a secondary itself.
pub const LAG_SECONDS: &str = "vault.replication.lag_seconds";
/// How far a secondary is behind, in records. Labels as [`LAG_SECONDS`].
pub const LAG_RECORDS: &str = "vault.replication.lag_records";
/// Records sent to secondaries.
pub const RECORDS_SENT: &str = "coffer_replication_records_sent_total";
/// Whether this cluster is a DR primary: never.
pub const IS_DR_PRIMARY: &str = "vault.core.replication.dr.primary";
/// Whether this cluster is a DR secondary: never.
pub const IS_DR_SECONDARY: &str = "vault.core.replication.dr.secondary";
/// The last record whose rows the trees cover: sums are stored with their rows.
pub const COMMIT_INDEX: &str = "vault.replication.merkle.commit_index";
/// Milliseconds that a look for records to remove took.
pub const WAL_GC: &str = "vault.replication.wal.gc";
/// Records on disk.
pub const WAL_TOTAL: &str = "vault.wal.gc.total";
/// On a primary: milliseconds of a heartbeat to a secondary, there and back.
pub const ECHO: &str = "vault.replication.rpc.server.echo";
/// On a secondary's active node: 1 for the state that it is in, 0 for the others. Label: `state`.
pub const STATE: &str = "vault.replication.state";
