//! The flags that mounts of both kinds are enabled and tuned with, and the body they make.

use serde_json::{Map, Value};

use crate::cli::args::Flag;
use crate::cli::invocation::Invocation;

pub const DESCRIPTION: Flag = Flag::text("description", "What the mount is for.");
pub const DEFAULT_TTL: Flag = Flag::time("default-lease-ttl", "Default lifetime of leases and tokens.");
pub const MAX_TTL: Flag = Flag::time("max-lease-ttl", "Longest lifetime of leases and tokens.");
pub const AUDIT_REQUEST: Flag = Flag::list("audit-non-hmac-request-keys", "A request field that audit devices write in plain; repeatable.");
pub const AUDIT_RESPONSE: Flag =
    Flag::list("audit-non-hmac-response-keys", "A response field that audit devices write in plain; repeatable.");
pub const LISTING: Flag = Flag::text("listing-visibility", "unauth, hidden or empty: whether it is listed before login.");
pub const PASSTHROUGH: Flag = Flag::list("passthrough-request-headers", "A request header handed on to the engine; repeatable.");
pub const ALLOWED: Flag = Flag::list("allowed-response-headers", "A response header the engine may set; repeatable.");
pub const OPTIONS: Flag = Flag::pairs("options", "key=value for the engine; repeatable.");
pub const PLUGIN_VERSION: Flag = Flag::text("plugin-version", "Version of the plugin.");
pub const PLUGIN_NAME: Flag = Flag::text("plugin-name", "Name of the plugin, where it is not the type.");
pub const FORCE_NO_CACHE: Flag = Flag::switch("force-no-cache", "Without cache.");
pub const LOCAL: Flag = Flag::switch("local", "For this cluster only: not replicated.");
pub const SEAL_WRAP: Flag = Flag::switch("seal-wrap", "Encrypt its values with the seal too.");
pub const ENTROPY: Flag = Flag::switch("external-entropy-access", "Take randomness from the seal.");
pub const PATH: Flag = Flag::text("path", "Where to mount it. Default: its type.");
pub const VERSION: Flag = Flag::number("version", "Version of the engine, such as 2 for kv.");
pub const TOKEN_TYPE: Flag = Flag::text("token-type", "Type of the tokens it gives: default-service, default-batch, service or batch.");
pub const MANAGED_KEYS: Flag = Flag::list("allowed-managed-keys", "A managed key the mount may use; repeatable.");

/// What of a mount's configuration was given by flags.
pub fn config_of(run: &Invocation) -> Map<String, Value> {
    let mut config = Map::new();
    for (flag, field) in [("default-lease-ttl", "default_lease_ttl"), ("max-lease-ttl", "max_lease_ttl")] {
        if let Some(ttl) = run.parsed.time(flag) {
            config.insert(field.into(), format!("{}s", ttl.0).into());
        }
    }
    for flag in [
        "audit-non-hmac-request-keys",
        "audit-non-hmac-response-keys",
        "passthrough-request-headers",
        "allowed-response-headers",
        "allowed-managed-keys",
    ] {
        if run.parsed.has(flag) {
            let several: Vec<String> =
                run.parsed.list(flag).iter().flat_map(|list| list.split(',')).filter(|one| !one.is_empty()).map(str::to_owned).collect();
            config.insert(flag.replace('-', "_"), several.into());
        }
    }
    for flag in ["listing-visibility", "token-type", "plugin-version"] {
        if let Some(text) = run.text(flag) {
            config.insert(flag.replace('-', "_"), text.into());
        }
    }
    if run.is("force-no-cache") {
        config.insert("force_no_cache".into(), true.into());
    }
    config
}

/// The options of a mount, with `-version` among them.
pub fn options_of(run: &Invocation) -> Option<Map<String, Value>> {
    let mut options: Map<String, Value> =
        run.parsed.pairs("options").into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
    if let Some(version) = run.text("version") {
        options.insert("version".into(), version.into());
    }
    (!options.is_empty()).then_some(options)
}

/// The body that enables a mount.
pub fn enable_body(run: &Invocation, kind: &str) -> Value {
    let mut body = Map::new();
    body.insert("type".into(), kind.into());
    body.insert("description".into(), run.text("description").unwrap_or_default().into());
    body.insert("config".into(), Value::Object(config_of(run)));
    body.insert("local".into(), run.is("local").into());
    body.insert("seal_wrap".into(), run.is("seal-wrap").into());
    body.insert("external_entropy_access".into(), run.is("external-entropy-access").into());
    if let Some(version) = run.text("plugin-version") {
        body.insert("plugin_version".into(), version.into());
    }
    body.insert("options".into(), options_of(run).map_or(Value::Null, Value::Object));
    Value::Object(body)
}

/// The body that tunes a mount: only what was given.
pub fn tune_body(run: &Invocation) -> Map<String, Value> {
    let mut body = config_of(run);
    if let Some(text) = run.text("description") {
        body.insert("description".into(), text.into());
    }
    if let Some(options) = options_of(run) {
        body.insert("options".into(), Value::Object(options));
    }
    body
}
