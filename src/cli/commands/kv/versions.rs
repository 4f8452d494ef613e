//! `kv delete`, `undelete`, `destroy`, `rollback`: the life of versions.

use serde_json::{Map, Value, json};

use super::place::{MOUNT, Place};
use super::versioned_body;
use crate::cli::args::Flag;
use crate::cli::call::Call;
use crate::cli::command::{Command, Prints};
use crate::cli::commands::data::show_written;
use crate::cli::failure::{Failure, Outcome};
use crate::cli::invocation::{Invocation, members_of};

const VERSIONS: Flag = Flag::list("versions", "The versions, as in 1,2; repeatable.");

/// The commands of this file.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "kv delete",
        summary: "Delete the newest version of a secret, or some",
        arguments: "PATH",
        examples: &["kv delete -mount=secret app", "kv delete -mount=secret -versions=1,2 app"],
        flags: &[MOUNT, VERSIONS],
        prints: Prints::Field,
        run: delete,
    },
    Command {
        name: "kv undelete",
        summary: "Bring deleted versions back",
        arguments: "PATH",
        examples: &["kv undelete -mount=secret -versions=2 app"],
        flags: &[MOUNT, VERSIONS],
        prints: Prints::Field,
        run: undelete,
    },
    Command {
        name: "kv destroy",
        summary: "Remove versions for good",
        arguments: "PATH",
        examples: &["kv destroy -mount=secret -versions=1 app"],
        flags: &[MOUNT, VERSIONS],
        prints: Prints::Field,
        run: destroy,
    },
    Command {
        name: "kv rollback",
        summary: "Write an older version anew",
        arguments: "PATH",
        examples: &["kv rollback -mount=secret -version=2 app"],
        flags: &[MOUNT, Flag::number("version", "The version to write anew.")],
        prints: Prints::Field,
        run: rollback,
    },
];

fn versions_of(run: &Invocation) -> Vec<String> {
    run.parsed
        .list("versions")
        .iter()
        .flat_map(|list| list.split(','))
        .map(str::trim)
        .filter(|one| !one.is_empty())
        .map(str::to_owned)
        .collect()
}

fn delete(run: &mut Invocation) -> Outcome {
    run.expect_args(1, 1)?;
    let client = run.client()?;
    let place = Place::find(run, &client)?;
    let path = place.value();
    let versions = versions_of(run);
    let call = match (place.is_v2, versions.is_empty()) {
        (true, false) => Call::put(place.below("delete"), json!({ "versions": versions })),
        _ => Call::delete(&path),
    };
    match client.envelope(&call).map_err(|error| error.during(&format!("Error deleting {path}")))? {
        Some(envelope) if run.is_structured() => run.show_secret(&envelope),
        answer => {
            run.say(&format!("Success! Data deleted (if it existed) at: {path}"));
            answer.map_or(Ok(0), |envelope| run.show_secret(&envelope))
        }
    }
}

fn undelete(run: &mut Invocation) -> Outcome {
    with_versions(run, "undelete", "undelete")
}

fn destroy(run: &mut Invocation) -> Outcome {
    with_versions(run, "destroy", "destroy")
}

fn with_versions(run: &mut Invocation, part: &str, verb: &str) -> Outcome {
    run.expect_args(1, 1)?;
    let versions = versions_of(run);
    if versions.is_empty() {
        return Err(Failure::local(format!("No versions provided, use the \"-versions\" flag to specify the version to {verb}.")));
    }
    let client = run.client()?;
    let place = Place::find(run, &client)?;
    if !place.is_v2 {
        return Err(Failure::local(format!("{} not supported on KV Version 1", capitalized(verb))));
    }
    let path = place.below(part);
    let call = Call::put(&path, json!({ "versions": versions }));
    let answer = client.envelope(&call).map_err(|error| error.during(&format!("Error writing data to {path}")))?;
    show_written(run, answer, &path)
}

fn capitalized(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

fn rollback(run: &mut Invocation) -> Outcome {
    run.expect_args(1, 1)?;
    let version = run.parsed.number("version").ok_or_else(|| Failure::local("Version flag must be specified"))?;
    if version <= 0 {
        return Err(Failure::local(format!("Invalid value {version} for the version flag")));
    }
    let client = run.client()?;
    let place = Place::find(run, &client)?;
    if !place.is_v2 {
        return Err(Failure::remote("K/V engine mount must be version 2 for rollback support"));
    }
    let path = place.value();
    let read = |call: Call| -> Result<Map<String, Value>, Failure> {
        let found = client.find(&call.unwrapped()).map_err(|error| error.during(&format!("Error doing pre-read at {path}")))?;
        found.as_ref().map(members_of).ok_or_else(|| Failure::remote(format!("No value found at {path}")))
    };
    let newest = read(Call::get(&path))?;
    let cas = newest.get("metadata").and_then(|metadata| metadata.get("version")).and_then(Value::as_i64);
    let old = read(Call::get(&path).with("version", &version.to_string()))?;
    let metadata = old.get("metadata").and_then(Value::as_object).cloned().unwrap_or_default();
    if metadata.get("deletion_time").and_then(Value::as_str).is_some_and(|time| !time.is_empty()) {
        return Err(Failure::remote("Cannot roll back to a version that has been deleted"));
    }
    if metadata.get("destroyed").and_then(Value::as_bool).unwrap_or(false) {
        return Err(Failure::remote("Cannot roll back to a version that has been destroyed"));
    }
    let data = old.get("data").and_then(Value::as_object).cloned().ok_or_else(|| Failure::remote(format!("No data found at {path}")))?;
    let call = Call::put(&path, versioned_body(data, cas));
    let answer = client.envelope(&call).map_err(|error| error.during(&format!("Error writing data to {path}")))?;
    show_written(run, answer, &path)
}
