//! From the tree to [`Config`]: which keys exist and what they mean.

use std::path::PathBuf;

use super::fields::{Fields, truth, unknown};
use super::tree::Stanza;
use super::{Config, ConfigError, listener, storage};
use crate::telemetry::Level;

/// Adds one file to `config`.
///
/// # Errors
/// The first mistake.
pub fn merge(config: &mut Config, file: &str, root: &Stanza) -> Result<(), ConfigError> {
    let mut fields = Fields::of(file, root);
    set(&mut config.api_addr, fields.text("api_addr")?);
    set(&mut config.cluster_addr, fields.text("cluster_addr")?);
    set(&mut config.cluster_name, fields.text("cluster_name")?);
    set(&mut config.log.level, fields.known_text("log_level", |text| Level::parse(text).map(|_| text.to_owned()), LEVELS)?);
    set(&mut config.log.file, fields.text("log_file")?.map(PathBuf::from));
    set(&mut config.pid_file, fields.text("pid_file")?.map(PathBuf::from));
    put(&mut config.ui, fields.flag("ui")?);
    put(&mut config.default_lease_ttl, fields.ttl("default_lease_ttl")?);
    put(&mut config.max_lease_ttl, fields.ttl("max_lease_ttl")?);
    put(&mut config.log.is_json, fields.known_text("log_format", is_json, FORMATS)?);
    put(
        &mut config.default_max_request_duration,
        fields.ttl("default_max_request_duration")?.filter(|ttl| ttl.0 > 0).map(|ttl| ttl.duration()),
    );
    fields.accept(&[
        "disable_mlock",
        "disable_cache",
        "cache_size",
        "disable_clustering",
        "disable_performance_standby",
        "disable_sealwrap",
        "disable_indexing",
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
    let mut has_storage = false;
    for block in &root.blocks {
        match block.name.as_str() {
            "listener" => {
                let listener = listener::read(config, file, block)?;
                config.listeners.push(listener);
            }
            "storage" | "backend" if has_storage => {
                return Err(ConfigError::at(file, block.line, "only one storage stanza is allowed in a file"));
            }
            "storage" | "backend" => {
                has_storage = true;
                config.storage = Some(storage::read(config, file, block)?);
            }
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

/// Replaces what is there by a value, if there is one.
pub fn set<T>(into: &mut Option<T>, value: Option<T>) {
    if value.is_some() {
        *into = value;
    }
}

/// The same, where something is there in any case.
pub fn put<T>(into: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *into = value;
    }
}

const LEVELS: &str = "trace, debug, info, warn or error";
const FORMATS: &str = "standard or json";

fn is_json(format: &str) -> Option<bool> {
    match format {
        "json" => Some(true),
        "standard" | "unspecified" => Some(false),
        _ => None,
    }
}

/// Sets how logs are written, as the environment or a flag, called `name`, says.
///
/// # Errors
/// If the format is not known.
pub fn log_format(config: &mut Config, name: &str, text: &str) -> Result<(), ConfigError> {
    config.log.is_json = is_json(text).ok_or_else(|| ConfigError::whole(format!("{name} must be {FORMATS}, but is {text:?}")))?;
    Ok(())
}

/// The same for how much is logged.
///
/// # Errors
/// If the level is not known.
pub fn log_level(config: &mut Config, name: &str, text: &str) -> Result<(), ConfigError> {
    Level::parse(text).ok_or_else(|| ConfigError::whole(format!("{name} must be {LEVELS}, but is {text:?}")))?;
    config.log.level = Some(text.to_owned());
    Ok(())
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
    let flag = |name: &str| match env(name) {
        None => Ok(None),
        Some(text) => truth(&text).map(Some).ok_or_else(|| ConfigError::whole(format!("{name} must be true or false, but is {text:?}"))),
    };
    let api_addr = ["VAULT_API_ADDR", "VAULT_REDIRECT_ADDR", "VAULT_ADVERTISE_ADDR"].into_iter().find_map(env);
    set(&mut config.api_addr, api_addr);
    set(&mut config.cluster_addr, env("VAULT_CLUSTER_ADDR"));
    if let Some(level) = env("VAULT_LOG_LEVEL") {
        log_level(config, "VAULT_LOG_LEVEL", &level)?;
    }
    if let Some(format) = env("VAULT_LOG_FORMAT") {
        log_format(config, "VAULT_LOG_FORMAT", &format)?;
    }
    put(&mut config.user_lockout.is_disabled, flag("VAULT_DISABLE_USER_LOCKOUT")?);
    put(&mut config.ui, flag("VAULT_UI")?);
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
    use std::time::Duration;

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
default_max_request_duration = "20s"
listener "tcp" {
  address     = "127.0.0.1:8200"
  tls_disable = "true"
  telemetry { unauthenticated_metrics_access = true }
}
storage "raft" {
  path    = "/data"
  node_id = "n1"
  retry_join_as_non_voter = true
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
        assert_eq!(config.request_duration(&config.listeners[0]), Duration::from_secs(20));
        assert!(config.listeners[0].unauthenticated_metrics);
        let storage = config.storage.unwrap();
        assert_eq!(storage.node_id.as_deref(), Some("from-env"), "the environment wins");
        assert!(storage.retry_join.len() == 2 && storage.joins_without_vote);
        assert_eq!(config.replication.keep_bytes, 500_000_000);
        assert_eq!(config.user_lockout.threshold, 3);
        assert_eq!(config.warnings, ["unknown or unsupported field frobnicate found in configuration at c.hcl:22"]);
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
        check("log_level = \"loud\"", "c.hcl:1: log_level must be trace, debug, info, warn or error");
        check("\nlog_format = \"xml\"", "c.hcl:2: log_format must be standard or json");
        check("listener \"tcp\" { address = \"a:99999\" }", "c.hcl:1: address \"a:99999\" must be a host and a port");
        check("storage \"raft\" { path = \"/d\" }\nstorage \"raft\" { path = \"/e\" }", "c.hcl:2: only one storage stanza");
        check(
            "listener \"tcp\" { tls_cert_file = \"c\" tls_key_file = \"k\" tls_require_and_verify_client_cert = true }",
            "needs tls_client_ca_file",
        );
    }
}
