//! KV version 2: versions of a JSON object, with check-and-set, soft deletion and metadata.
//!
//! Rows of a mount: `config`; `metadata/PATH`, the key's record; `version/PATH/N`, one version's value. A write puts record and
//! version in one transaction.

mod data;
mod metadata;
mod record;
mod upgrade;
mod versions;

use async_trait::async_trait;
use serde_json::{Map, Value, json};

use self::record::{Config, DeleteAfter, KeyRecord};
use crate::engine::Operation::{self, Create, Delete, List, Patch, Read, Update};
use crate::engine::{Access, Body, Call, Data, Engine, EngineError, Fields, Reply, Route, View, Writes};
use crate::types::{Timestamp, Ttl};

const fn route(pattern: &'static str, operations: &'static [Operation], writes: Writes, help: &'static str) -> Route {
    Route { pattern, operations, access: Access::Policy, writes, help }
}

static ROUTES: &[Route] = &[
    route("config", &[Read], Writes::Nothing, "Reads the mount's settings."),
    route("config", &[Update], Writes::Shared, "Changes the mount's settings."),
    route("data/*path", &[Read], Writes::Nothing, "Reads a version of a secret."),
    route("data/*path", &[Update, Patch, Delete], Writes::Shared, "Writes, merges or deletes the newest version of a secret."),
    route("delete/*path", &[Update], Writes::Shared, "Marks versions as deleted."),
    route("undelete/*path", &[Update], Writes::Shared, "Takes deletions back."),
    route("destroy/*path", &[Update], Writes::Shared, "Erases versions for good."),
    route("metadata/*path", &[Read, List], Writes::Nothing, "Reads a key's metadata or lists keys."),
    route("metadata/*path", &[Update, Patch, Delete], Writes::Shared, "Changes a key's metadata or erases the key."),
    route("subkeys/*path", &[Read], Writes::Nothing, "Shows the structure of a secret without its values."),
    route("*rest", &[Read, List, Update, Patch, Delete], Writes::Nothing, "Tells what the right path would be."),
];

pub(super) struct KvV2;

#[async_trait]
impl Engine for KvV2 {
    fn routes(&self) -> &'static [Route] {
        ROUTES
    }

    fn fields(&self, route: &Route) -> Fields {
        Fields::Only(match route.pattern {
            "config" => &["cas_required", "delete_version_after", "max_versions"],
            "data/*path" => &["data", "options", "version"],
            "delete/*path" | "undelete/*path" | "destroy/*path" => &["versions"],
            "metadata/*path" => &["cas_required", "custom_metadata", "delete_version_after", "max_versions"],
            "subkeys/*path" => &["depth", "version"],
            _ => return Fields::Any,
        })
    }

    async fn exists(&self, call: &Call<'_>, view: &mut View<'_>) -> Result<Option<bool>, EngineError> {
        match call.route.pattern {
            "data/*path" | "metadata/*path" => Ok(Some(view.exists(&record_name(call.captures.get("path")))?)),
            _ => Ok(None),
        }
    }

    async fn upgrade(&self, view: &mut View<'_>, now: Timestamp) -> Result<(), EngineError> {
        upgrade::convert(view, now)
    }

    async fn handle(&self, call: &Call<'_>, view: &mut View<'_>) -> Result<Reply, EngineError> {
        let path = call.captures.get("path");
        let section = call.route.pattern;
        if path.is_empty() && section.ends_with("*path") && call.operation != List {
            return Ok(if call.path.ends_with('/') && call.operation.is_write() {
                return Err(EngineError::invalid("missing path"));
            } else {
                wrong_path(call)
            });
        }
        if path.ends_with('/') && call.operation != List {
            return Ok(Reply::missing());
        }
        match (section, call.operation) {
            ("config", Read) => show_config(view),
            ("config", _) => change_config(call, view),
            ("data/*path", Read) => data::read(call, view, path),
            ("data/*path", Create | Update) => data::write(call, view, path),
            ("data/*path", Patch) => data::patch(call, view, path),
            ("data/*path", Delete) => versions::delete_newest(call, view, path),
            ("subkeys/*path", _) => data::subkeys(call, view, path),
            ("delete/*path", _) => versions::delete(call, view, path),
            ("undelete/*path", _) => versions::undelete(call, view, path),
            ("destroy/*path", _) => versions::destroy(call, view, path),
            ("metadata/*path", List) => metadata::list(call, view, path),
            ("metadata/*path", Read) => metadata::read(view, path),
            ("metadata/*path", Create | Update) => metadata::write(call, view, path),
            ("metadata/*path", Patch) => metadata::patch(call, view, path),
            ("metadata/*path", Delete) => metadata::erase(view, path),
            _ if has_section(call.path) => Err(EngineError::Unsupported),
            _ => Ok(wrong_path(call)),
        }
    }
}

fn record_name(path: &str) -> String {
    format!("metadata/{path}")
}

fn version_name(path: &str, number: u64) -> String {
    format!("version/{path}/{number}")
}

fn load(view: &mut View<'_>, path: &str) -> Result<Option<KeyRecord>, EngineError> {
    Ok(view.get_json(&record_name(path))?)
}

fn save(view: &mut View<'_>, path: &str, record: &KeyRecord) {
    view.put_json(&record_name(path), record);
}

fn load_config(view: &mut View<'_>) -> Result<Config, EngineError> {
    Ok(view.get_json("config")?.unwrap_or_default())
}

fn show_config(view: &mut View<'_>) -> Result<Reply, EngineError> {
    let config = load_config(view)?;
    Ok(Reply::json(json!({
        "cas_required": config.cas_required,
        "delete_version_after": config.delete_version_after.show(),
        "max_versions": config.max_versions,
    })))
}

fn change_config(call: &Call<'_>, view: &mut View<'_>) -> Result<Reply, EngineError> {
    let mut config = load_config(view)?;
    let before = config.clone();
    if let Some(max_versions) = count(call.data(), "max_versions")? {
        config.max_versions = max_versions;
    }
    if let Some(cas_required) = call.data().flag("cas_required")? {
        config.cas_required = cas_required;
    }
    if let Some(delete_after) = delete_after(call.data())? {
        config.delete_version_after = delete_after;
    }
    if config != before {
        view.put_json("config", &config);
    }
    Ok(Reply::empty())
}

/// A whole number that is not negative.
fn count(data: &Data, field: &str) -> Result<Option<u64>, EngineError> {
    match data.integer(field)? {
        None => Ok(None),
        Some(number) => u64::try_from(number).map(Some).map_err(|_| EngineError::invalid(format!("{field} must not be negative"))),
    }
}

/// `delete_version_after`; a negative one means never.
fn delete_after(data: &Data) -> Result<Option<DeleteAfter>, EngineError> {
    const FIELD: &str = "delete_version_after";
    let is_negative = match data.get(FIELD) {
        Some(Value::String(text)) => text.trim_start().starts_with('-'),
        Some(Value::Number(number)) => number.as_f64().is_some_and(|number| number < 0.0),
        _ => false,
    };
    if is_negative {
        return Ok(Some(DeleteAfter::Never));
    }
    Ok(data.ttl(FIELD)?.map(|ttl| if ttl == Ttl::ZERO { DeleteAfter::Unset } else { DeleteAfter::Secs(ttl.0) }))
}

fn missing_with(data: Map<String, Value>) -> Reply {
    Body::Missing(Some(data)).into()
}

/// Whether a path begins as it should, so that only the operation is wrong.
fn has_section(path: &str) -> bool {
    path.split_once('/').is_some_and(|(first, _)| ["data", "delete", "undelete", "destroy", "subkeys"].contains(&first))
}

/// Requests that leave out the first part of the path get told so: clients show the warning.
fn wrong_path(call: &Call<'_>) -> Reply {
    let is_section = ["data", "metadata", "delete", "undelete", "destroy"].contains(&call.path.trim_end_matches('/'));
    if is_section && call.operation != List {
        return Reply::missing().warn("Non-listing operations on the root of a K/V v2 mount are not supported.");
    }
    let verb = match call.operation {
        Read => "get",
        List => "list",
        Delete => "delete",
        Patch => "patch",
        _ => "put",
    };
    Reply::missing().warn(format!(
        "Invalid path for a versioned K/V secrets engine. See the API docs for the appropriate API endpoints to use. \
         If using the Vault CLI, use 'vault kv {verb}' for this operation."
    ))
}

#[cfg(test)]
mod tests;
