//! `kv`: values by name, in either version of the engine.
//!
//! Reading order: `place` (which version), this file (get, put, list), `patch`, `versions`, `metadata`.

pub mod metadata;
mod patch;
mod place;
pub mod versions;

use serde_json::{Map, Value, json};

use super::data::{show_listing, show_written};
use crate::cli::args::Flag;
use crate::cli::call::Call;
use crate::cli::command::{Command, Prints};
use crate::cli::failure::{Failure, Outcome};
use crate::cli::invocation::{Invocation, members_of};
use crate::cli::output::table;
use crate::cli::route::mount_path;
use place::{MOUNT, Place};

/// The commands of this file.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "kv get",
        summary: "Read a secret",
        arguments: "PATH",
        examples: &["kv get -mount=secret app", "kv get -mount=secret -version=2 app", "kv get -field=dsn secret/app"],
        flags: &[MOUNT, Flag::number("version", "The version to read; 0 is the newest.")],
        prints: Prints::Field,
        run: get,
    },
    Command {
        name: "kv put",
        summary: "Write a secret, all of it",
        arguments: "PATH DATA K=V...",
        examples: &["kv put -mount=secret app dsn=postgres://db1 pool=8", "kv put -mount=secret -cas=1 app @app.json"],
        flags: &[MOUNT, Flag::number("cas", "Write only if this is the newest version; 0: only if there is none.")],
        prints: Prints::Field,
        run: put,
    },
    Command {
        name: "kv patch",
        summary: "Change some members of a secret",
        arguments: "PATH DATA K=V...",
        examples: &["kv patch -mount=secret app pool=9", "kv patch -mount=secret -remove-data=pool app"],
        flags: &[
            MOUNT,
            Flag::number("cas", "Write only if this is the newest version."),
            Flag::text("method", "patch: in one call; rw: read, then write. Default: the first that works."),
            Flag::list("remove-data", "A member to remove; repeatable."),
        ],
        prints: Prints::Field,
        run: patch::patch,
    },
    Command {
        name: "kv list",
        summary: "List the names below a path",
        arguments: "PATH",
        examples: &["kv list -mount=secret", "kv list secret/team"],
        flags: &[MOUNT],
        prints: Prints::Format,
        run: list,
    },
    Command {
        name: "kv enable-versioning",
        summary: "Turn a mount of version 1 into version 2",
        arguments: "MOUNT",
        examples: &["kv enable-versioning secret"],
        flags: &[],
        prints: Prints::Text,
        run: enable_versioning,
    },
];

fn get(run: &mut Invocation) -> Outcome {
    run.expect_args(1, 1)?;
    let client = run.client()?;
    let place = Place::find(run, &client)?;
    let path = place.value();
    let mut call = Call::get(&path);
    if let Some(version) = run.parsed.number("version").filter(|version| place.is_v2 && *version > 0) {
        call = call.with("version", &version.to_string());
    }
    let found = client.find(&call).map_err(|error| error.during(&format!("Error reading {path}")))?;
    let envelope = found.ok_or_else(|| Failure::remote(format!("No value found at {path}")))?;
    if !place.is_v2 || envelope.get("wrap_info").is_some_and(Value::is_object) {
        return show_v1(run, &envelope);
    }
    let members = members_of(&envelope);
    let value = members.get("data").and_then(Value::as_object);
    if let Some(name) = run.text("field") {
        run.warn_of(&envelope);
        let value = value.ok_or_else(|| Failure::remote(format!("No data found at {path}")))?;
        return run.show_field(field_of(value, name), name);
    }
    if run.is_structured() {
        return run.show_secret(&envelope);
    }
    run.warn_of(&envelope);
    run.print(&format!("{}\n", table::framed_path("Secret Path", &path)));
    if let Some(metadata) = members.get("metadata").and_then(Value::as_object) {
        run.print(&format!("{}\n", table::framed_members("Metadata", metadata)));
    }
    if let Some(value) = value {
        run.print(&table::framed_members("Data", value));
    }
    Ok(0)
}

fn show_v1(run: &Invocation, envelope: &Map<String, Value>) -> Outcome {
    if run.is_structured() || run.text("field").is_some() || envelope.get("wrap_info").is_some_and(Value::is_object) {
        return run.show_secret(envelope);
    }
    run.warn_of(envelope);
    if let Some(value) = envelope.get("data").and_then(Value::as_object) {
        run.print(&table::framed_members("Data", value));
    }
    Ok(0)
}

/// A member of a secret; `data` is the whole, unless a member is called so.
fn field_of(value: &Map<String, Value>, name: &str) -> Option<Value> {
    let member = value.get(name).filter(|value| !value.is_null()).cloned();
    member.or_else(|| (name == "data").then(|| Value::Object(value.clone())))
}

fn put(run: &mut Invocation) -> Outcome {
    run.expect_args(1, usize::MAX)?;
    if run.parsed.args.len() < 2 {
        return Err(Failure::local("Must supply data"));
    }
    let data = run.data_after(1)?;
    let client = run.client()?;
    let place = Place::find(run, &client)?;
    let path = place.value();
    let body = if place.is_v2 { versioned_body(data, run.parsed.number("cas").filter(|cas| *cas >= 0)) } else { Value::Object(data) };
    let answer = client.envelope(&Call::put(&path, body)).map_err(|error| error.during(&format!("Error writing data to {path}")))?;
    show_version(run, answer, &path, place.is_v2)
}

/// The body that writes a version.
fn versioned_body(data: Map<String, Value>, cas: Option<i64>) -> Value {
    let mut options = Map::new();
    if let Some(cas) = cas {
        options.insert("cas".into(), cas.into());
    }
    json!({ "data": data, "options": options })
}

/// Prints the version that was written.
fn show_version(run: &Invocation, answer: Option<Map<String, Value>>, path: &str, is_v2: bool) -> Outcome {
    match answer {
        Some(envelope)
            if is_v2 && !run.is_structured() && run.text("field").is_none() && envelope.get("data").is_some_and(Value::is_object) =>
        {
            run.warn_of(&envelope);
            run.print(&format!("{}\n", table::framed_path("Secret Path", path)));
            run.print(&table::framed_members("Metadata", &members_of(&envelope)));
            Ok(0)
        }
        other => show_written(run, other, path),
    }
}

fn list(run: &mut Invocation) -> Outcome {
    let has_mount = run.text("mount").is_some();
    run.expect_args(usize::from(!has_mount), 1)?;
    let client = run.client()?;
    let place = Place::find(run, &client)?;
    let path = if place.is_v2 { place.below("metadata") } else { place.value() };
    let found = client.find(&Call::list(&path)).map_err(|error| error.during(&format!("Error listing {path}")))?;
    show_listing(run, found, &path)
}

fn enable_versioning(run: &mut Invocation) -> Outcome {
    run.expect_args(1, 1)?;
    let mount = mount_path(run.arg(0));
    let call = Call::post(format!("sys/mounts/{mount}tune"), json!({ "options": { "version": "2" } }));
    run.ask(&call, &format!("Error tuning secrets engine {mount}"))?;
    run.say(&format!("Success! Tuned the secrets engine at: {mount}"));
    Ok(0)
}
