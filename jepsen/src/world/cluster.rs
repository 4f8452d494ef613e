//! Nodes that are one cluster: brought up from nothing, asked who leads, put together again after faults.
//!
//! Everything here goes over the control plane. Not here: replication between clusters (`replicate`), faults (`nemesis`).

use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::node::Node;
use super::topo::Part;

/// What bringing up and healing may take.
pub const LONG: Duration = Duration::from_secs(90);

/// What opens a cluster.
#[derive(Clone, Debug, Default)]
pub struct Secrets {
    /// As many unseal keys as are needed.
    pub keys: Vec<String>,
    /// A token that may do everything in this cluster.
    pub token: String,
}

/// A cluster under test.
pub struct Cluster {
    /// `a`, `p`, `s`.
    pub name: String,
    /// Its part in replication, as the run began.
    pub part: Part,
    /// Its nodes.
    pub nodes: Vec<Node>,
    secrets: RwLock<Secrets>,
}

impl Cluster {
    /// A cluster of nodes that were never started.
    pub fn new(name: &str, part: Part, nodes: Vec<Node>) -> Self {
        Self { name: name.to_owned(), part, nodes, secrets: RwLock::default() }
    }

    /// A token that may do everything.
    pub fn token(&self) -> String {
        self.secrets.read().unwrap_or_else(PoisonError::into_inner).token.clone()
    }

    /// The keys that unseal a node.
    pub fn keys(&self) -> Vec<String> {
        self.secrets.read().unwrap_or_else(PoisonError::into_inner).keys.clone()
    }

    /// Replaces keys, token, or both, when a rekey or replication changed them.
    pub fn change(&self, change: impl FnOnce(&mut Secrets)) {
        change(&mut self.secrets.write().unwrap_or_else(PoisonError::into_inner));
    }

    /// Starts all nodes, initializes the first, unseals all and waits until all vote.
    ///
    /// # Errors
    /// What did not happen in time.
    pub fn bring_up(&self) -> Result<(), String> {
        // All at once: each of them waits for the others.
        std::thread::scope(|scope| {
            let starts: Vec<_> = self.nodes.iter().map(|node| scope.spawn(|| node.start())).collect();
            starts.into_iter().try_for_each(|start| start.join().unwrap_or_else(|_| Err("a start panicked".to_owned())))
        })?;
        let init = self.nodes[0].must("sys/init", "", json!({"secret_shares": 3, "secret_threshold": 2}))?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let keys = init["keys_base64"].as_array().map(|keys| keys.iter().take(2).map(text).collect()).unwrap_or_default();
        self.change(|secrets| *secrets = Secrets { keys, token: text(&init["root_token"]) });
        self.open(LONG)?;
        let size = self.nodes.len();
        self.nodes[0].wait("sees all nodes vote", LONG, || self.voters().len() == size)
    }

    /// Unseals every node.
    ///
    /// # Errors
    /// If one is not unsealed within `limit`.
    pub fn open(&self, limit: Duration) -> Result<(), String> {
        self.nodes.iter().try_for_each(|node| node.unseal(|| self.keys(), limit))
    }

    /// Brings every node back: resumed, started, unsealed; and waits until one is active and all answer as members.
    ///
    /// # Errors
    /// What did not happen within `limit`: a finding, as nothing stands in the way.
    pub fn heal(&self, limit: Duration) -> Result<(), String> {
        self.nodes.iter().for_each(Node::resume);
        self.nodes.iter().try_for_each(Node::start)?;
        self.open(limit)?;
        let begin = Instant::now();
        loop {
            let healths: Vec<u16> = self.nodes.iter().map(Node::health).collect();
            let active = healths.iter().filter(|health| **health == 200).count();
            if active == 1 && healths.iter().all(|health| matches!(health, 200 | 429 | 472 | 473)) {
                return Ok(());
            }
            if begin.elapsed() > limit {
                return Err(format!("cluster {} is not whole after {limit:?}: health is {healths:?}", self.name));
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// The node that says it is active.
    pub fn active(&self) -> Option<&Node> {
        self.nodes.iter().find(|node| node.health() == 200)
    }

    /// The active node, once there is one.
    ///
    /// # Errors
    /// If there is none in time.
    pub fn await_active(&self) -> Result<&Node, String> {
        let begin = Instant::now();
        loop {
            if let Some(node) = self.active() {
                return Ok(node);
            }
            if begin.elapsed() > LONG {
                return Err(format!("cluster {} has no active node after {LONG:?}", self.name));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// A write through the active node that must succeed, tried again while leadership moves.
    ///
    /// # Errors
    /// What the last try said.
    pub fn must(&self, path: &str, body: &Value) -> Result<Value, String> {
        self.must_unless(path, body, || false).map(Option::unwrap_or_default)
    }

    /// As [`Self::must`], for what cannot be done twice: the answer of a try that was carried out may have been lost with its node, and
    /// whether `is_done` tells so before there is another. `None` if it was.
    ///
    /// # Errors
    /// What the last try said.
    pub fn must_unless(&self, path: &str, body: &Value, is_done: impl Fn() -> bool) -> Result<Option<Value>, String> {
        let begin = Instant::now();
        loop {
            match self.await_active().and_then(|node| node.must(path, &self.token(), body.clone())) {
                Ok(answer) => return Ok(Some(answer)),
                Err(_) if is_done() => return Ok(None),
                Err(_) if begin.elapsed() < Duration::from_secs(20) => std::thread::sleep(Duration::from_millis(300)),
                Err(error) => return Err(error),
            }
        }
    }

    /// Names of the nodes that vote, as the active node knows them.
    pub fn voters(&self) -> Vec<String> {
        let Some(active) = self.active() else { return Vec::new() };
        let Some(reply) = active.get("sys/storage/raft/configuration", &self.token()) else { return Vec::new() };
        let servers = reply.body["data"]["config"]["servers"].as_array().cloned().unwrap_or_default();
        let voters = servers.iter().filter(|server| server["voter"] == true);
        voters.filter_map(|server| server["node_id"].as_str().map(str::to_owned)).collect()
    }

    /// The node of that name.
    pub fn node(&self, name: &str) -> Option<&Node> {
        self.nodes.iter().find(|node| node.name == name)
    }

    /// What `sys/replication/performance/status` says, of the active node.
    pub fn replication(&self) -> Value {
        let reply = self.active().and_then(|node| node.get("sys/replication/performance/status", ""));
        reply.map(|reply| reply.body["data"].clone()).unwrap_or_default()
    }
}
