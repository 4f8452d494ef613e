//! What `server` tells the core: the few settings of the configuration file that rules depend on.

use std::time::Duration;

use serde_json::{Map, Value};

use super::lockout;
use crate::types::Ttl;
use crate::types::limits::{DEFAULT_LEASE_TTL_SECS, WAL_WAIT_DEFAULT};

/// Settings of the core. All have Vault's defaults.
#[derive(Clone, Debug)]
pub struct Options {
    /// `default_lease_ttl`: what leases and tokens get where neither they nor their mount say otherwise.
    pub default_lease_ttl: Ttl,
    /// `max_lease_ttl`: what they may never exceed.
    pub max_lease_ttl: Ttl,
    /// `cluster_name`; made up at init where it is not set.
    pub cluster_name: Option<String>,
    /// URL that clients of this node are told.
    pub api_addr: String,
    /// Whether the web interface is served.
    pub ui: bool,
    /// How long a secondary waits for its own forwarded write to come back.
    pub wal_wait: Duration,
    /// `user_lockout`: where a mount says nothing of it.
    pub lockout: lockout::Settings,
    /// In dev mode, this version of the key-value engine is mounted at `secret/` at first start.
    pub dev_kv: Option<&'static str>,
    /// `sys/config/state/sanitized`: the configuration without its secrets.
    pub sanitized: Map<String, Value>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            default_lease_ttl: Ttl(DEFAULT_LEASE_TTL_SECS),
            max_lease_ttl: Ttl(DEFAULT_LEASE_TTL_SECS),
            cluster_name: None,
            api_addr: String::new(),
            ui: false,
            wal_wait: WAL_WAIT_DEFAULT,
            lockout: lockout::Settings::default(),
            dev_kv: None,
            sanitized: Map::new(),
        }
    }
}
