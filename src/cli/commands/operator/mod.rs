//! `operator`: run and repair a cluster.
//!
//! This file: seal, unseal, step-down, key-status, rotate, members.

pub mod autopilot;
pub mod generate_root;
pub mod init;
pub mod raft;
pub mod rekey;
pub mod snapshot;

use serde_json::{Map, Value, json};

use super::status::show_seal;
use crate::cli::args::Flag;
use crate::cli::call::Call;
use crate::cli::command::{Command, Prints};
use crate::cli::failure::Outcome;
use crate::cli::invocation::{Invocation, members_of};
use crate::cli::output::json::ordered;
use crate::cli::output::{table, value::go_text};
use crate::cli::prompt;

/// The commands of this file.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "operator unseal",
        summary: "Give a node one unseal key",
        arguments: "[KEY]",
        examples: &["operator unseal", "operator unseal -reset"],
        flags: &[Flag::switch("reset", "Forget the keys given so far."), Flag::switch("migrate", "The key is of the old seal.")],
        prints: Prints::Format,
        run: unseal,
    },
    Command {
        name: "operator seal",
        summary: "Seal a node: it forgets its keys",
        arguments: "",
        examples: &["operator seal"],
        flags: &[],
        prints: Prints::Text,
        run: seal,
    },
    Command {
        name: "operator step-down",
        summary: "Make the active node a standby",
        arguments: "",
        examples: &["operator step-down"],
        flags: &[],
        prints: Prints::Text,
        run: step_down,
    },
    Command {
        name: "operator key-status",
        summary: "Show the key term",
        arguments: "",
        examples: &["operator key-status"],
        flags: &[],
        prints: Prints::Format,
        run: key_status,
    },
    Command {
        name: "operator rotate",
        summary: "Start a new key term",
        arguments: "",
        examples: &["operator rotate"],
        flags: &[],
        prints: Prints::Format,
        run: rotate,
    },
    Command {
        name: "operator members",
        summary: "List the nodes of the cluster",
        arguments: "",
        examples: &["operator members"],
        flags: &[],
        prints: Prints::Format,
        run: members,
    },
];

fn unseal(run: &mut Invocation) -> Outcome {
    run.expect_args(0, 1)?;
    let client = run.client()?;
    let body = if run.is("reset") {
        json!({ "reset": true })
    } else {
        let given = run.arg(0).trim().to_owned();
        let key = if given.is_empty() || given == "-" {
            prompt::secret("Unseal Key (will be hidden): ", run.may_ask())?.expose().clone()
        } else {
            given
        };
        if run.may_ask() && prompt::is_terminal() && run.arg(0).is_empty() {
            eprintln!();
        }
        json!({ "key": key, "migrate": run.is("migrate") })
    };
    let doing = if run.is("reset") { "Error resetting unseal process" } else { "Error unsealing" };
    let status = client.envelope(&Call::put("sys/unseal", body)).map_err(|error| error.during(doing))?.unwrap_or_default();
    // The key was taken: that the leader does not answer yet is no failure of this command.
    if show_seal(run, &client, &status).is_err() {
        run.show_members(&status);
    }
    Ok(0)
}

fn seal(run: &mut Invocation) -> Outcome {
    run.expect_args(0, 0)?;
    run.ask(&Call::put("sys/seal", json!({})), "Error sealing")?;
    run.say("Success! Vault is sealed.");
    Ok(0)
}

fn step_down(run: &mut Invocation) -> Outcome {
    run.expect_args(0, 0)?;
    let client = run.client()?;
    client.send(&Call::put("sys/step-down", json!({}))).map_err(|error| error.during("Error stepping down"))?;
    run.say(&format!("Success! Stepped down: {}", client.address()));
    Ok(0)
}

fn print_key_status(run: &Invocation, status: &Map<String, Value>) {
    if run.is_structured() {
        let kept: Map<String, Value> = ordered(status, &["term", "install_time", "encryptions"]).into_iter().take(3).collect();
        run.print_structured(&Value::Object(kept));
        return;
    }
    let text = |name: &str| status.get(name).map(go_text).unwrap_or_default();
    let rows =
        [("Key Term", text("term")), ("Install Time", day_and_time(&text("install_time"))), ("Encryption Count", text("encryptions"))];
    run.print(&table::columns(&rows.map(|(name, value)| vec![name.to_owned(), value])));
}

/// `2026-11-25T00:20:12Z` as `25 Nov 26 00:20 UTC`.
fn day_and_time(rfc3339: &str) -> String {
    rfc3339.parse::<jiff::Timestamp>().map_or_else(|_| rfc3339.to_owned(), |at| at.strftime("%d %b %y %H:%M UTC").to_string())
}

fn key_status(run: &mut Invocation) -> Outcome {
    run.expect_args(0, 0)?;
    let answer = run.ask(&Call::get("sys/key-status"), "Error reading key status")?.unwrap_or_default();
    print_key_status(run, &members_of(&answer));
    Ok(0)
}

fn rotate(run: &mut Invocation) -> Outcome {
    run.expect_args(0, 0)?;
    let client = run.client()?;
    client.send(&Call::post("sys/rotate", json!({}))).map_err(|error| error.during("Error rotating key"))?;
    let answer =
        client.envelope(&Call::get("sys/key-status")).map_err(|error| error.during("Error reading key status"))?.unwrap_or_default();
    run.say("Success! Rotated key\n");
    print_key_status(run, &members_of(&answer));
    Ok(0)
}

fn members(run: &mut Invocation) -> Outcome {
    run.expect_args(0, 0)?;
    let answer = run.ask(&Call::get("sys/ha-status"), "Error reading ha-status")?.unwrap_or_default();
    let inner = members_of(&answer);
    let nodes = inner.get("nodes").or_else(|| answer.get("nodes")).and_then(Value::as_array).cloned().unwrap_or_default();
    if run.is_structured() {
        run.print_structured(&json!({ "Nodes": nodes }));
        return Ok(0);
    }
    let rows = nodes
        .iter()
        .map(|node| {
            ["hostname", "api_address", "cluster_address", "active_node", "version", "upgrade_version", "redundancy_zone", "last_echo"]
                .iter()
                .map(|name| node.get(*name).filter(|value| !value.is_null()).map(go_text).unwrap_or_default())
                .collect()
        })
        .collect();
    let heading =
        ["Host Name", "API Address", "Cluster Address", "Active Node", "Version", "Upgrade Version", "Redundancy Zone", "Last Echo"];
    run.print(&table::with_heading(&heading, rows));
    Ok(0)
}

#[cfg(test)]
mod tests {
    #[test]
    fn install_times_read_as_days() {
        assert_eq!(super::day_and_time("2026-11-05T00:20:12.837673786Z"), "05 Nov 26 00:20 UTC");
        assert_eq!(super::day_and_time("?"), "?");
    }
}
