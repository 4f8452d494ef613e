//! What the load generator is told, and what it tells.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Where requests go.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Target {
    /// The Vault API over HTTP/1.1.
    Vault { address: String, token: String },
    /// etcd's API over gRPC.
    Etcd { address: String },
}

/// What is done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Work {
    /// Writes keys: a KV version 2 secret, or etcd's put.
    Write,
    /// All clients write one and the same key, which is none of the others.
    WriteOne,
    /// Reads keys that were written.
    Read,
    /// Writes every key once, and ends.
    Fill,
    /// Reads every key and token in the ledger once, and compares.
    ReadBack,
    /// Any request of the Vault API without a key. With `keep_token`, the token in the answer is kept in the ledger.
    Call { method: String, path: String, body: String, keep_token: bool },
}

/// How requests follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Pace {
    /// Each client sends when it has its answer.
    Closed,
    /// So many a second, evenly.
    Open { rate: f64 },
}

/// All of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Plan {
    pub target: Target,
    pub work: Work,
    pub pace: Pace,
    /// Connections.
    pub clients: u32,
    /// Keys `0..keys`, shared out among the clients: no two clients write the same.
    pub keys: u32,
    pub value_bytes: usize,
    pub warm_up_seconds: f64,
    pub seconds: f64,
    /// After measuring, go on until the connections break: the servers are being killed.
    pub until_killed: bool,
    /// What was acknowledged: read before, written after.
    pub ledger: Option<PathBuf>,
}

/// A line on standard output.
#[derive(Debug, Serialize, Deserialize)]
pub enum Event {
    /// Warmed up: what counts begins now.
    Measuring,
    /// What counts is over.
    Measured,
    /// All is over.
    Outcome(Box<Outcome>),
}

/// What came of a plan.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Outcome {
    /// Seconds that were measured.
    pub seconds: f64,
    /// Requests answered well in that time.
    pub completed: u64,
    /// Others, by status or error, at any time before the end of measuring.
    pub failed: BTreeMap<String, u64>,
    /// Open loop: requests that should have been sent in that time.
    pub intended: u64,
    /// Latencies of those completed: (microseconds, how many).
    pub latencies_us: Vec<(u64, u64)>,
    /// What the generator itself cost in that time.
    pub own_cpu_us: f64,
    /// Read-back: how many keys and tokens were compared, and what did not fit.
    pub compared: u64,
    pub wrong: Vec<String>,
}
