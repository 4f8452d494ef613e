//! Reading what clients send about a mount's configuration, when it is enabled or tuned.
//!
//! Absent and `null` fields leave the row as it is; unknown ones are ignored, as clients expect.

use serde_json::Value;

use crate::core::mounts::{MountConfig, MountRow, SystemTtls};
use crate::engine::{Data, EngineError, MountClass};
use crate::types::limits::TTL_SECS_MAX;

/// Configuration that is a list of names.
const LISTS: [&str; 6] = [
    "audit_non_hmac_request_keys",
    "audit_non_hmac_response_keys",
    "passthrough_request_headers",
    "allowed_response_headers",
    "allowed_managed_keys",
    "delegated_auth_accessors",
];

/// Auth methods whose users can be locked out.
const LOCKABLE: [&str; 3] = ["userpass", "ldap", "approle"];

/// The fields of `name`, an object within `data`; none if it is absent.
pub fn section(data: &Data, name: &str) -> Result<Data, EngineError> {
    match data.get(name) {
        None => Ok(Data::default()),
        Some(Value::Object(map)) => Ok(Data(map.clone())),
        Some(_) => Err(EngineError::invalid(format!("Field validation failed: {name} must be a map"))),
    }
}

/// Changes `config` by the fields that `sent` has.
///
/// # Errors
/// The first field that is wrong, in Vault's words.
pub fn change(row: &mut MountRow, class: MountClass, sent: &Data) -> Result<(), EngineError> {
    let config = &mut row.config;
    if let Some(ttl) = lease_ttl(sent, "default_lease_ttl", "default")? {
        config.default_lease_ttl = ttl;
    }
    if let Some(ttl) = lease_ttl(sent, "max_lease_ttl", "max")? {
        config.max_lease_ttl = ttl;
    }
    if let Some(flag) = sent.flag("force_no_cache")? {
        config.force_no_cache = flag;
    }
    if let Some(visibility) = sent.text("listing_visibility")? {
        if !["", "unauth", "hidden"].contains(&visibility.as_str()) {
            return Err(EngineError::invalid(format!("invalid listing_visibility {visibility}")));
        }
        config.listing_visibility = visibility;
    }
    for name in LISTS {
        if let Some(list) = sent.texts(name)? {
            let list: Vec<String> = list.into_iter().filter(|entry| !entry.is_empty()).collect();
            if list.is_empty() {
                config.lists.remove(name);
            } else {
                config.lists.insert(name.to_owned(), list);
            }
        }
    }
    if let Some(token_type) = sent.text("token_type")?.filter(|text| !text.is_empty()) {
        if class != MountClass::Auth {
            return Err(EngineError::invalid("'token_type' can only be modified on auth mounts"));
        }
        if !["default-service", "default-batch", "service", "batch"].contains(&token_type.as_str()) {
            return Err(EngineError::invalid("invalid value for 'token_type'"));
        }
        if row.kind == "token" {
            return Err(EngineError::invalid("'token_type' cannot be set for 'token' or 'ns_token' auth mounts"));
        }
        config.token_type = token_type;
    }
    if sent.get("user_lockout_config").is_some() {
        let lockout = section(sent, "user_lockout_config")?;
        change_lockout(&row.kind, config, class, &lockout)?;
    }
    Ok(())
}

fn change_lockout(kind: &str, config: &mut MountConfig, class: MountClass, sent: &Data) -> Result<(), EngineError> {
    if class != MountClass::Auth || !LOCKABLE.contains(&kind) {
        return Err(EngineError::invalid(format!("tuning of user lockout configuration for auth type \"{kind}\" not allowed")));
    }
    if let Some(threshold) = sent.integer("lockout_threshold")? {
        let threshold = u32::try_from(threshold).map_err(|_| EngineError::invalid("lockout_threshold must not be negative"))?;
        config.user_lockout.insert("lockout_threshold".to_owned(), threshold.to_string());
    }
    for name in ["lockout_duration", "lockout_counter_reset_duration"] {
        if let Some(ttl) = sent.ttl(name)? {
            config.user_lockout.insert(name.to_owned(), ttl.0.to_string());
        }
    }
    if let Some(flag) = sent.flag("lockout_disable")? {
        config.user_lockout.insert("lockout_disable".to_owned(), flag.to_string());
    }
    Ok(())
}

/// `Some(0)` resets to the system's value.
fn lease_ttl(sent: &Data, field: &str, name: &str) -> Result<Option<u64>, EngineError> {
    match sent.get(field) {
        None => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        Some(Value::String(text)) if text == "system" => Ok(Some(0)),
        Some(value) => match sent.ttl(field) {
            Ok(ttl) if ttl.is_none_or(|ttl| ttl.0 <= TTL_SECS_MAX) => Ok(ttl.map(|ttl| ttl.0)),
            _ => {
                let shown: String = value.to_string().trim_matches('"').chars().take(64).collect();
                Err(EngineError::invalid(format!("unable to parse {name} TTL of {shown}: invalid duration")))
            }
        },
    }
}

/// The bounds of a mount that is being enabled.
///
/// # Errors
/// If they contradict each other or the system's.
pub fn check_new_ttls(config: &MountConfig, system: SystemTtls) -> Result<(), EngineError> {
    let (default, max) = (config.default_lease_ttl, config.max_lease_ttl);
    if max != 0 && default > max {
        return Err(EngineError::invalid("given default lease TTL greater than given max lease TTL"));
    }
    if max == 0 && default > system.max.0 {
        return Err(EngineError::invalid(format!("given default lease TTL greater than system max lease TTL of {}", system.max.0)));
    }
    Ok(())
}

/// The bounds of a mount that is being tuned.
///
/// # Errors
/// If its default would pass its maximum.
pub fn check_tuned_ttls(config: &MountConfig, system: SystemTtls) -> Result<(), EngineError> {
    let max = if config.max_lease_ttl == 0 { system.max.0 } else { config.max_lease_ttl };
    if config.default_lease_ttl > max {
        return Err(EngineError::invalid(format!(
            "backend max lease TTL of {max} would be less than backend default lease TTL of {}",
            config.default_lease_ttl
        )));
    }
    Ok(())
}
