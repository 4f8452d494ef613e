//! What the operator wants: files, folders of files, environment. HCL and JSON; one clear error, or a [`Config`] and warnings.
//!
//! Later files win; listeners add up. Relative paths are relative to the working directory. Not here: what is done with it (`wiring`).

mod fields;
mod read;
mod sanitized;
mod tree;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use read::log_format;

use crate::core::join::JoinTarget;
use crate::types::Ttl;

/// A configuration that cannot be used: where and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    file: String,
    line: usize,
    text: String,
}

impl ConfigError {
    /// A mistake in a line of a file.
    pub fn at(file: &str, line: usize, text: impl Into<String>) -> Self {
        Self { file: file.to_owned(), line, text: text.into() }
    }
    /// A mistake that no line shows.
    pub fn whole(text: impl Into<String>) -> Self {
        Self { file: String::new(), line: 0, text: text.into() }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.file.as_str(), self.line) {
            ("", _) => f.write_str(&self.text),
            (file, 0) => write!(f, "{file}: {}", self.text),
            (file, line) => write!(f, "{file}:{line}: {}", self.text),
        }
    }
}

/// One `listener "tcp"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Where it listens.
    pub address: String,
    /// Where the cluster's port listens; address with the next port if not set.
    pub cluster_address: Option<String>,
    /// Certificate and key; `None` for plain HTTP.
    pub tls: Option<Tls>,
    /// Largest body.
    pub max_request_bytes: u64,
    /// Longest a request may take.
    pub max_request_duration: Duration,
    /// Longest that headers may take to arrive.
    pub read_header_timeout: Duration,
    /// Whether `sys/metrics` needs no token here.
    pub unauthenticated_metrics: bool,
}

impl Default for Listener {
    fn default() -> Self {
        Self {
            address: "127.0.0.1:8200".to_owned(),
            cluster_address: None,
            tls: None,
            max_request_bytes: crate::types::limits::BODY_BYTES_MAX as u64,
            max_request_duration: Duration::from_secs(90),
            read_header_timeout: Duration::from_secs(10),
            unauthenticated_metrics: false,
        }
    }
}

/// How a listener proves who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// PEM: certificate and chain.
    pub cert_file: PathBuf,
    /// PEM: private key.
    pub key_file: PathBuf,
    /// Refuse TLS 1.2.
    pub only_tls13: bool,
    /// PEM: who may have signed a client's certificate.
    pub client_ca_file: Option<PathBuf>,
    /// Refuse clients without a certificate.
    pub require_client_cert: bool,
}

/// `storage "raft"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Storage {
    /// The data folder.
    pub path: PathBuf,
    /// This node's name; made and kept in the data folder if not set.
    pub node_id: Option<String>,
    /// Whom to join.
    pub retry_join: Vec<JoinTarget>,
    /// Divides by this: 1 is the fastest failover, 5 Vault's default.
    pub performance_multiplier: u64,
    /// Entries between snapshots, if not ours.
    pub snapshot_threshold: Option<u64>,
    /// Entries kept after a snapshot.
    pub trailing_logs: Option<u64>,
}

/// `replication`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replication {
    /// Most bytes of records kept for secondaries that are away.
    pub keep_bytes: u64,
    /// Longest that records are kept.
    pub keep: Duration,
    /// How long a secondary waits for its own forwarded write.
    pub wal_wait: Duration,
}

impl Default for Replication {
    fn default() -> Self {
        use crate::types::limits::{WAL_KEEP_BYTES_DEFAULT, WAL_KEEP_DEFAULT, WAL_WAIT_DEFAULT};
        Self { keep_bytes: WAL_KEEP_BYTES_DEFAULT, keep: WAL_KEEP_DEFAULT, wal_wait: WAL_WAIT_DEFAULT }
    }
}

/// `user_lockout`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserLockout {
    /// Wrong passwords until a user is locked out.
    pub threshold: u64,
    /// For how long.
    pub duration: Duration,
    /// After how long wrong passwords are forgotten.
    pub counter_reset: Duration,
    /// Never lock anybody out.
    pub is_disabled: bool,
}

impl Default for UserLockout {
    fn default() -> Self {
        let quarter = Duration::from_secs(15 * 60);
        Self { threshold: 5, duration: quarter, counter_reset: quarter, is_disabled: false }
    }
}

/// `log_*`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// `trace` to `error`.
    pub level: Option<String>,
    /// One JSON object a line.
    pub is_json: bool,
    /// Also written here.
    pub file: Option<PathBuf>,
}

/// All of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// At least one once checked.
    pub listeners: Vec<Listener>,
    /// Where data lies.
    pub storage: Option<Storage>,
    /// URL that others reach this node's API at.
    pub api_addr: Option<String>,
    /// URL or `host:port` that other nodes reach this node at.
    pub cluster_addr: Option<String>,
    /// Shown in health.
    pub cluster_name: Option<String>,
    /// Serve `/ui/`.
    pub ui: bool,
    /// `log_*`.
    pub log: Log,
    /// What leases get unless they ask for less.
    pub default_lease_ttl: Ttl,
    /// What leases may never exceed.
    pub max_lease_ttl: Ttl,
    /// `replication`.
    pub replication: Replication,
    /// `user_lockout`.
    pub user_lockout: UserLockout,
    /// Whether `sys/metrics` answers at all.
    pub has_metrics: bool,
    /// Where the process id is written.
    pub pid_file: Option<PathBuf>,
    /// What to tell the operator at the start.
    pub warnings: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        let ttl = Ttl(crate::types::limits::DEFAULT_LEASE_TTL_SECS);
        Self {
            listeners: Vec::new(),
            storage: None,
            api_addr: None,
            cluster_addr: None,
            cluster_name: None,
            ui: false,
            log: Log::default(),
            default_lease_ttl: ttl,
            max_lease_ttl: ttl,
            replication: Replication::default(),
            user_lockout: UserLockout::default(),
            has_metrics: true,
            pid_file: None,
            warnings: Vec::new(),
        }
    }
}

impl Config {
    /// Reads all `paths`, files or folders, and then the environment.
    ///
    /// # Errors
    /// The first mistake.
    pub fn load(paths: &[PathBuf], env: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut config = Self::default();
        for path in paths {
            for file in files_of(path)? {
                let text = std::fs::read_to_string(&file)
                    .map_err(|error| ConfigError::whole(format!("error loading configuration from {}: {error}", file.display())))?;
                let name = file.display().to_string();
                read::merge(&mut config, &name, &tree::parse(&name, &text)?)?;
            }
        }
        read::environment(&mut config, env)?;
        Ok(config)
    }

    /// Checks what a server outside dev mode must have.
    ///
    /// # Errors
    /// The first thing missing.
    pub fn check(&self) -> Result<(), ConfigError> {
        if self.storage.is_none() {
            return Err(ConfigError::whole("a storage stanza is required: storage \"raft\" { path = \"...\" }"));
        }
        if self.listeners.is_empty() {
            return Err(ConfigError::whole("at least one listener is required: listener \"tcp\" { address = \"127.0.0.1:8200\" ... }"));
        }
        if self.default_lease_ttl > self.max_lease_ttl {
            return Err(ConfigError::whole("default_lease_ttl is greater than max_lease_ttl"));
        }
        Ok(())
    }
}

fn files_of(path: &Path) -> Result<Vec<PathBuf>, ConfigError> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = std::fs::read_dir(path)
        .map_err(|error| ConfigError::whole(format!("error loading configuration from {}: {error}", path.display())))?;
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "hcl" || extension == "json"))
        .collect();
    files.sort();
    if files.is_empty() {
        return Err(ConfigError::whole(format!("no .hcl or .json file in {}", path.display())));
    }
    Ok(files)
}
