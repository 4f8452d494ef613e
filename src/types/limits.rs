//! Every bound, with its reason; their relations are asserted here.

use std::time::Duration;

/// Longest API path, in bytes. Longer names do not fit a log line, and every name becomes part of a key.
pub const API_PATH_BYTES_MAX: usize = 4096;

/// Largest request body, in bytes: Vault's default (`max_request_size`).
pub const BODY_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Part of a body that takes nothing from [`BODIES_KIB_MAX`], in bytes: small requests pass whatever the large ones do.
pub const BODY_BYTES_FREE: usize = 64 * 1024;

/// Most memory for the rest of all bodies that arrive or are being served at one time, in KiB: anybody may send them.
pub const BODIES_KIB_MAX: usize = 512 * 1024;

/// Deepest nesting of a JSON body: bounds the stack that reading it takes. Vault allows 300; `serde_json` reads 128 levels, and
/// what is stored lies a few levels deeper than it came, so a body that was accepted can always be read back.
pub const JSON_DEPTH_MAX: usize = 100;

/// Longest string in a JSON body, in bytes (Vault: `max_json_string_value_length`).
pub const JSON_STRING_BYTES_MAX: usize = 1024 * 1024;

/// Most keys of one JSON object, and most elements of one array, in a body.
pub const JSON_ITEMS_MAX: usize = 10_000;

/// Largest batch, in bytes. A batch is one Raft entry, and an entry is sent whole, so it must fit one RPC message.
/// Vault's `max_entry_size` is 1 MiB for one value; a batch holds the value and what goes with it.
pub const BATCH_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Most operations of one batch: bounds the time one entry may keep the others waiting.
pub const BATCH_OPS_MAX: usize = 4096;

/// Most that an entry adds to its batch, in bytes.
pub const ENTRY_OVERHEAD_BYTES_MAX: usize = 64 * 1024;

/// Largest message between nodes, in bytes.
pub const RPC_MESSAGE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Most bytes of entries that one append message carries; a larger single entry still goes alone.
pub const APPEND_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Largest frame of replication records, in bytes, before compression; a larger single record still goes alone. Small where clusters are simulated: their
/// data are few, and what comes in several frames must be seen to do so.
pub const FRAME_BYTES_MAX: usize = if cfg!(feature = "sim") { 4096 } else { 1024 * 1024 };

/// How often a handler runs again because something it read has changed.
pub const CONFLICT_RETRIES_MAX: u32 = 32;

/// How long a request that did nothing yet waits for another node to take over: about as long as an election takes, thrice.
pub const FAILOVER_PATIENCE: Duration = Duration::from_secs(6);

/// How often it looks whether one did.
pub const FAILOVER_LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Longest token accepted in a header, in bytes.
pub const TOKEN_BYTES_MAX: usize = 8 * 1024;

/// Longest a TTL may be, in seconds: ten years. Keeps every sum of times far from overflow.
pub const TTL_SECS_MAX: u64 = 10 * 365 * 24 * 3600;

/// Vault's default lease TTL: 32 days.
pub const DEFAULT_LEASE_TTL_SECS: u64 = 768 * 3600;

/// Most secondaries of one primary: bounds metrics' labels and the streams of an active node.
pub const SECONDARIES_MAX: usize = 64;

/// Join challenges that wait for an answer at one time: bounds what strangers can make a node remember (CVE-2024-8185).
pub const JOIN_CHALLENGES_MAX: usize = 32;

/// How long a join challenge waits for its answer.
pub const JOIN_CHALLENGE_LIFE: Duration = Duration::from_secs(120);

/// Longest name of a joining node, in bytes: it becomes part of a certificate and of every list of peers.
pub const JOIN_NAME_BYTES_MAX: usize = 256;

/// How often a node looks for the cluster that it shall join: Vault's.
pub const JOIN_RETRY: Duration = Duration::from_secs(2);

/// How long a node that proved itself waits for the cluster's state before it proves itself again.
pub const JOIN_PATIENCE: Duration = Duration::from_secs(15);

/// How long a node that joins under a voter's name waits until that voter is removed.
pub const JOIN_REMOVE_MAX: Duration = Duration::from_secs(10);

/// How long a leader tries to add a node while other changes of membership are under way.
pub const JOIN_ADD_MAX: Duration = Duration::from_secs(120);

/// How long a part of the active node may take to start or stop, so that one that hangs does not keep a cluster without an active node.
pub const START_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a node that stepped down stays out of leadership: Vault's.
pub const RESTING: Duration = Duration::from_secs(10);

/// How long one request may wait for Raft before its outcome is reported as unknown.
pub const COMMIT_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a performance secondary waits for its own forwarded write to come back, unless configured: Vault's default.
pub const WAL_WAIT_DEFAULT: Duration = Duration::from_secs(2);

/// Most bytes of records kept for secondaries that are away.
pub const WAL_KEEP_BYTES_DEFAULT: u64 = 1024 * 1024 * 1024;

/// Longest that records are kept for secondaries that are away.
pub const WAL_KEEP_DEFAULT: Duration = Duration::from_secs(72 * 3600);

/// Most names of one cluster whose failed logins are remembered without anyone having the name: anybody may make them up. Ten thousand
/// such names are a few megabytes, and counting them takes a few milliseconds.
pub const LOCKOUT_NAMES_MAX: usize = 10_000;

/// Longest name at a login, in bytes: it becomes part of rows that anybody can cause to be written.
pub const LOGIN_NAME_BYTES_MAX: usize = 256;

/// Most password hashes that wait for a processor at one time: what comes beyond them is told to try again later.
pub const PASSWORD_HASHES_WAITING_MAX: usize = 512;

/// Most names that one page of an internal listing holds.
pub const PAGE_NAMES_MAX: usize = 1000;

const _: () = assert!(BATCH_BYTES_MAX + ENTRY_OVERHEAD_BYTES_MAX <= RPC_MESSAGE_BYTES_MAX);
const _: () = assert!(APPEND_BYTES_MAX + BATCH_BYTES_MAX + ENTRY_OVERHEAD_BYTES_MAX <= RPC_MESSAGE_BYTES_MAX);
const _: () = assert!(FRAME_BYTES_MAX + BATCH_BYTES_MAX + ENTRY_OVERHEAD_BYTES_MAX <= RPC_MESSAGE_BYTES_MAX);
const _: () = assert!(BODY_BYTES_MAX / 1024 <= BODIES_KIB_MAX);
const _: () = assert!(JSON_STRING_BYTES_MAX < BATCH_BYTES_MAX);
const _: () = assert!(JSON_DEPTH_MAX + 20 <= 128);
