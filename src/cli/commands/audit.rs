//! `audit`: the audit devices.

use serde_json::{Map, Value};

use super::mounts::{entries, text};
use crate::cli::args::Flag;
use crate::cli::call::Call;
use crate::cli::command::{Command, Prints};
use crate::cli::failure::{Failure, Outcome};
use crate::cli::invocation::Invocation;
use crate::cli::output::json::sorted;
use crate::cli::output::table;
use crate::cli::route::{clean_path, mount_path};

/// The commands of this file.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "audit enable",
        summary: "Start an audit device",
        arguments: "TYPE [K=V...]",
        examples: &["audit enable file file_path=/var/log/audit.log", "audit enable -path=second file file_path=stdout"],
        flags: &[
            Flag::text("path", "Its name. Default: its type."),
            Flag::text("description", "What it is for."),
            Flag::switch("local", "For this cluster only: not replicated."),
        ],
        prints: Prints::Text,
        run: enable,
    },
    Command {
        name: "audit disable",
        summary: "Stop an audit device",
        arguments: "PATH",
        examples: &["audit disable file/"],
        flags: &[],
        prints: Prints::Text,
        run: disable,
    },
    Command {
        name: "audit list",
        summary: "List the audit devices",
        arguments: "",
        examples: &["audit list", "audit list -detailed"],
        flags: &[],
        prints: Prints::Format,
        run: list,
    },
];

fn enable(run: &mut Invocation) -> Outcome {
    if run.parsed.args.is_empty() {
        return Err(Failure::local("Error enabling audit device: audit type missing. Valid types include 'file', 'socket' and 'syslog'."));
    }
    let kind = run.arg(0).trim().to_owned();
    let path = mount_path(run.text("path").unwrap_or(&kind));
    let mut body = Map::new();
    body.insert("type".into(), kind.clone().into());
    body.insert("description".into(), run.text("description").unwrap_or_default().into());
    body.insert("options".into(), Value::Object(run.data_after(1)?));
    body.insert("local".into(), run.is("local").into());
    run.ask(&Call::put(format!("sys/audit/{}", clean_path(&path)), Value::Object(body)), "Error enabling audit device")?;
    run.say(&format!("Success! Enabled the {kind} audit device at: {path}"));
    Ok(0)
}

fn disable(run: &mut Invocation) -> Outcome {
    run.expect_args(1, 1)?;
    let path = mount_path(run.arg(0));
    run.ask(&Call::delete(format!("sys/audit/{}", clean_path(&path))), "Error disabling audit device")?;
    run.say(&format!("Success! Disabled audit device (if it was enabled) at: {path}"));
    Ok(0)
}

fn list(run: &mut Invocation) -> Outcome {
    run.expect_args(0, 0)?;
    let entries = entries(run, "sys/audit", "Error listing audits")?;
    if run.is_structured() {
        let all: Map<String, Value> = entries.into_iter().map(|(path, entry)| (path, Value::Object(entry))).collect();
        run.print_structured(&sorted(&Value::Object(all)));
        return Ok(0);
    }
    if entries.is_empty() {
        // To standard output, as Vault's client does: that there is none is an answer.
        run.print("No audit devices are enabled.");
        return Ok(2);
    }
    if run.is("detailed") {
        let rows = entries
            .iter()
            .map(|(path, entry)| {
                let options = entry.get("options").and_then(Value::as_object).cloned().unwrap_or_default();
                let mut options: Vec<String> = options.keys().map(|name| format!("{name}={}", text(&options, name))).collect();
                options.sort();
                let is_local = entry.get("local").and_then(Value::as_bool).unwrap_or(false);
                let scope = if is_local { "local" } else { "replicated" };
                vec![path.clone(), text(entry, "type"), text(entry, "description"), scope.to_owned(), options.join(" ")]
            })
            .collect();
        run.print(&table::with_heading(&["Path", "Type", "Description", "Replication", "Options"], rows));
    } else {
        let rows = entries.iter().map(|(path, entry)| vec![path.clone(), text(entry, "type"), text(entry, "description")]).collect();
        run.print(&table::with_heading(&["Path", "Type", "Description"], rows));
    }
    Ok(0)
}
