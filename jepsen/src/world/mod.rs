//! The world a test runs in: processes, network, disks, clocks, and what this machine can do to them.
//!
//! One network namespace without any uplink holds the run; each node has one of its own inside, with a single device that leads to
//! the switch. Clients are a node of that network too. Control never crosses it.

pub mod chaos;
pub mod clean;
pub mod cluster;
pub mod disk;
pub mod faultfs;
pub mod link;
pub mod netns;
pub mod node;
pub mod packet;
pub mod pcap;
pub mod probe;
pub mod process;
pub mod replicate;
pub mod rule;
pub mod switch;
pub mod topo;

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use crate::core::Rng;
use cluster::Cluster;
use link::Link;
use netns::Namespace;
use node::{Node, Settings};
use switch::Switch;
use topo::Topology;

/// What a run may choose of its world.
#[derive(Clone, Debug)]
pub struct Options {
    /// The product's program; a copy is run, so that a new build does not replace it.
    pub program: PathBuf,
    /// Clusters and nodes.
    pub topology: Topology,
    /// Nodes keep their data on a small file system of their own, of so many MiB.
    pub disk_mib: Option<u64>,
    /// Nodes keep their data on a disk that can lie and break.
    pub has_bad_disks: bool,
    /// Lines for `storage "raft"`, as `snapshot_threshold = 100`.
    pub storage: String,
    /// Whole stanzas for each node.
    pub stanzas: String,
    /// For each process.
    pub env: Vec<(String, String)>,
}

/// The link of the clients.
pub const CLIENTS: usize = 0;

/// All clusters of a run and the network between them.
pub struct World {
    /// In the order of the topology: the primary first.
    pub clusters: Vec<Cluster>,
    /// What is between them.
    pub switch: Switch,
    /// Where clients run.
    pub clients: Namespace,
    /// The run's folder.
    pub folder: PathBuf,
}

impl World {
    /// Makes namespaces, links and configurations; starts no node. The process must have left the world's network before.
    ///
    /// # Errors
    /// What this machine cannot do.
    pub fn new(folder: &Path, options: &Options, rng: &Rng) -> Result<Self, String> {
        let settings = settings(folder, options)?;
        let clients = Namespace::new()?;
        let mut links = vec![Link::new(&clients, Ipv4Addr::new(198, 18, 0, 1))?];
        let mut clusters = Vec::new();
        for (number, (cluster, part, size)) in options.topology.clusters.iter().enumerate() {
            let subnet = u8::try_from(number + 1).map_err(|_| "too many clusters")?;
            let addresses: Vec<Ipv4Addr> =
                (1..=*size).filter_map(|n| u8::try_from(n).ok()).map(|n| Ipv4Addr::new(198, 18, subnet, n)).collect();
            let mut nodes = Vec::new();
            for (n, address) in addresses.iter().enumerate() {
                let name = format!("{cluster}{}", n + 1);
                let namespace = Namespace::new()?;
                links.push(Link::new(&namespace, *address)?);
                if let Some(mib) = options.disk_mib {
                    disk::small(&folder.join("nodes").join(&name).join("data"), mib)?;
                }
                let disk =
                    options.has_bad_disks.then(|| faultfs::Disk::mount(&folder.join("nodes").join(&name).join("data"))).transpose()?;
                let others: Vec<Ipv4Addr> = addresses.iter().copied().filter(|other| other != address).collect();
                nodes.push(Node::new(folder, (cluster, &name, links.len() - 1), *address, &others, namespace, &settings, disk)?);
            }
            clusters.push(Cluster::new(cluster, *part, nodes));
        }
        Ok(Self { clusters, switch: Switch::start(links, rng), clients, folder: folder.to_owned() })
    }

    /// Starts everything: clusters one after the other, then replication between them.
    ///
    /// # Errors
    /// What did not happen in time.
    pub fn bring_up(&self) -> Result<(), String> {
        self.clusters.iter().try_for_each(Cluster::bring_up)?;
        if let [primary, secondaries @ ..] = &self.clusters[..] {
            if !secondaries.is_empty() {
                replicate::enable(primary)?;
            }
            for secondary in secondaries {
                replicate::activate(primary, secondary, &secondary.name)?;
            }
        }
        Ok(())
    }

    /// All nodes of all clusters.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.clusters.iter().flat_map(|cluster| &cluster.nodes)
    }

    /// The node of that name.
    pub fn node(&self, name: &str) -> Option<&Node> {
        self.nodes().find(|node| node.name == name)
    }

    /// The cluster of that name.
    pub fn cluster(&self, name: &str) -> Option<&Cluster> {
        self.clusters.iter().find(|cluster| cluster.name == name)
    }

    /// A node for each number: of each cluster in turn, and of each of its nodes in turn.
    pub fn across(&self, slot: usize) -> &Node {
        let cluster = &self.clusters[slot % self.clusters.len()];
        &cluster.nodes[slot / self.clusters.len() % cluster.nodes.len()]
    }

    /// The first cluster: alone, or the primary.
    pub fn first(&self) -> &Cluster {
        &self.clusters[0]
    }
}

/// Copies the program into the run's folder and says what its nodes have in common.
fn settings(folder: &Path, options: &Options) -> Result<Settings, String> {
    let program = folder.join("program");
    let name = |error: std::io::Error| format!("copy {}: {error}", options.program.display());
    std::fs::create_dir_all(folder).map_err(name)?;
    // Not a link: a build may write into the file.
    std::fs::copy(&options.program, &program).map_err(name)?;
    Ok(Settings { program, storage: options.storage.clone(), stanzas: options.stanzas.clone(), env: options.env.clone() })
}
