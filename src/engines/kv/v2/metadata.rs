//! `metadata/`: settings of a key, custom metadata, listings, and the end of a key.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::as_folder;
use super::super::v1;
use super::record::{Config, DeleteAfter, KeyRecord};
use super::{count, delete_after, load, load_config, record_name, save, version_name};
use crate::engine::{Body, Call, EngineError, Reply, View};

/// `LIST metadata/:path`.
pub(super) fn list(call: &Call<'_>, view: &mut View<'_>, path: &str) -> Result<Reply, EngineError> {
    Ok(Reply::keys(v1::list(call, view, &record_name(&as_folder(path)))?))
}

/// `GET metadata/:path`.
pub(super) fn read(view: &mut View<'_>, path: &str) -> Result<Reply, EngineError> {
    Ok(load(view, path)?.map_or_else(Reply::missing, |record| Reply::json(record.show())))
}

/// `POST metadata/:path`: only what is given changes; `custom_metadata` is replaced as a whole.
pub(super) fn write(call: &Call<'_>, view: &mut View<'_>, path: &str) -> Result<Reply, EngineError> {
    let config = load_config(view)?;
    let mut record = load(view, path)?.unwrap_or_else(|| KeyRecord::new(call.now));
    if let Some(custom) = call.data().text_map("custom_metadata")? {
        check_custom(&custom)?;
        record.custom_metadata = Some(custom).filter(|custom| !custom.is_empty());
    }
    let reply = settle(call, &config, &mut record)?;
    save(view, path, &record);
    Ok(reply)
}

/// `PATCH metadata/:path`: `null` takes a setting, or one entry of `custom_metadata`, away.
pub(super) fn patch(call: &Call<'_>, view: &mut View<'_>, path: &str) -> Result<Reply, EngineError> {
    let config = load_config(view)?;
    let Some(mut record) = load(view, path)? else { return Ok(Body::Missing(None).into()) };
    let is_null = |field: &str| call.data().0.get(field).is_some_and(Value::is_null);
    if is_null("max_versions") {
        record.max_versions = 0;
    }
    if is_null("cas_required") {
        record.cas_required = false;
    }
    if is_null("delete_version_after") {
        record.delete_version_after = DeleteAfter::Unset;
    }
    if is_null("custom_metadata") {
        record.custom_metadata = None;
    }
    if let Some(change) = call.data().get("custom_metadata") {
        let Value::Object(change) = change else {
            return Err(EngineError::invalid("Field validation failed: custom_metadata must be a map of strings"));
        };
        let mut custom = record.custom_metadata.take().unwrap_or_default();
        for (key, value) in change {
            match value {
                Value::Null => {
                    custom.remove(key);
                }
                Value::String(text) => {
                    custom.insert(key.clone(), text.clone());
                }
                _ => return Err(EngineError::invalid("Field validation failed: custom_metadata must be a map of strings")),
            }
        }
        check_custom(&custom)?;
        record.custom_metadata = Some(custom).filter(|custom| !custom.is_empty());
    }
    let reply = settle(call, &config, &mut record)?;
    save(view, path, &record);
    Ok(reply)
}

/// `DELETE metadata/:path`: the key and every version of it.
pub(super) fn erase(view: &mut View<'_>, path: &str) -> Result<Reply, EngineError> {
    if let Some(record) = load(view, path)? {
        for number in record.numbers().filter(|_| !bug!(76)) {
            view.delete(&version_name(path, number));
        }
        view.delete(&record_name(path));
    }
    Ok(Reply::empty())
}

fn settle(call: &Call<'_>, config: &Config, record: &mut KeyRecord) -> Result<Reply, EngineError> {
    let mut reply = Reply::empty();
    if let Some(max_versions) = count(call.data(), "max_versions")? {
        record.max_versions = max_versions;
    }
    if let Some(cas_required) = call.data().flag("cas_required")? {
        record.cas_required = cas_required;
        if !cas_required && config.cas_required {
            reply = reply.warn("\"cas_required\" set to false, but is mandated by backend config. This value will be ignored.");
        }
    }
    if let Some(delete_after) = delete_after(call.data())? {
        record.delete_version_after = delete_after;
    }
    record.touch(call.now);
    Ok(reply)
}

fn check_custom(custom: &BTreeMap<String, String>) -> Result<(), EngineError> {
    const PREFIX: &str = "custom_metadata validation failed";
    let is_printable = |text: &str| !text.chars().any(char::is_control);
    if custom.len() > 64 {
        return Err(EngineError::invalid(format!("{PREFIX}: payload must contain at most 64 keys, provided {}", custom.len())));
    }
    for (key, value) in custom {
        let shown = json!(key);
        let problem = if key.is_empty() || key.len() > 128 {
            format!("length of key {shown} is {} but must be 0 < len(key) <= 128", key.len())
        } else if value.is_empty() || value.len() > 512 {
            format!("length of value for key {shown} is {} but must be 0 < len(value) <= 512", value.len())
        } else if !is_printable(key) {
            format!("key {shown} ({key}) contains unprintable characters")
        } else if !is_printable(value) {
            format!("value for key {shown} contains unprintable characters")
        } else {
            continue;
        };
        return Err(EngineError::invalid(format!("{PREFIX}: {problem}")));
    }
    Ok(())
}
