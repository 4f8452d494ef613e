//! Three nodes as processes on loopback, with their data in the scratch folder: all on one disk, for every system alike.
//!
//! All serve plain HTTP (etcd: gRPC) to clients, speak their own TLS between nodes, have no audit device unless asked, and are used with a
//! token that is not root's. Ended with the scoreboard, however it ends.
//! Not here: load on them ([`crate::load`]).

pub mod coffer;
pub mod etcd;
pub mod openbao;
pub mod pair;
pub mod server;
pub mod vault;
pub mod vault_api;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::load::plan::Target;
use server::Server;

/// How many nodes each cluster has.
pub const NODES: u32 = 3;
/// How long anything may take that is waited for: starting, electing, unsealing.
pub const LONG: Duration = Duration::from_secs(60);

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum System {
    Coffer,
    OpenBao,
    Etcd,
}

impl System {
    /// Its name in results and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Coffer => "coffer",
            Self::OpenBao => "openbao",
            Self::Etcd => "etcd",
        }
    }

    /// How many of `many` it is given where Coffer takes minutes to be filled: OpenBao a tenth, as it would take hours.
    pub fn share_of(self, many: u32) -> u32 {
        if self == Self::Coffer { many } else { many / 10 }
    }
}

/// What a cluster starts with, beyond what all have.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// A folder of its own, not there yet.
    pub folder: PathBuf,
    /// A name that its nodes' names begin with.
    pub name: String,
    /// One audit device of type `file`, in each node's folder.
    pub audit: bool,
}

/// Counters of the systems' own, by name.
pub type OwnCounters = BTreeMap<&'static str, f64>;

/// Snapshots that the nodes of a cluster took of themselves since they started.
#[derive(Clone, Copy, Default)]
pub struct Checkpoints {
    pub count: f64,
    /// Time for all of them, in which the node applied nothing.
    pub ms: f64,
    /// The longest of the last minute or so.
    pub longest_ms: Option<f64>,
}

/// A running cluster.
pub trait Cluster {
    fn system(&self) -> System;
    fn servers(&self) -> &[Server];
    fn servers_mut(&mut self) -> &mut [Server];
    /// Where clients send writes: the active node, with a token.
    ///
    /// # Errors
    /// If there is no active node within [`LONG`].
    fn target(&self) -> anyhow::Result<Target>;
    /// Where clients reach each node, in the order of the servers.
    fn targets(&self) -> Vec<Target>;
    /// Raft's term: it grows with each election. `None` if nobody says.
    fn term(&self) -> Option<f64> {
        None
    }
    /// Starts what is not running, and returns once the cluster takes writes.
    ///
    /// # Errors
    /// If it does not within [`LONG`].
    fn restart(&mut self) -> anyhow::Result<()>;

    /// kill -9 of all nodes, as close to at once as can be.
    fn kill(&mut self) {
        for server in self.servers_mut() {
            server.signal_kill();
        }
        for server in self.servers_mut() {
            server.reap();
        }
    }
    /// What the system counts itself, by the name of the value, over all nodes.
    fn own_counters(&self) -> OwnCounters {
        OwnCounters::new()
    }
    /// The root token, where there is such a thing.
    fn root_token(&self) -> Option<String> {
        None
    }
    /// Snapshots that the nodes have taken of themselves; `None` if they do not say.
    fn checkpoints(&self) -> Option<Checkpoints> {
        None
    }
    /// Size of all audit files, in bytes.
    fn audited_bytes(&self) -> f64 {
        0.0
    }
    /// Process ids of running nodes.
    fn pids(&self) -> Vec<u32> {
        self.servers().iter().filter_map(Server::pid).collect()
    }
}

/// Asks again and again until `found` finds something.
///
/// # Errors
/// With `what`, after `limit`.
pub fn wait_for<T>(what: &str, limit: Duration, mut found: impl FnMut() -> Option<T>) -> anyhow::Result<T> {
    let start = Instant::now();
    loop {
        if let Some(found) = found() {
            return Ok(found);
        }
        anyhow::ensure!(start.elapsed() < limit, "waited {limit:?} for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
