//! Builds one node out of all folders, in the order in which they need each other, and takes it down in reverse.
//!
//! Ports first, so that a taken one costs nothing; then what lies on disk, Raft, core, and last the doors.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::addresses::{self, Addresses};
use super::assembly::{Assembly, Ground};
use super::config::{Config, Listener, Storage, UserLockout};
use super::data_folder::DataFolder;
use super::join_client::HttpJoinClient;
use super::replication::ToPrimary;
use super::tasks::Tasks;
use crate::core::node_identity::NodeIdentity;
use crate::core::{Core, Upstream};
use crate::crypto::entropy::OsEntropy;
use crate::http::{Bound, Limits, TlsFiles, TlsIdentity};
use crate::raft::Consensus;
use crate::replication::Keep;
use crate::storage::{Physical, RocksOptions, RocksStore};
use crate::types::{NodeId, SystemClock};
use crate::{cluster, core, http, raft};

/// How long each task may take to end.
const PATIENCE: Duration = Duration::from_secs(10);

/// A running node.
pub struct Node {
    /// The rules.
    pub core: Arc<Core>,
    /// What others are told.
    pub addresses: Addresses,
    tls: Vec<Arc<TlsIdentity>>,
    doors: Tasks,
    lifecycle: Tasks,
    port: cluster::Handle,
    raft: Arc<raft::Raft>,
    store: Arc<RocksStore>,
    _folder: DataFolder,
}

impl Node {
    /// Starts a node; it serves when this returns, sealed unless it was in dev mode.
    ///
    /// # Errors
    /// With all that the operator needs to know.
    pub async fn start(config: &Config, dev_kv: Option<&'static str>) -> anyhow::Result<Self> {
        Self::start_as(config, dev_kv, |identity| identity).await
    }

    /// The same, once `aged` has had a look at what this node proves itself with: tests make it age faster.
    pub(super) async fn start_as(
        config: &Config,
        dev_kv: Option<&'static str>,
        aged: fn(NodeIdentity) -> NodeIdentity,
    ) -> anyhow::Result<Self> {
        let storage = config.storage.as_ref().context("a storage stanza is required")?;
        let tls = config.listeners.iter().map(load_tls).collect::<Result<Vec<_>, _>>()?;
        let mut listeners = Vec::new();
        for (listener, tls) in config.listeners.iter().zip(&tls) {
            listeners.push(Bound::bind(&listener.address, tls.clone(), limits(listener)).await?);
        }
        let first = listeners.first().context("at least one listener is required")?;
        let cluster_bind = addresses::cluster_bind(config)?;
        let cluster_socket = TcpListener::bind(&cluster_bind).await.with_context(|| format!("cannot listen on {cluster_bind}"))?;
        let addresses = addresses::advertised(config, first.address(), cluster_socket.local_addr()?)?;
        if let Some(warning) = &addresses.warning {
            tracing::warn!("{warning}");
        }

        let folder = DataFolder::take(&storage.path)?;
        let name = folder.node_name(storage.node_id.as_deref())?;
        let me = raft::Member { name: name.clone(), cluster_addr: addresses.cluster.clone(), api_addr: addresses.api.clone() };
        let state: PathBuf = folder.path().join("state");
        let store = tokio::task::spawn_blocking(move || RocksStore::open(RocksOptions::new(state))).await?.context("open the state")?;
        let store = Arc::new(store);
        let identity = Arc::new(aged(NodeIdentity::open(folder.path()).context("read node-identity.json")?));

        let dialer = cluster::Dialer::new(identity.subscribe());
        let mut options = raft::Options::new(NodeId::of_name(&name), folder.path().join("raft"));
        tune(&mut options, storage);
        let (contact, primary) = watch::channel(None);
        let upstream = {
            let (dialer, primary) = (dialer.clone(), primary.clone());
            Box::new(move |status| -> Arc<dyn Upstream> { Arc::new(cluster::Forwarder::new(dialer, status, primary)) })
        };
        let ground = Ground {
            store: store.clone(),
            raft: options,
            transport: Arc::new(cluster::RaftTransport::new(dialer.clone())),
            link: Arc::new(cluster::ReplicationLink::new(primary)),
            upstream,
            contact,
            clock: Arc::new(SystemClock),
            entropy: Arc::new(OsEntropy),
            me,
            identity: identity.clone(),
            join_client: Arc::new(HttpJoinClient),
            primary_client: Arc::new(ToPrimary),
            keep: Keep { bytes: config.replication.keep_bytes, age: config.replication.keep },
            options: core_options(config, &addresses, dev_kv),
            api: http::Options {
                ui: config.ui,
                max_request_duration: config.listeners.iter().map(|listener| config.request_duration(listener)).max().unwrap_or_default(),
            },
        };
        let assembly = Assembly::start(ground).await.context("start raft")?;
        let mut lifecycle = Tasks::default();
        let tasks = assembly.tasks(&lifecycle.stop_token());
        let Assembly { raft, core, api, streams, node } = assembly;
        let port = cluster::start(
            cluster::Options {
                name: name.clone(),
                life: identity.life(),
                standing: core.lifecycle().follow_standing(),
                listener: cluster_socket,
                identity: identity.subscribe(),
                dialer,
                status: raft.status(),
                clock: Arc::new(SystemClock),
            },
            cluster::Services {
                raft: raft.receiver(),
                requests: Arc::new(api.clone()),
                node,
                secondaries: core.clone(),
                links: Arc::new(streams),
            },
        )?;

        for (name, task) in tasks {
            lifecycle.spawn(name, task);
        }
        #[cfg(feature = "chaos")]
        lifecycle.spawn("chaos", super::chaos::serve(folder.path().to_owned(), store.clone(), raft.clone(), lifecycle.stop_token()));
        if !storage.retry_join.is_empty() {
            core.seal().join_in_background(storage.retry_join.clone(), storage.joins_without_vote);
        }
        let mut doors = Tasks::default();
        for listener in listeners {
            let address = listener.address();
            doors.spawn(format!("listener {address}"), listener.run(api.clone(), doors.stop_token()));
        }
        tracing::info!(node = name, api = addresses.api, cluster = addresses.cluster, "node started");
        Ok(Self { core, addresses, tls: tls.into_iter().flatten().collect(), doors, lifecycle, port, raft, store, _folder: folder })
    }

    /// Reads certificates again and opens audit files anew.
    pub async fn reload(&self) {
        for tls in &self.tls {
            match tls.reload() {
                Ok(()) => tracing::info!(file = %tls.cert_file().display(), "certificate read again"),
                Err(error) => tracing::error!(file = %tls.cert_file().display(), %error, "the certificate stays as it was"),
            }
        }
        self.core.reopen_audit().await;
    }

    /// Hands leadership on, lets requests end, and stops.
    pub async fn stop(self) {
        // First, so that another node takes over while this one still forwards what arrives here.
        self.lifecycle.end(PATIENCE).await;
        self.doors.end(PATIENCE).await;
        self.port.shutdown().await;
        self.raft.shutdown().await;
        let store = self.store;
        match tokio::task::spawn_blocking(move || store.flush()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "the state could not be flushed: the log will be replayed"),
            Err(error) => tracing::error!(%error, "the state could not be flushed: the log will be replayed"),
        }
        tracing::info!("node stopped");
    }
}

fn core_options(config: &Config, addresses: &Addresses, dev_kv: Option<&'static str>) -> core::Options {
    core::Options {
        default_lease_ttl: config.default_lease_ttl,
        max_lease_ttl: config.max_lease_ttl,
        cluster_name: config.cluster_name.clone(),
        api_addr: addresses.api.clone(),
        ui: config.ui,
        wal_wait: config.replication.wal_wait,
        lockout: lockout(&config.user_lockout),
        dev_kv,
        sanitized: config.sanitized(addresses),
    }
}

fn lockout(configured: &UserLockout) -> core::lockout::Settings {
    let threshold = if configured.is_disabled { 0 } else { u32::try_from(configured.threshold).unwrap_or(u32::MAX) };
    core::lockout::Settings { threshold, duration_secs: configured.duration.as_secs(), reset_secs: configured.counter_reset.as_secs() }
}

/// What `storage "raft"` says. A multiplier above one trades failover time for calm, as in Vault.
fn tune(options: &mut raft::Options, storage: &Storage) {
    if let Some(entries) = storage.snapshot_threshold {
        options.snapshot_entries = entries;
    }
    if let Some(entries) = storage.trailing_logs {
        options.log_keep_entries = entries;
    }
    let multiplier = u32::try_from(storage.performance_multiplier.clamp(1, 10)).unwrap_or(1);
    options.heartbeat_interval *= multiplier;
    options.election_timeout.0 *= multiplier;
    options.election_timeout.1 *= multiplier;
}

fn limits(listener: &Listener) -> Limits {
    Limits {
        body_bytes: usize::try_from(listener.max_request_bytes).unwrap_or(usize::MAX),
        header_timeout: listener.read_header_timeout,
        body_timeout: listener.read_timeout,
        idle_timeout: listener.idle_timeout,
        write_timeout: listener.write_timeout.unwrap_or(listener.idle_timeout),
        unauthenticated_metrics: listener.unauthenticated_metrics,
    }
}

fn load_tls(listener: &Listener) -> anyhow::Result<Option<Arc<TlsIdentity>>> {
    let Some(tls) = &listener.tls else { return Ok(None) };
    let files = TlsFiles {
        cert_file: tls.cert_file.clone(),
        key_file: tls.key_file.clone(),
        client_ca_file: tls.client_ca_file.clone(),
        require_client_cert: tls.require_client_cert,
        only_tls13: tls.only_tls13,
    };
    Ok(Some(Arc::new(TlsIdentity::load(files)?)))
}
