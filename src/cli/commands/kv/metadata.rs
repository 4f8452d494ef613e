//! `kv metadata`: what is known of a secret besides its value.

use serde_json::{Map, Value};

use super::place::{MOUNT, Place};
use crate::cli::args::Flag;
use crate::cli::call::Call;
use crate::cli::client::Client;
use crate::cli::command::{Command, Prints};
use crate::cli::commands::data::show_written;
use crate::cli::failure::{Failure, Outcome};
use crate::cli::invocation::{Invocation, members_of};
use crate::cli::output::table;

const SETTINGS: [Flag; 4] = [
    Flag::number("max-versions", "How many versions are kept; 0: as the mount says."),
    Flag::switch("cas-required", "Whether every write must name the version it replaces."),
    Flag::text("delete-version-after", "When a version is deleted by itself, as in 3h25m."),
    Flag::pairs("custom-metadata", "key=value to keep; repeatable."),
];

/// The commands of this file.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "kv metadata get",
        summary: "Show the metadata of a secret and its versions",
        arguments: "PATH",
        examples: &["kv metadata get -mount=secret app"],
        flags: &[MOUNT],
        prints: Prints::Field,
        run: get,
    },
    Command {
        name: "kv metadata put",
        summary: "Set the metadata of a secret",
        arguments: "PATH",
        examples: &["kv metadata put -mount=secret -max-versions=5 app", "kv metadata put -mount=secret -custom-metadata=team=a app"],
        flags: &[MOUNT, SETTINGS[0], SETTINGS[1], SETTINGS[2], SETTINGS[3]],
        prints: Prints::Format,
        run: put,
    },
    Command {
        name: "kv metadata patch",
        summary: "Change a part of the metadata of a secret",
        arguments: "PATH",
        examples: &["kv metadata patch -mount=secret -custom-metadata=team=b app"],
        flags: &[
            MOUNT,
            SETTINGS[0],
            SETTINGS[1],
            SETTINGS[2],
            SETTINGS[3],
            Flag::list("remove-custom-metadata", "A key of the custom metadata to remove; repeatable."),
        ],
        prints: Prints::Format,
        run: patch,
    },
    Command {
        name: "kv metadata delete",
        summary: "Remove a secret with all its versions",
        arguments: "PATH",
        examples: &["kv metadata delete -mount=secret app"],
        flags: &[MOUNT],
        prints: Prints::Format,
        run: delete,
    },
];

fn find(run: &mut Invocation) -> Result<(Client, String), Failure> {
    run.expect_args(1, 1)?;
    let client = run.client()?;
    let place = Place::find(run, &client)?;
    if !place.is_v2 {
        return Err(Failure::local("Metadata not supported on KV Version 1"));
    }
    let path = place.below("metadata");
    Ok((client, path))
}

fn get(run: &mut Invocation) -> Outcome {
    let (client, path) = find(run)?;
    let found = client.find(&Call::get(&path)).map_err(|error| error.during(&format!("Error reading {path}")))?;
    let envelope = found.ok_or_else(|| Failure::remote(format!("No value found at {path}")))?;
    if run.is_structured() || run.text("field").is_some() {
        return run.show_secret(&envelope);
    }
    let mut members = members_of(&envelope);
    let versions = members.remove("versions").and_then(|versions| versions.as_object().cloned()).unwrap_or_default();
    run.print(&format!("{}\n", table::framed_path("Metadata Path", &path)));
    run.print(&table::framed_members("Metadata", &members));
    let mut numbers: Vec<(u64, &Value)> =
        versions.iter().filter_map(|(number, version)| number.parse().ok().map(|number| (number, version))).collect();
    numbers.sort_by_key(|entry| entry.0);
    for (number, version) in numbers {
        let version = version.as_object().cloned().unwrap_or_default();
        run.print(&format!("\n{}", table::framed_members(&format!("Version {number}"), &version)));
    }
    Ok(0)
}

fn settings_of(run: &Invocation) -> Result<Map<String, Value>, Failure> {
    let mut body = Map::new();
    if let Some(count) = run.parsed.number("max-versions").filter(|count| *count >= 0) {
        body.insert("max_versions".into(), count.into());
    }
    if run.parsed.has("cas-required") {
        body.insert("cas_required".into(), run.is("cas-required").into());
    }
    if let Some(text) = run.text("delete-version-after") {
        if crate::types::Ttl::parse(text).is_err() && !text.starts_with('-') {
            return Err(Failure::local(format!("invalid value {text:?} for flag -delete-version-after: not a length of time")));
        }
        body.insert("delete_version_after".into(), text.into());
    }
    let mut custom: Map<String, Value> =
        run.parsed.pairs("custom-metadata").into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
    for name in run.parsed.list("remove-custom-metadata") {
        custom.insert(name.clone(), Value::Null);
    }
    if !custom.is_empty() {
        body.insert("custom_metadata".into(), Value::Object(custom));
    }
    Ok(body)
}

fn put(run: &mut Invocation) -> Outcome {
    let (client, path) = find(run)?;
    let call = Call::put(&path, Value::Object(settings_of(run)?));
    let answer = client.envelope(&call).map_err(|error| error.during(&format!("Error writing data to {path}")))?;
    show_written(run, answer, &path)
}

fn patch(run: &mut Invocation) -> Outcome {
    let (client, path) = find(run)?;
    let call = Call::patch(&path, Value::Object(settings_of(run)?));
    let answer = client.envelope(&call).map_err(|error| error.during(&format!("Error writing data to {path}")))?;
    show_written(run, answer, &path)
}

fn delete(run: &mut Invocation) -> Outcome {
    let (client, path) = find(run)?;
    let answer = client.envelope(&Call::delete(&path)).map_err(|error| error.during(&format!("Error deleting {path}")))?;
    run.say(&format!("Success! Data deleted (if it existed) at: {path}"));
    answer.map_or(Ok(0), |envelope| run.show_secret(&envelope))
}
