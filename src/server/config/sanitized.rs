//! The configuration as `sys/config/state/sanitized` shows it: no secret, durations in seconds.

use serde_json::{Map, Value, json};

use super::Config;
use crate::server::addresses::Addresses;

impl Config {
    /// For clients.
    pub(in crate::server) fn sanitized(&self, addresses: &Addresses) -> Map<String, Value> {
        let listeners: Vec<Value> = self
            .listeners
            .iter()
            .map(|listener| {
                json!({"type": "tcp", "config": {
                    "address": listener.address,
                    "cluster_address": listener.cluster_address,
                    "tls_disable": listener.tls.is_none(),
                }})
            })
            .collect();
        let value = json!({
            "api_addr": addresses.api,
            "cluster_addr": format!("https://{}", addresses.cluster),
            "cluster_name": self.cluster_name.clone().unwrap_or_default(),
            "default_lease_ttl": self.default_lease_ttl.0,
            "max_lease_ttl": self.max_lease_ttl.0,
            "default_max_request_duration": self.default_max_request_duration.as_secs(),
            "disable_cache": false,
            "disable_clustering": false,
            "disable_mlock": true,
            "disable_performance_standby": true,
            "disable_sealwrap": true,
            "enable_ui": self.ui,
            "listeners": listeners,
            "log_format": if self.log.is_json { "json" } else { "standard" },
            "log_level": self.log.level.clone().unwrap_or_default(),
            "pid_file": self.pid_file.as_ref().map(|path| path.display().to_string()).unwrap_or_default(),
            "raw_storage_endpoint": false,
            "seals": [{"type": "shamir", "disabled": false}],
            "storage": {"type": "raft", "redirect_addr": addresses.api, "cluster_addr": addresses.cluster, "disable_clustering": false},
        });
        match value {
            Value::Object(map) => map,
            _ => Map::new(),
        }
    }
}
