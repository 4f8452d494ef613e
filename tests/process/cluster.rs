//! Three processes that are one cluster.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::node::{Node, free_ports, wait_until};

pub struct Cluster {
    pub nodes: Vec<Node>,
    pub keys: Vec<String>,
    pub root: String,
}

impl Cluster {
    /// Starts `size` nodes, initializes the first, and unseals all: the others join by themselves.
    pub fn start(folder: &Path, name: &str, size: usize) -> Self {
        Self::start_with(folder, name, size, |_| {})
    }

    /// The same, after `prepare` has changed what it wants to.
    pub fn start_with(folder: &Path, name: &str, size: usize, mut prepare: impl FnMut(&Node)) -> Self {
        let ports: Vec<u16> = (0..size).map(|_| free_ports()).collect();
        let mut nodes: Vec<Node> = ports
            .iter()
            .enumerate()
            .map(|(n, port)| {
                let others: Vec<u16> = ports.iter().copied().filter(|other| other != port).collect();
                Node::new(folder, name, &format!("{name}-{n}"), *port, &others)
            })
            .collect();
        nodes.iter().for_each(&mut prepare);
        nodes.iter_mut().for_each(Node::start);
        let init = nodes[0].must("sys/init", "", &json!({"secret_shares": 3, "secret_threshold": 2}));
        let texts =
            |value: &Value| -> Vec<String> { value.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect() };
        let keys = texts(&init["keys_base64"])[..2].to_vec();
        let root = init["root_token"].as_str().unwrap().to_owned();
        for node in &nodes {
            node.unseal(&keys);
        }
        let cluster = Self { nodes, keys, root };
        wait_until("all nodes are voters", Duration::from_secs(60), || {
            let Some((200, answer)) = cluster.active().get("sys/storage/raft/configuration", &cluster.root) else { return false };
            let servers = answer["data"]["config"]["servers"].as_array().cloned().unwrap_or_default();
            servers.len() == size && servers.iter().all(|server| server["voter"] == true)
        });
        cluster
    }

    /// The number of the active node, once there is one.
    pub fn active_index(&self) -> usize {
        let mut found = None;
        wait_until("a node is active", Duration::from_secs(60), || {
            found = self.nodes.iter().position(|node| node.is_running() && node.health() == 200);
            found.is_some()
        });
        found.unwrap()
    }

    pub fn active(&self) -> &Node {
        &self.nodes[self.active_index()]
    }

    /// Starts a killed node again and unseals it.
    pub fn revive(&mut self, n: usize, keys: &[String]) {
        self.nodes[n].start();
        self.nodes[n].unseal(keys);
    }
}
