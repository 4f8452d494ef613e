//! Three nodes of etcd: Debian's `etcd-server`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::Value;

use super::server::{Server, free_ports};
use super::{Cluster, LONG, NODES, System, Wanted, wait_for};
use crate::load::plan::Target;

/// The cluster.
pub struct EtcdCluster {
    servers: Vec<Server>,
    addresses: Vec<String>,
}

/// Where the binary is.
///
/// # Errors
/// If it is nowhere, with what to do.
pub fn binary() -> anyhow::Result<PathBuf> {
    super::server::program("COFFER_BENCH_ETCD", "etcd")
}

/// Version of the binary.
///
/// # Errors
/// If it cannot be run.
pub fn version(binary: &Path) -> anyhow::Result<String> {
    super::server::said_by(binary, &["--version"])
}

/// Starts a cluster.
///
/// # Errors
/// If a node does not start or they do not elect.
pub fn start(binary: &Path, wanted: &Wanted) -> anyhow::Result<EtcdCluster> {
    fs::create_dir_all(&wanted.folder)?;
    let ports = free_ports(2 * NODES as usize)?;
    let name = |node: usize| format!("{}{}", wanted.name, node + 1);
    let peers: Vec<String> =
        ports.chunks(2).enumerate().map(|(node, pair)| format!("{}=https://127.0.0.1:{}", name(node), pair[1])).collect();
    let (mut servers, mut addresses) = (Vec::new(), Vec::new());
    for (node, pair) in ports.chunks(2).enumerate() {
        let (client, peer) = (format!("http://127.0.0.1:{}", pair[0]), format!("https://127.0.0.1:{}", pair[1]));
        let folder = wanted.folder.join(name(node));
        let arguments: Vec<String> = [
            ("--name", name(node)),
            ("--data-dir", folder.display().to_string()),
            ("--listen-client-urls", client.clone()),
            ("--advertise-client-urls", client),
            ("--listen-peer-urls", peer.clone()),
            ("--initial-advertise-peer-urls", peer),
            ("--initial-cluster", peers.join(",")),
            ("--initial-cluster-state", "new".into()),
            ("--log-level", "error".into()),
            ("--logger", "zap".into()),
        ]
        .into_iter()
        .flat_map(|(option, value)| [option.to_owned(), value])
        // Its own TLS between nodes, as the others have.
        .chain(["--peer-auto-tls".to_owned()])
        .collect();
        servers.push(Server::new(&name(node), binary, arguments, wanted.folder.join(format!("{}.log", name(node)))));
        addresses.push(format!("127.0.0.1:{}", pair[0]));
    }
    let mut cluster = EtcdCluster { servers, addresses };
    cluster.restart()?;
    Ok(cluster)
}

impl EtcdCluster {
    /// The leader's address; `None` if nobody knows one.
    fn leader(&self) -> Option<String> {
        self.addresses.iter().find(|address| is_leader(address).unwrap_or(false)).cloned()
    }
}

/// Asked through etcd's JSON gateway.
fn is_leader(address: &str) -> anyhow::Result<bool> {
    let mut answer = ureq::post(format!("http://{address}/v3/maintenance/status")).send("{}")?;
    let status: Value = serde_json::from_str(&answer.body_mut().read_to_string()?)?;
    let leader = status["leader"].as_str().context("no leader")?;
    Ok(Some(leader) == status["header"]["member_id"].as_str())
}

impl Cluster for EtcdCluster {
    fn system(&self) -> System {
        System::Etcd
    }
    fn servers(&self) -> &[Server] {
        &self.servers
    }
    fn servers_mut(&mut self) -> &mut [Server] {
        &mut self.servers
    }
    fn target(&self) -> anyhow::Result<Target> {
        let address = wait_for("a leader of etcd", LONG, || self.leader())?;
        Ok(Target::Etcd { address })
    }
    fn targets(&self) -> Vec<Target> {
        self.addresses.iter().map(|address| Target::Etcd { address: address.clone() }).collect()
    }
    fn restart(&mut self) -> anyhow::Result<()> {
        for server in &mut self.servers {
            server.start()?;
        }
        self.target().map(|_| ()).with_context(|| self.servers[0].last_words())
    }
}
