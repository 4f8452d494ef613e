//! `operator raft autopilot`: the health of the Raft cluster, and the settings of what looks after it.

use serde_json::{Map, Value};

use crate::cli::args::Flag;
use crate::cli::call::Call;
use crate::cli::command::{Command, Prints};
use crate::cli::config::environment;
use crate::cli::failure::{Failure, Outcome};
use crate::cli::invocation::{Invocation, members_of};
use crate::cli::output::json::sorted;
use crate::cli::output::{table, value::go_text};

const DR_TOKEN: Flag = Flag::text("dr-token", "Token for operations on a DR secondary.");

/// The commands of this file.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "operator raft autopilot state",
        summary: "Show the health of the Raft cluster",
        arguments: "",
        examples: &["operator raft autopilot state"],
        flags: &[DR_TOKEN],
        prints: Prints::Format,
        run: state,
    },
    Command {
        name: "operator raft autopilot get-config",
        summary: "Show the settings of autopilot",
        arguments: "",
        examples: &["operator raft autopilot get-config"],
        flags: &[DR_TOKEN],
        prints: Prints::Format,
        run: get_config,
    },
    Command {
        name: "operator raft autopilot set-config",
        summary: "Change the settings of autopilot",
        arguments: "",
        examples: &["operator raft autopilot set-config -cleanup-dead-servers=true -min-quorum=3"],
        flags: &[
            DR_TOKEN,
            Flag::switch("cleanup-dead-servers", "Remove nodes that are gone."),
            Flag::text("last-contact-threshold", "After how long without contact a node is unhealthy."),
            Flag::text("dead-server-last-contact-threshold", "After how long without contact a node is gone."),
            Flag::number("max-trailing-logs", "How many entries behind a node is unhealthy."),
            Flag::number("min-quorum", "How many nodes are never gone below."),
            Flag::text("server-stabilization-time", "How long a new node must be healthy to get a vote."),
            Flag::switch("disable-upgrade-migration", "No automated upgrades."),
        ],
        prints: Prints::Text,
        run: set_config,
    },
];

const FIELDS: &[(&str, &str)] = &[
    ("cleanup_dead_servers", "Cleanup Dead Servers"),
    ("last_contact_threshold", "Last Contact Threshold"),
    ("dead_server_last_contact_threshold", "Dead Server Last Contact Threshold"),
    ("server_stabilization_time", "Server Stabilization Time"),
    ("min_quorum", "Min Quorum"),
    ("max_trailing_logs", "Max Trailing Logs"),
    ("disable_upgrade_migration", "Disable Upgrade Migration"),
];

/// What the server has there; a leader that is new has nothing yet, which is no failure.
fn fetch(run: &mut Invocation, path: &str, doing: &str) -> Result<Map<String, Value>, Failure> {
    let found = run.client()?.find(&Call::get(path)).map_err(|error| error.during(doing))?;
    Ok(found.filter(|envelope| envelope.get("data").is_some_and(Value::is_object)).as_ref().map(members_of).unwrap_or_default())
}

fn state(run: &mut Invocation) -> Outcome {
    run.expect_args(0, 0)?;
    let state = fetch(run, "sys/storage/raft/autopilot/state", "Error checking autopilot state")?;
    if run.is_structured() {
        run.print_structured(&sorted(&Value::Object(state)));
    } else if !state.is_empty() {
        run.print(&pretty(&state));
    }
    Ok(0)
}

fn pretty(state: &Map<String, Value>) -> String {
    let text = |from: &Map<String, Value>, name: &str| from.get(name).filter(|value| !value.is_null()).map(go_text).unwrap_or_default();
    let mut lines = Vec::new();
    for (name, label) in [("healthy", "Healthy:"), ("failure_tolerance", "Failure Tolerance:"), ("leader", "Leader:")] {
        lines.push(format!("{label:<33}{}", text(state, name)));
    }
    for (name, label) in [("voters", "Voters:"), ("non_voters", "Non Voters:")] {
        let ids = state.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
        if !ids.is_empty() {
            lines.push(label.to_owned());
            lines.extend(ids.iter().map(|id| format!("   {}", go_text(id))));
        }
    }
    let servers = state.get("servers").and_then(Value::as_object).cloned().unwrap_or_default();
    if !servers.is_empty() {
        lines.push("Servers:".to_owned());
    }
    let mut ids: Vec<&String> = servers.keys().collect();
    ids.sort();
    for id in ids {
        lines.push(format!("   {id}"));
        let server = servers[id].as_object().cloned().unwrap_or_default();
        for (name, label) in [
            ("name", "Name:"),
            ("address", "Address:"),
            ("status", "Status:"),
            ("node_status", "Node Status:"),
            ("healthy", "Healthy:"),
            ("last_contact", "Last Contact:"),
            ("last_term", "Last Term:"),
            ("last_index", "Last Index:"),
            ("version", "Version:"),
            ("node_type", "Node Type:"),
        ] {
            if server.get(name).is_some_and(|value| !value.is_null() && *value != "") {
                lines.push(format!("      {label:<19}{}", text(&server, name)));
            }
        }
    }
    lines.join("\n")
}

fn get_config(run: &mut Invocation) -> Outcome {
    run.expect_args(0, 0)?;
    let config = fetch(run, "sys/storage/raft/autopilot/configuration", "Error fetching autopilot configuration")?;
    if run.is_structured() {
        run.print_structured(&sorted(&Value::Object(config)));
        return Ok(0);
    }
    if config.is_empty() {
        return Ok(0);
    }
    let rows = FIELDS.iter().filter_map(|(name, label)| config.get(*name).map(|value| ((*label).to_owned(), go_text(value)))).collect();
    run.print(&table::key_value(rows));
    Ok(0)
}

fn set_config(run: &mut Invocation) -> Outcome {
    run.expect_args(0, 0)?;
    let mut body = Map::new();
    for flag in ["cleanup-dead-servers", "disable-upgrade-migration"] {
        if run.parsed.has(flag) {
            body.insert(flag.replace('-', "_"), run.is(flag).into());
        }
    }
    for flag in ["last-contact-threshold", "dead-server-last-contact-threshold", "server-stabilization-time"] {
        if let Some(text) = run.text(flag) {
            body.insert(flag.replace('-', "_"), text.into());
        }
    }
    for flag in ["max-trailing-logs", "min-quorum"] {
        if let Some(number) = run.parsed.number(flag) {
            body.insert(flag.replace('-', "_"), number.into());
        }
    }
    if let Some(token) = run.text("dr-token").map(str::to_owned).or_else(|| environment("DR_TOKEN")) {
        body.insert("dr_operation_token".into(), token.into());
    }
    run.ask(&Call::post("sys/storage/raft/autopilot/configuration", Value::Object(body)), "Error changing autopilot configuration")?;
    run.say("Success! Autopilot configuration changed.");
    Ok(0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_state_prints_nested() {
        let state = json!({"healthy": true, "failure_tolerance": 1, "leader": "a", "voters": ["a"], "servers": {"a": {"name": "a", "last_index": 7}}});
        assert_eq!(
            pretty(state.as_object().unwrap()),
            "Healthy:                         true\nFailure Tolerance:               1\nLeader:                          a\nVoters:\n   a\nServers:\n   a\n      Name:              a\n      Last Index:        7"
        );
    }
}
