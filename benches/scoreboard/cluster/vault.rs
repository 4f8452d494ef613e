//! Three nodes that speak the Vault API: initialised, unsealed, with a KV store of version 2 and a token. Coffer and OpenBao alike.

use std::fs;
use std::path::PathBuf;

use anyhow::Context;
use serde_json::{Value, json};

use super::server::{Server, free_ports};
use super::vault_api::{Metrics, VaultApi};
use super::{Checkpoints, Cluster, LONG, NODES, OwnCounters, System, Wanted, wait_for};
use crate::load::plan::Target;

/// Where the KV store is mounted.
pub const MOUNT: &str = "kv";

/// What distinguishes one program from the other.
pub struct Program {
    pub system: System,
    pub binary: PathBuf,
    /// Lines that only its configuration has; `{folder}` stands for the node's folder.
    pub lines: String,
}

/// The cluster.
pub struct VaultCluster {
    system: System,
    folder: PathBuf,
    servers: Vec<Server>,
    /// One to each node, in the order of the servers.
    pub apis: Vec<VaultApi>,
    /// Where nodes, and secondaries, reach each: `127.0.0.1:8201`, in the order of the servers.
    pub cluster_addresses: Vec<String>,
    pub unseal_key: String,
    pub root_token: String,
    /// A service token that may do what the load does.
    pub token: String,
}

impl VaultCluster {
    /// Starts and prepares it.
    ///
    /// # Errors
    /// If a node does not start or does not join.
    pub fn start(program: &Program, wanted: &Wanted) -> anyhow::Result<Self> {
        fs::create_dir_all(&wanted.folder)?;
        let ports = free_ports(2 * NODES as usize)?;
        let (mut servers, mut apis) = (Vec::new(), Vec::new());
        for (node, pair) in ports.chunks(2).enumerate() {
            let name = format!("{}{}", wanted.name, node + 1);
            let others = ports.chunks(2).map(|pair| pair[0]).filter(|port| *port != pair[0]);
            let config = wanted.folder.join(format!("{name}.hcl"));
            fs::create_dir_all(wanted.folder.join(&name))?;
            fs::write(&config, configuration(program, wanted, &name, pair[0], pair[1], others))?;
            let arguments = vec!["server".into(), format!("-config={}", config.display())];
            servers.push(Server::new(&name, &program.binary, arguments, wanted.folder.join(format!("{name}.log"))));
            apis.push(VaultApi::new(&format!("127.0.0.1:{}", pair[0])));
        }
        let mut cluster = Self {
            system: program.system,
            folder: wanted.folder.clone(),
            servers,
            apis,
            cluster_addresses: ports.chunks(2).map(|pair| format!("127.0.0.1:{}", pair[1])).collect(),
            unseal_key: String::new(),
            root_token: String::new(),
            token: String::new(),
        };
        cluster.start_processes()?;
        cluster.initialise()?;
        cluster.unseal()?;
        cluster.prepare()?;
        Ok(cluster)
    }

    /// All at once, as machines start that had lost their power together.
    fn start_processes(&mut self) -> anyhow::Result<()> {
        for server in &mut self.servers {
            server.start()?;
        }
        for (server, api) in self.servers.iter_mut().zip(&self.apis) {
            wait_for("an answer of a node", LONG, || {
                let is_there = api.call("GET", "sys/seal-status", "", None).is_ok();
                (is_there || server.has_ended()).then_some(())
            })?;
            anyhow::ensure!(!server.has_ended(), "{} ended at once:\n{}", server.name, server.last_words());
        }
        Ok(())
    }

    fn initialise(&mut self) -> anyhow::Result<()> {
        let shares = json!({"secret_shares": 1, "secret_threshold": 1});
        let answer = self.apis[0].must("PUT", "sys/init", "", &shares).context("initialise")?;
        self.unseal_key = answer["keys"][0].as_str().context("no unseal key in the answer")?.into();
        self.root_token = answer["root_token"].as_str().context("no root token in the answer")?.into();
        Ok(())
    }

    /// Gives the key to each node until it serves; then waits for an active one.
    ///
    /// # Errors
    /// If that takes longer than [`LONG`].
    pub fn unseal(&self) -> anyhow::Result<()> {
        for (server, api) in self.servers.iter().zip(&self.apis).filter(|(server, _)| server.pid().is_some()) {
            let unsealed = wait_for("an unsealed node", LONG, || {
                if matches!(api.health(), 200 | 429 | 472 | 473) {
                    return Some(());
                }
                let _ = api.call("PUT", "sys/unseal", "", Some(&json!({"key": self.unseal_key})));
                matches!(api.health(), 200 | 429 | 472 | 473).then_some(())
            });
            unsealed.with_context(|| format!("{} said:\n{}", server.name, server.last_words()))?;
        }
        self.active().map(|_| ())
    }

    /// The active node.
    ///
    /// # Errors
    /// If there is none within [`LONG`].
    pub fn active(&self) -> anyhow::Result<&VaultApi> {
        wait_for("an active node", LONG, || self.apis.iter().find(|api| api.health() == 200))
    }

    fn prepare(&mut self) -> anyhow::Result<()> {
        let active = self.active()?.clone();
        let root = self.root_token.clone();
        let policy = "path \"*\" { capabilities = [\"create\", \"read\", \"update\", \"delete\", \"list\"] }";
        active.must("PUT", "sys/policies/acl/bench", &root, &json!({"policy": policy}))?;
        active.must("POST", &format!("sys/mounts/{MOUNT}"), &root, &json!({"type": "kv", "options": {"version": "2"}}))?;
        let asked = json!({"policies": ["bench"], "no_parent": true, "ttl": "24h"});
        let created = active.must("POST", "auth/token/create", &root, &asked)?;
        self.token = created["auth"]["client_token"].as_str().context("no token in the answer")?.into();
        // OpenBao prepares a new store in the background.
        wait_for("a store that takes writes", LONG, || {
            let written = active.call("PUT", &format!("{MOUNT}/data/ready"), &self.token, Some(&json!({"data": {"a": "b"}})));
            written.is_ok_and(|(status, _)| status == 200).then_some(())
        })?;
        // All three must take part: a write that waits for two of two would be another measurement.
        wait_for("three voters", LONG, || {
            let (_, answer) = active.call("GET", "sys/storage/raft/configuration", &root, None).ok()?;
            let voters =
                answer["data"]["config"]["servers"].as_array()?.iter().filter(|server| server["voter"] == Value::Bool(true)).count();
            (voters == NODES as usize).then_some(())
        })
    }

    /// The sum of a metric over all nodes that export it; `None` if none does.
    pub fn metric(&self, name: &str) -> Option<f64> {
        let values: Vec<f64> = self.apis.iter().filter_map(|api| api.metric(name, &self.root_token)).collect();
        (!values.is_empty()).then(|| values.iter().sum())
    }
}

impl Cluster for VaultCluster {
    fn system(&self) -> System {
        self.system
    }
    fn servers(&self) -> &[Server] {
        &self.servers
    }
    fn servers_mut(&mut self) -> &mut [Server] {
        &mut self.servers
    }
    fn target(&self) -> anyhow::Result<Target> {
        Ok(Target::Vault { address: self.active()?.address.clone(), token: self.token.clone() })
    }
    fn targets(&self) -> Vec<Target> {
        self.apis.iter().map(|api| Target::Vault { address: api.address.clone(), token: self.token.clone() }).collect()
    }
    fn term(&self) -> Option<f64> {
        let (_, answer) = self.active().ok()?.call("GET", "sys/storage/raft/autopilot/state", &self.root_token, None).ok()?;
        let servers = answer["data"]["servers"].as_object()?;
        servers.values().filter_map(|server| server["last_term"].as_f64()).reduce(f64::max)
    }
    fn restart(&mut self) -> anyhow::Result<()> {
        self.start_processes()?;
        self.unseal()
    }
    fn root_token(&self) -> Option<String> {
        Some(self.root_token.clone())
    }
    fn checkpoints(&self) -> Option<Checkpoints> {
        const TAKEN: &str = "vault_raft_snapshot_takeSnapshot";
        if self.system != System::Coffer {
            return None;
        }
        let nodes: Vec<Metrics> = self.apis.iter().filter_map(|api| api.metrics(&self.root_token)).collect();
        // There is no such number before the first.
        let sum = |name: String| nodes.iter().filter_map(|node| node.sum(&name)).sum();
        Some(Checkpoints {
            count: sum(format!("{TAKEN}_count")),
            ms: sum(format!("{TAKEN}_sum")),
            longest_ms: nodes.iter().filter_map(|node| node.greatest(TAKEN)).reduce(f64::max),
        })
    }
    fn audited_bytes(&self) -> f64 {
        let files = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let audits = files.filter(|file| file.file_name().to_string_lossy().ends_with("audit.log"));
        audits.filter_map(|file| Some(file.metadata().ok()?.len() as f64)).sum()
    }
    fn own_counters(&self) -> OwnCounters {
        if self.system != System::Coffer {
            return OwnCounters::new();
        }
        let named = [("own syncs", "vault_raft_log_syncs"), ("own raft entries", "vault_raft_apply")];
        named.into_iter().filter_map(|(name, metric)| Some((name, self.metric(metric)?))).collect()
    }
}

fn configuration(
    program: &Program,
    wanted: &Wanted,
    name: &str,
    port: u16,
    cluster_port: u16,
    others: impl Iterator<Item = u16>,
) -> String {
    let folder = wanted.folder.join(name);
    let joins: String = others.map(|port| format!("  retry_join {{ leader_api_addr = \"http://127.0.0.1:{port}\" }}\n")).collect();
    let lines = program.lines.replace("{folder}", &folder.display().to_string());
    format!(
        "cluster_name = \"{cluster}\"\napi_addr = \"http://127.0.0.1:{port}\"\ncluster_addr = \"https://127.0.0.1:{cluster_port}\"\n\
         log_level = \"warn\"\n\
         listener \"tcp\" {{\n  address = \"127.0.0.1:{port}\"\n  cluster_address = \"127.0.0.1:{cluster_port}\"\n  tls_disable = true\n\
         \x20 telemetry {{ unauthenticated_metrics_access = true }}\n}}\n\
         storage \"raft\" {{\n  path = \"{path}\"\n  node_id = \"{name}\"\n{joins}}}\n{lines}",
        cluster = wanted.name,
        path = folder.display(),
    )
}
