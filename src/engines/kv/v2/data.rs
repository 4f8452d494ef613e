//! `data/` and `subkeys/`: values of a key's versions.

use serde_json::{Map, Value};

use super::record::{Config, KeyRecord, Version};
use super::{load, load_config, missing_with, save, version_name};
use crate::engine::{Call, EngineError, Reply, View};

/// Deepest object that `subkeys` and merging walk; the edge admits no deeper body.
const DEPTH_MAX: usize = crate::types::limits::JSON_DEPTH_MAX;

fn asked_version(call: &Call<'_>) -> Result<u64, EngineError> {
    Ok(super::count(call.data(), "version")?.unwrap_or(0))
}

fn value_of(view: &mut View<'_>, path: &str, number: u64) -> Result<Map<String, Value>, EngineError> {
    view.get_json(&version_name(path, number))?.ok_or_else(|| EngineError::Internal("a version's value is not stored".to_owned()))
}

/// `GET data/:path`.
pub(super) fn read(call: &Call<'_>, view: &mut View<'_>, path: &str) -> Result<Reply, EngineError> {
    show(call, view, path, "data", |value| Ok(Value::Object(value)))
}

/// `GET subkeys/:path`.
pub(super) fn subkeys(call: &Call<'_>, view: &mut View<'_>, path: &str) -> Result<Reply, EngineError> {
    let depth = super::count(call.data(), "depth")?.and_then(|depth| usize::try_from(depth).ok()).filter(|depth| *depth > 0);
    show(call, view, path, "subkeys", |value| Ok(without_values(Value::Object(value), depth.unwrap_or(DEPTH_MAX))))
}

fn show(
    call: &Call<'_>,
    view: &mut View<'_>,
    path: &str,
    field: &str,
    shape: impl FnOnce(Map<String, Value>) -> Result<Value, EngineError>,
) -> Result<Reply, EngineError> {
    let Some(record) = load(view, path)? else { return Ok(Reply::missing()) };
    let Some((number, version)) = record.version(asked_version(call)?) else { return Ok(Reply::missing()) };
    let mut shown = Map::with_capacity(2);
    let is_readable = version.is_readable(call.now);
    let value = if is_readable { shape(value_of(view, path, number)?)? } else { Value::Null };
    shown.insert(field.to_owned(), value);
    shown.insert("metadata".to_owned(), record.show_version(number, version).into());
    Ok(if is_readable { Reply::data(shown) } else { missing_with(shown) })
}

fn without_values(value: Value, depth: usize) -> Value {
    match value {
        Value::Object(map) if depth > 0 && !map.is_empty() => {
            Value::Object(map.into_iter().map(|(key, value)| (key, without_values(value, depth - 1))).collect())
        }
        _ => Value::Null,
    }
}

fn asked_cas(call: &Call<'_>) -> Result<Option<u64>, EngineError> {
    const WRONG: &str = "error parsing check-and-set parameter";
    match call.data().get("options") {
        None => Ok(None),
        Some(Value::Object(options)) => match options.get("cas") {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Number(number)) => number.as_u64().map(Some).ok_or_else(|| EngineError::invalid(WRONG)),
            Some(Value::String(text)) => text.trim().parse().map(Some).map_err(|_| EngineError::invalid(WRONG)),
            Some(_) => Err(EngineError::invalid(WRONG)),
        },
        Some(_) => Err(EngineError::invalid(WRONG)),
    }
}

fn given_value<'c>(call: &'c Call<'_>) -> Result<&'c Map<String, Value>, EngineError> {
    match call.data().get("data") {
        Some(Value::Object(value)) => Ok(value),
        _ => Err(EngineError::invalid("no data provided")),
    }
}

/// `POST data/:path`.
pub(super) fn write(call: &Call<'_>, view: &mut View<'_>, path: &str) -> Result<Reply, EngineError> {
    let value = given_value(call)?;
    let cas = asked_cas(call)?;
    let config = load_config(view)?;
    let record = load(view, path)?.unwrap_or_else(|| KeyRecord::new(call.now));
    record.check_cas(cas, &config).map_err(EngineError::invalid)?;
    Ok(add(call, view, path, record, &config, value))
}

/// `PATCH data/:path`: a JSON merge patch (RFC 7396) on the newest version.
pub(super) fn patch(call: &Call<'_>, view: &mut View<'_>, path: &str) -> Result<Reply, EngineError> {
    let change = given_value(call)?;
    let cas = asked_cas(call)?;
    let config = load_config(view)?;
    let Some(record) = load(view, path)? else { return Ok(Reply::missing()) };
    let Some((number, version)) = record.version(0) else { return Ok(Reply::missing()) };
    if !version.is_readable(call.now) {
        return Ok(missing_with(record.show_version(number, version)));
    }
    record.check_cas(cas, &config).map_err(EngineError::invalid)?;
    let mut value = if bug!(56) { Map::new() } else { value_of(view, path, number)? };
    merge(&mut value, change);
    Ok(add(call, view, path, record, &config, &value))
}

fn add(call: &Call<'_>, view: &mut View<'_>, path: &str, mut record: KeyRecord, config: &Config, value: &Map<String, Value>) -> Reply {
    let (number, too_old) = record.add_version(config, call.now);
    view.put_json(&version_name(path, number), value);
    for old in too_old {
        view.delete(&version_name(path, old));
    }
    save(view, path, &record);
    let shown: Option<(u64, &Version)> = record.version(number);
    Reply::data(shown.map(|(number, version)| record.show_version(number, version)).unwrap_or_default())
}

fn merge(target: &mut Map<String, Value>, change: &Map<String, Value>) {
    for (key, value) in change {
        match value {
            Value::Null => {
                target.remove(key);
            }
            Value::Object(change) => {
                let slot = target.entry(key.clone()).or_insert(Value::Null);
                if !slot.is_object() {
                    *slot = Value::Object(Map::new());
                }
                if let Value::Object(inner) = slot {
                    merge(inner, change);
                }
            }
            other => {
                target.insert(key.clone(), other.clone());
            }
        }
    }
}
