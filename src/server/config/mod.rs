//! What the operator wants: files, folders of files, environment. HCL and JSON; one clear error, or a [`Config`] and warnings.
//!
//! Later files win; listeners add up. Relative paths are relative to the working directory. Not here: what is done with it (`wiring`).

mod fields;
mod listener;
mod read;
mod sanitized;
mod storage;
mod tree;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use listener::{Listener, Tls};
pub use read::{log_format, log_level};
pub use storage::Storage;

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
    /// Longest a request may take where a listener says nothing.
    pub default_max_request_duration: Duration,
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
            default_max_request_duration: Duration::from_secs(90),
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

    /// Longest a request to `listener` may take.
    pub fn request_duration(&self, listener: &Listener) -> Duration {
        listener.max_request_duration.unwrap_or(self.default_max_request_duration)
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
        // What an editor leaves beside a file while it is being written.
        .filter(|path| path.file_name().is_some_and(|name| !name.to_string_lossy().starts_with(['.', '#'])) && path.is_file())
        .collect();
    files.sort();
    if files.is_empty() {
        return Err(ConfigError::whole(format!("no .hcl or .json file in {}", path.display())));
    }
    Ok(files)
}
