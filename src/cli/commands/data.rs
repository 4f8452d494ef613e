//! `read`, `list`, `write`, `patch`, `delete`, `unwrap`, `path-help`: the API as it is.

use serde_json::{Map, Value};

use crate::cli::args::Flag;
use crate::cli::call::Call;
use crate::cli::command::{Command, Prints};
use crate::cli::config::Format;
use crate::cli::failure::{Failure, Outcome};
use crate::cli::invocation::{Invocation, keys_of};
use crate::cli::output::{json, table, value::go_text};
use crate::cli::refusal::CallError;

const FORCE: &[Flag] = &[Flag::switch("force", "Write without any data.").or("f")];

/// The commands of this file.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "read",
        summary: "Read a path",
        arguments: "PATH [K=V...]",
        examples: &["read secret/data/app", "read -field=ttl auth/token/lookup-self"],
        flags: &[],
        prints: Prints::Field,
        run: read,
    },
    Command {
        name: "list",
        summary: "List the names below a path",
        arguments: "PATH",
        examples: &["list secret/metadata", "list -format=json auth/userpass/users"],
        flags: &[],
        prints: Prints::Format,
        run: list,
    },
    Command {
        name: "write",
        summary: "Write data to a path",
        arguments: "PATH [DATA K=V...]",
        examples: &[
            "write auth/userpass/users/bob password=@pass.txt",
            "write -f transit/keys/app",
            "write sys/tools/random/32 format=hex",
        ],
        flags: FORCE,
        prints: Prints::Field,
        run: write,
    },
    Command {
        name: "patch",
        summary: "Change a part of the data at a path",
        arguments: "PATH [DATA K=V...]",
        examples: &["patch pki/roles/web ttl=1h"],
        flags: FORCE,
        prints: Prints::Field,
        run: patch,
    },
    Command {
        name: "delete",
        summary: "Delete what is at a path",
        arguments: "PATH [K=V...]",
        examples: &["delete secret/data/app"],
        flags: &[],
        prints: Prints::Field,
        run: delete,
    },
    Command {
        name: "unwrap",
        summary: "Take out what a wrapping token holds",
        arguments: "[TOKEN]",
        examples: &["unwrap hvs.CAESI...", "unwrap -field=secret_id hvs.CAESI..."],
        flags: &[],
        prints: Prints::Field,
        run: unwrap,
    },
    Command {
        name: "path-help",
        summary: "Show what the server says about a path",
        arguments: "PATH",
        examples: &["path-help secret/"],
        flags: &[],
        prints: Prints::Format,
        run: path_help,
    },
];

fn read(run: &mut Invocation) -> Outcome {
    run.expect_args(1, usize::MAX)?;
    let path = run.path(0);
    let mut call = Call::get(&path);
    call.query = run.query_after(1)?;
    let doing = format!("Error reading {path}");
    let client = run.client()?;
    if run.format == Format::Raw {
        let answer = client.send(&call).map_err(|error| absent(error, &path, &doing))?;
        run.print(&String::from_utf8_lossy(&answer.body));
        return Ok(0);
    }
    match client.find(&call).map_err(|error| error.during(&doing))? {
        Some(envelope) => run.show_secret(&envelope),
        None => Err(Failure::remote(format!("No value found at {path}"))),
    }
}

fn absent(error: CallError, path: &str, doing: &str) -> Failure {
    match error.status() {
        Some(404) => Failure::remote(format!("No value found at {path}")),
        _ => error.during(doing),
    }
}

fn list(run: &mut Invocation) -> Outcome {
    run.expect_args(1, 1)?;
    let path = run.path(0);
    let found = run.client()?.find(&Call::list(&path)).map_err(|error| error.during(&format!("Error listing {path}")))?;
    show_listing(run, found, &path)
}

/// Prints what a list call found; nothing found is exit code 2.
pub fn show_listing(run: &Invocation, found: Option<Map<String, Value>>, path: &str) -> Outcome {
    let nothing = |run: &Invocation, text: &str| {
        if run.is_structured() {
            run.print_structured(&Value::Object(Map::new()));
            Err(Failure::silent(2))
        } else {
            Err(Failure::remote(format!("{text} {path}")))
        }
    };
    let Some(envelope) = found else { return nothing(run, "No value found at") };
    run.warn_of(&envelope);
    if envelope.get("wrap_info").is_some_and(Value::is_object) {
        return run.show_secret(&envelope);
    }
    let Some(names) = keys_of(&envelope) else {
        // Warnings alone say why there is nothing: no failure of this call.
        let has_warnings = envelope.get("warnings").and_then(Value::as_array).is_some_and(|warnings| !warnings.is_empty());
        return if has_warnings && !run.is_structured() { Ok(0) } else { nothing(run, "No entries found at") };
    };
    let details = envelope.get("data").and_then(|members| members.get("key_info")).and_then(Value::as_object);
    match details {
        Some(details) if run.is("detailed") || crate::cli::config::is_set("DETAILED") => show_details(run, &envelope, &names, details),
        _ if run.is_structured() && run.is("detailed") => run.print_structured(&json::envelope(&envelope)),
        _ => run.show_list("Keys", &names),
    }
    Ok(0)
}

fn show_details(run: &Invocation, envelope: &Map<String, Value>, names: &[String], details: &Map<String, Value>) {
    if run.is_structured() {
        return run.print_structured(&json::envelope(envelope));
    }
    let mut columns: Vec<&String> = details.values().filter_map(Value::as_object).flat_map(Map::keys).collect();
    columns.sort();
    columns.dedup();
    let mut heading = vec!["Keys"];
    heading.extend(columns.iter().map(|name| name.as_str()));
    let rows = names
        .iter()
        .map(|name| {
            let detail = details.get(name);
            let cell = |column: &&String| detail.and_then(|members| members.get(column.as_str())).map_or_else(|| "n/a".to_owned(), go_text);
            std::iter::once(name.clone()).chain(columns.iter().map(cell)).collect()
        })
        .collect();
    run.print(&table::with_heading(&heading, rows));
}

fn data_of(run: &Invocation) -> Result<Value, Failure> {
    run.expect_args(1, usize::MAX)?;
    let data = run.data_after(1)?;
    if data.is_empty() && run.parsed.args.len() < 2 && !run.is("force") {
        return Err(Failure::local("Must supply data or use -force"));
    }
    Ok(Value::Object(data))
}

fn write(run: &mut Invocation) -> Outcome {
    let call = Call::put(run.path(0), data_of(run)?);
    let doing = format!("Error writing data to {}", call.path);
    let answer = run.ask(&call, &doing)?;
    show_written(run, answer, &call.path)
}

fn patch(run: &mut Invocation) -> Outcome {
    let call = Call::patch(run.path(0), data_of(run)?);
    let doing = format!("Error writing data to {}", call.path);
    let answer = run.ask(&call, &doing)?;
    show_written(run, answer, &call.path)
}

/// Prints what a write answered, or that it was done.
pub fn show_written(run: &Invocation, answer: Option<Map<String, Value>>, path: &str) -> Outcome {
    match answer {
        Some(envelope) => run.show_secret(&envelope),
        None => {
            run.say(&format!("Success! Data written to: {path}"));
            Ok(0)
        }
    }
}

fn delete(run: &mut Invocation) -> Outcome {
    if run.parsed.args.is_empty() {
        return Err(Failure::local("Not enough arguments (expected at least 1, got 0)"));
    }
    let mut call = Call::delete(run.path(0));
    call.query = run.query_after(1)?;
    let doing = format!("Error deleting {}", call.path);
    match run.ask(&call, &doing)? {
        Some(envelope) => {
            if !run.is_structured() {
                run.say(&format!("Success! Data deleted (if it existed) at: {}", call.path));
            }
            run.show_secret(&envelope)
        }
        None => {
            run.say(&format!("Success! Data deleted (if it existed) at: {}", call.path));
            Ok(0)
        }
    }
}

fn unwrap(run: &mut Invocation) -> Outcome {
    run.expect_args(0, 1)?;
    let token = run.arg(0).trim().to_owned();
    let mut body = Map::new();
    if !token.is_empty() {
        body.insert("token".into(), token.into());
    }
    let client = run.client()?;
    match client.find(&Call::put("sys/wrapping/unwrap", Value::Object(body))).map_err(|error| error.during("Error unwrapping"))? {
        Some(envelope) => run.show_secret(&envelope),
        None if run.is_structured() => Err(Failure::silent(2)),
        None => {
            run.say("Successfully unwrapped. There was no data in the wrapped secret.");
            Ok(0)
        }
    }
}

fn path_help(run: &mut Invocation) -> Outcome {
    run.expect_args(1, 1)?;
    let call = Call::get(run.path(0)).with("help", "1");
    let answer = run.ask(&call, "Error retrieving help")?.unwrap_or_default();
    if run.is_structured() {
        run.print_structured(&Value::Object(answer));
        return Ok(0);
    }
    let found = answer.get("help").or_else(|| answer.get("data").and_then(|members| members.get("help")));
    run.print(found.and_then(Value::as_str).unwrap_or_default().trim_end());
    Ok(0)
}
