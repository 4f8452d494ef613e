//! How the API shows a mount. Pure.

use serde_json::{Map, Value, json};

use crate::core::mounts::{MountRow, Mounted};
use crate::engine::MountClass;

/// What every kind reports as its version: they are built in.
pub fn builtin_version() -> String {
    format!("v{}+builtin", env!("CARGO_PKG_VERSION"))
}

/// The mount info object of listings and single reads.
pub fn info(mounted: &Mounted) -> Map<String, Value> {
    let row = &mounted.row;
    super::object(json!({
        "type": row.kind,
        "description": row.description,
        "accessor": row.accessor,
        "uuid": row.uuid,
        "local": mounted.is_local(),
        "seal_wrap": row.seal_wrap,
        "external_entropy_access": row.external_entropy_access,
        "options": row.options,
        "plugin_version": "",
        "running_plugin_version": builtin_version(),
        "running_sha256": "",
        "deprecation_status": "supported",
        "config": config(mounted.class, row),
    }))
}

fn config(class: MountClass, row: &MountRow) -> Map<String, Value> {
    let config = &row.config;
    let mut shown = super::object(json!({
        "default_lease_ttl": config.default_lease_ttl,
        "max_lease_ttl": config.max_lease_ttl,
        "force_no_cache": config.force_no_cache,
    }));
    if class == MountClass::Auth {
        shown.insert("token_type".to_owned(), json!(token_type(row)));
    }
    if !config.listing_visibility.is_empty() {
        shown.insert("listing_visibility".to_owned(), json!(config.listing_visibility));
    }
    for (name, list) in &config.lists {
        shown.insert(name.clone(), json!(list));
    }
    if !config.user_lockout.is_empty() {
        shown.insert("user_lockout_config".to_owned(), Value::Object(lockout(row)));
    }
    shown
}

/// What `tune` shows: effective TTLs, and what is set.
pub fn tuning(mounted: &Mounted) -> Map<String, Value> {
    let row = &mounted.row;
    let config = &row.config;
    let mut shown = super::object(json!({
        "description": row.description,
        "default_lease_ttl": mounted.mount.default_ttl.0,
        "max_lease_ttl": mounted.mount.max_ttl.0,
        "force_no_cache": config.force_no_cache,
    }));
    if let Some(options) = &row.options {
        shown.insert("options".to_owned(), json!(options));
    }
    if mounted.class == MountClass::Auth {
        shown.insert("token_type".to_owned(), json!(token_type(row)));
    }
    if !config.listing_visibility.is_empty() {
        shown.insert("listing_visibility".to_owned(), json!(config.listing_visibility));
    }
    for (name, list) in &config.lists {
        shown.insert(name.clone(), json!(list));
    }
    shown.extend(lockout(row));
    shown
}

/// The type of tokens that an auth mount gives.
fn token_type(row: &MountRow) -> &str {
    if row.config.token_type.is_empty() { "default-service" } else { &row.config.token_type }
}

fn lockout(row: &MountRow) -> Map<String, Value> {
    let shown = |text: &String| match text.as_str() {
        "true" => json!(true),
        "false" => json!(false),
        text => text.parse::<u64>().map_or_else(|_| json!(text), |number| json!(number)),
    };
    row.config.user_lockout.iter().map(|(name, text)| (format!("user_{name}"), shown(text))).collect()
}
