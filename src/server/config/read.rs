//! From the tree to [`Config`]: which keys exist and what they mean.

use std::path::PathBuf;

use super::fields::{Fields, unknown};
use super::tree::Stanza;
use super::{Config, ConfigError, Listener, Storage, Tls};
use crate::core::join::JoinTarget;

/// Adds one file to `config`.
///
/// # Errors
/// The first mistake.
pub fn merge(config: &mut Config, file: &str, root: &Stanza) -> Result<(), ConfigError> {
    let mut fields = Fields::of(file, root);
    set(&mut config.api_addr, fields.text("api_addr")?);
    set(&mut config.cluster_addr, fields.text("cluster_addr")?);
    set(&mut config.cluster_name, fields.text("cluster_name")?);
    set(&mut config.log.level, fields.text("log_level")?);
    set(&mut config.log.file, fields.text("log_file")?.map(PathBuf::from));
    set(&mut config.pid_file, fields.text("pid_file")?.map(PathBuf::from));
    put(&mut config.ui, fields.flag("ui")?);
    put(&mut config.default_lease_ttl, fields.ttl("default_lease_ttl")?);
    put(&mut config.max_lease_ttl, fields.ttl("max_lease_ttl")?);
    if let Some(format) = fields.text("log_format")? {
        config.log.is_json = log_format(&format)?;
    }
    fields.accept(&[
        "disable_mlock",
        "disable_cache",
        "cache_size",
        "disable_clustering",
        "disable_performance_standby",
        "disable_sealwrap",
        "disable_indexing",
        "default_max_request_duration",
        "log_requests_level",
        "log_rotate_bytes",
        "log_rotate_duration",
        "log_rotate_max_files",
        "raw_storage_endpoint",
        "introspection_endpoint",
        "plugin_directory",
        "enable_response_header_hostname",
        "enable_response_header_raft_node_id",
        "license_path",
    ]);
    fields.finish(&mut config.warnings);
    for block in &root.blocks {
        match block.name.as_str() {
            "listener" => {
                let listener = listener(config, file, block)?;
                config.listeners.push(listener);
            }
            "storage" | "backend" => config.storage = Some(storage(config, file, block)?),
            "telemetry" => telemetry(config, file, block)?,
            "replication" => replication(config, file, block)?,
            "user_lockout" => user_lockout(config, file, block)?,
            "seal" if block.label == "shamir" => {}
            "seal" => {
                return Err(ConfigError::at(file, block.line, format!("seal {:?} is not supported: only \"shamir\" is", block.label)));
            }
            "ha_storage" => {
                return Err(ConfigError::at(file, block.line, "ha_storage is not needed: storage \"raft\" is highly available itself"));
            }
            name => config.warnings.push(unknown(file, name, block.line)),
        }
    }
    Ok(())
}

fn set<T>(into: &mut Option<T>, value: Option<T>) {
    if value.is_some() {
        *into = value;
    }
}

fn put<T>(into: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *into = value;
    }
}

/// Whether logs are JSON.
///
/// # Errors
/// If the format is not known.
pub fn log_format(text: &str) -> Result<bool, ConfigError> {
    match text {
        "json" => Ok(true),
        "standard" | "unspecified" => Ok(false),
        _ => Err(ConfigError::whole(format!("unknown log format {text:?}: standard or json"))),
    }
}

fn listener(config: &mut Config, file: &str, block: &Stanza) -> Result<Listener, ConfigError> {
    if block.label != "tcp" {
        return Err(ConfigError::at(file, block.line, format!("listener {:?} is not supported: only \"tcp\" is", block.label)));
    }
    let mut listener = Listener::default();
    let mut fields = Fields::of(file, block);
    put(&mut listener.address, fields.text("address")?.map(with_port));
    set(&mut listener.cluster_address, fields.text("cluster_address")?);
    if let Some(bytes) = fields.bytes("max_request_size")?.filter(|bytes| *bytes > 0) {
        listener.max_request_bytes = bytes;
    }
    put(&mut listener.max_request_duration, fields.ttl("max_request_duration")?.map(|ttl| ttl.duration()));
    put(&mut listener.read_header_timeout, fields.ttl("http_read_header_timeout")?.map(|ttl| ttl.duration()));
    let is_plain = fields.flag("tls_disable")?.unwrap_or(false);
    let cert_file = fields.text("tls_cert_file")?;
    let key_file = fields.text("tls_key_file")?;
    let only_tls13 = match fields.text("tls_min_version")?.as_deref() {
        None | Some("tls10" | "tls11" | "tls12") => false,
        Some("tls13") => true,
        Some(other) => return Err(ConfigError::at(file, block.line, format!("tls_min_version {other:?} is not known: tls12 or tls13"))),
    };
    let client_ca_file = fields.text("tls_client_ca_file")?.map(PathBuf::from);
    let require_client_cert = fields.flag("tls_require_and_verify_client_cert")?.unwrap_or(false);
    if !is_plain {
        let (Some(cert_file), Some(key_file)) = (cert_file, key_file) else {
            return Err(ConfigError::at(file, block.line, "listener needs tls_cert_file and tls_key_file, or tls_disable = true"));
        };
        if require_client_cert && client_ca_file.is_none() {
            return Err(ConfigError::at(file, block.line, "tls_require_and_verify_client_cert needs tls_client_ca_file"));
        }
        listener.tls =
            Some(Tls { cert_file: cert_file.into(), key_file: key_file.into(), only_tls13, client_ca_file, require_client_cert });
    }
    fields.accept(&[
        "http_idle_timeout",
        "http_read_timeout",
        "http_write_timeout",
        "tls_max_version",
        "tls_cipher_suites",
        "tls_disable_client_certs",
    ]);
    fields.finish(&mut config.warnings);
    for inner in &block.blocks {
        if inner.name == "telemetry" {
            let mut fields = Fields::of(file, inner);
            put(&mut listener.unauthenticated_metrics, fields.flag("unauthenticated_metrics_access")?);
            fields.finish(&mut config.warnings);
        } else {
            config.warnings.push(unknown(file, &inner.name, inner.line));
        }
    }
    Ok(listener)
}

/// `host:8200` for a bare host.
fn with_port(address: String) -> String {
    let has_port =
        address.rsplit_once(':').is_some_and(|(host, port)| port.parse::<u16>().is_ok() && (!host.contains(':') || host.ends_with(']')));
    if has_port { address } else { format!("{address}:8200") }
}

fn storage(config: &mut Config, file: &str, block: &Stanza) -> Result<Storage, ConfigError> {
    if block.label != "raft" {
        let text = format!("storage {:?} is not supported: use storage \"raft\", which needs no other service", block.label);
        return Err(ConfigError::at(file, block.line, text));
    }
    let mut fields = Fields::of(file, block);
    let path = fields.text("path")?.map(PathBuf::from).unwrap_or_default();
    let mut storage = Storage {
        path,
        node_id: fields.text("node_id")?,
        retry_join: Vec::new(),
        performance_multiplier: fields.number("performance_multiplier")?.filter(|n| *n > 0).unwrap_or(1),
        snapshot_threshold: fields.number("snapshot_threshold")?.filter(|n| *n > 0),
        trailing_logs: fields.number("trailing_logs")?.filter(|n| *n > 0),
    };
    if storage.performance_multiplier > 10 {
        return Err(ConfigError::at(file, block.line, "performance_multiplier must be at most 10"));
    }
    fields.accept(&[
        "max_entry_size",
        "snapshot_interval",
        "retry_join_as_non_voter",
        "autopilot_reconcile_interval",
        "autopilot_update_interval",
        "raft_wal",
        "raft_log_verifier_enabled",
        "raft_log_verification_interval",
    ]);
    fields.finish(&mut config.warnings);
    for inner in &block.blocks {
        if inner.name == "retry_join" {
            storage.retry_join.push(retry_join(config, file, inner)?);
        } else {
            config.warnings.push(unknown(file, &inner.name, inner.line));
        }
    }
    Ok(storage)
}

fn retry_join(config: &mut Config, file: &str, block: &Stanza) -> Result<JoinTarget, ConfigError> {
    let mut fields = Fields::of(file, block);
    if fields.text("auto_join")?.is_some() {
        return Err(ConfigError::at(file, block.line, "auto_join is not supported: set leader_api_addr"));
    }
    let leader_api_addr =
        fields.text("leader_api_addr")?.ok_or_else(|| ConfigError::at(file, block.line, "retry_join needs leader_api_addr"))?;
    let mut pem = |inline: &str| -> Result<String, ConfigError> {
        let text = fields.text(inline)?;
        match fields.text(&format!("{inline}_file"))? {
            None => Ok(text.unwrap_or_default()),
            Some(path) => {
                std::fs::read_to_string(&path).map_err(|error| ConfigError::at(file, block.line, format!("cannot read {path}: {error}")))
            }
        }
    };
    let leader_ca_cert = pem("leader_ca_cert")?;
    let leader_client_cert = pem("leader_client_cert")?;
    let leader_client_key = pem("leader_client_key")?;
    let leader_tls_servername = fields.text("leader_tls_servername")?.unwrap_or_default();
    fields.accept(&["auto_join_scheme", "auto_join_port"]);
    fields.finish(&mut config.warnings);
    Ok(JoinTarget { leader_api_addr, leader_ca_cert, leader_client_cert, leader_client_key, leader_tls_servername })
}

fn telemetry(config: &mut Config, file: &str, block: &Stanza) -> Result<(), ConfigError> {
    let mut fields = Fields::of(file, block);
    if let Some(kept) = fields.ttl("prometheus_retention_time")? {
        config.has_metrics = kept.0 > 0;
    }
    fields.accept(&["disable_hostname", "enable_hostname_label", "usage_gauge_period", "maximum_gauge_cardinality", "metrics_prefix"]);
    fields.finish(&mut config.warnings);
    Ok(())
}

fn replication(config: &mut Config, file: &str, block: &Stanza) -> Result<(), ConfigError> {
    let mut fields = Fields::of(file, block);
    put(&mut config.replication.keep_bytes, fields.bytes("logshipper_buffer_size")?);
    put(&mut config.replication.keep, fields.ttl("keep")?.map(|ttl| ttl.duration()));
    put(&mut config.replication.wal_wait, fields.ttl("best_effort_wal_wait_duration")?.map(|ttl| ttl.duration()));
    fields.accept(&["logshipper_buffer_length", "resolver_discover_servers", "allow_forwarding_via_header"]);
    fields.finish(&mut config.warnings);
    Ok(())
}

fn user_lockout(config: &mut Config, file: &str, block: &Stanza) -> Result<(), ConfigError> {
    let mut fields = Fields::of(file, block);
    let lockout = &mut config.user_lockout;
    put(&mut lockout.threshold, fields.number("lockout_threshold")?);
    put(&mut lockout.duration, fields.ttl("lockout_duration")?.map(|ttl| ttl.duration()));
    put(&mut lockout.counter_reset, fields.ttl("lockout_counter_reset")?.map(|ttl| ttl.duration()));
    put(&mut lockout.is_disabled, fields.flag("disable_lockout")?);
    fields.finish(&mut config.warnings);
    Ok(())
}

/// Lets the environment win over files.
///
/// # Errors
/// If a variable's value cannot be used.
pub fn environment(config: &mut Config, env: &dyn Fn(&str) -> Option<String>) -> Result<(), ConfigError> {
    let env = |name: &str| env(name).filter(|value| !value.is_empty());
    set(&mut config.api_addr, env("VAULT_API_ADDR").or_else(|| env("VAULT_REDIRECT_ADDR")));
    set(&mut config.cluster_addr, env("VAULT_CLUSTER_ADDR"));
    set(&mut config.log.level, env("VAULT_LOG_LEVEL"));
    if let Some(format) = env("VAULT_LOG_FORMAT") {
        config.log.is_json = log_format(&format)?;
    }
    if let Some(off) = env("VAULT_DISABLE_USER_LOCKOUT") {
        config.user_lockout.is_disabled = matches!(off.as_str(), "1" | "t" | "true" | "TRUE" | "True");
    }
    if let Some(ui) = env("VAULT_UI") {
        config.ui = matches!(ui.as_str(), "1" | "t" | "true" | "TRUE" | "True");
    }
    if let Some(storage) = &mut config.storage {
        set(&mut storage.node_id, env("VAULT_RAFT_NODE_ID"));
        put(&mut storage.path, env("VAULT_RAFT_PATH").map(PathBuf::from));
        if storage.path.as_os_str().is_empty() {
            return Err(ConfigError::whole("storage \"raft\" needs a path, in the configuration or in VAULT_RAFT_PATH"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::config::tree;
    use crate::types::Ttl;

    fn read(text: &str) -> Result<Config, ConfigError> {
        let mut config = Config::default();
        merge(&mut config, "c.hcl", &tree::parse("c.hcl", text)?)?;
        environment(&mut config, &|name| (name == "VAULT_RAFT_NODE_ID").then(|| "from-env".to_owned()))?;
        Ok(config)
    }

    const GOOD: &str = r#"
ui            = true
api_addr      = "https://127.0.0.1:8200"
max_lease_ttl = "1h"
default_lease_ttl = 600
disable_mlock = true
listener "tcp" {
  address     = "127.0.0.1:8200"
  tls_disable = "true"
  telemetry { unauthenticated_metrics_access = true }
}
storage "raft" {
  path    = "/data"
  node_id = "n1"
  retry_join { leader_api_addr = "http://127.0.0.1:8210" }
  retry_join { leader_api_addr = "http://127.0.0.1:8220" }
}
replication { logshipper_buffer_size = "500mb" }
user_lockout "all" { lockout_threshold = 3 }
frobnicate = 1
"#;

    #[test]
    fn a_whole_file_is_understood() {
        let config = read(GOOD).unwrap();
        assert!(config.ui && config.check().is_ok());
        assert_eq!(config.default_lease_ttl, Ttl(600));
        assert_eq!(config.listeners[0].tls, None);
        assert!(config.listeners[0].unauthenticated_metrics);
        let storage = config.storage.unwrap();
        assert_eq!(storage.node_id.as_deref(), Some("from-env"), "the environment wins");
        assert_eq!(storage.retry_join.len(), 2);
        assert_eq!(config.replication.keep_bytes, 500_000_000);
        assert_eq!(config.user_lockout.threshold, 3);
        assert_eq!(config.warnings, ["unknown or unsupported field frobnicate found in configuration at c.hcl:20"]);
    }

    #[track_caller]
    fn check(text: &str, part: &str) {
        let error = read(text).and_then(|config| config.check()).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }

    #[test]
    fn mistakes_are_told_clearly() {
        check("storage \"file\" { path = \"/d\" }", "c.hcl:1: storage \"file\" is not supported");
        check("storage \"raft\" { }", "needs a path");
        check("storage \"raft\" { path = \"/d\" }", "at least one listener is required");
        check("listener \"tcp\" { tls_disable = true }", "a storage stanza is required");
        check("listener \"tcp\" { }", "c.hcl:1: listener needs tls_cert_file");
        check("listener \"unix\" { }", "only \"tcp\" is");
        check("seal \"awskms\" { }", "seal \"awskms\" is not supported");
        check("ui = \"maybe\"", "c.hcl:1: ui must be true or false");
        check("max_lease_ttl = \"soon\"", "must be a duration");
    }

    #[test]
    fn an_address_gets_the_usual_port() {
        for (address, expected) in [("a", "a:8200"), ("a:1", "a:1"), ("[::1]:1", "[::1]:1"), ("[::1]", "[::1]:8200")] {
            assert_eq!(with_port(address.to_owned()), expected);
        }
    }
}
