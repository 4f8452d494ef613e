//! `status`: how the server stands. Exit code 0 unsealed, 2 sealed, 1 if that cannot be told.

use serde_json::{Map, Value};

use crate::cli::call::Call;
use crate::cli::client::Client;
use crate::cli::command::{Command, Prints};
use crate::cli::failure::{Failure, Outcome};
use crate::cli::invocation::Invocation;
use crate::cli::output::table;
use crate::cli::output::value::go_text;
use crate::cli::refusal::CallError;

/// The commands of this file.
pub const COMMANDS: &[Command] = &[Command {
    name: "status",
    summary: "Show whether a node is sealed and who is active",
    arguments: "",
    examples: &["status", "status -address=https://127.0.0.1:8200 -format=json"],
    flags: &[],
    prints: Prints::Format,
    run: status,
}];

fn status(run: &mut Invocation) -> Outcome {
    run.expect_args(0, 0)?;
    let client = run.client()?;
    let seal =
        client.envelope(&Call::get("sys/seal-status")).map_err(|error| failed(error, "Error checking seal status"))?.unwrap_or_default();
    show_seal(run, &client, &seal).map_err(|failure| if failure.is_answer { failure } else { Failure { code: 1, ..failure } })?;
    Ok(if is_sealed(&seal) { 2 } else { 0 })
}

fn failed(error: CallError, doing: &str) -> Failure {
    let failure = error.during(doing);
    if failure.is_answer { failure } else { Failure { code: 1, ..failure } }
}

fn is_sealed(seal: &Map<String, Value>) -> bool {
    seal.get("sealed").and_then(Value::as_bool).unwrap_or(true)
}

/// Prints a seal status, with what the node knows of the others if it is unsealed.
///
/// # Errors
/// If the leader cannot be asked for.
pub fn show_seal(run: &Invocation, client: &Client, seal: &Map<String, Value>) -> Result<(), Failure> {
    let leader = leader(client)?;
    if run.is_structured() {
        run.print_structured(&Value::Object(merged(seal, leader.as_ref())));
    } else {
        run.print(&table::key_value(rows(seal, leader.as_ref())));
    }
    Ok(())
}

/// What the node knows of the active one. That it is sealed still says that it has others.
fn leader(client: &Client) -> Result<Option<Map<String, Value>>, Failure> {
    match client.envelope(&Call::get("sys/leader").unwrapped()) {
        Err(error @ CallError::Refused { .. }) if error.to_string().contains("Vault is sealed") => {
            Ok(serde_json::json!({ "ha_enabled": true }).as_object().cloned())
        }
        other => other.map_err(|error| error.during("Error checking leader status")),
    }
}

const SEAL_ORDER: &[&str] = &[
    "type",
    "initialized",
    "sealed",
    "t",
    "n",
    "progress",
    "nonce",
    "version",
    "build_date",
    "migration",
    "cluster_name",
    "cluster_id",
    "recovery_seal",
    "storage_type",
];
const LEADER_ORDER: &[&str] = &[
    "is_self",
    "active_time",
    "leader_address",
    "leader_cluster_address",
    "performance_standby",
    "performance_standby_last_remote_wal",
    "last_wal",
    "raft_committed_index",
    "raft_applied_index",
];

fn merged(seal: &Map<String, Value>, leader: Option<&Map<String, Value>>) -> Map<String, Value> {
    let mut out = Map::new();
    for name in SEAL_ORDER {
        match seal.get(*name) {
            Some(value) => out.insert((*name).to_owned(), value.clone()),
            None if *name == "build_date" => out.insert((*name).to_owned(), "".into()),
            None => None,
        };
    }
    if let Some(removed) = seal.get("removed_from_cluster").filter(|removed| **removed == true) {
        out.insert("removed_from_cluster".into(), removed.clone());
    }
    let Some(leader) = leader else {
        out.insert("ha_enabled".into(), false.into());
        return out;
    };
    out.insert("ha_enabled".into(), leader.get("ha_enabled").cloned().unwrap_or(Value::Bool(false)));
    for name in LEADER_ORDER {
        // Only what says something, as Vault's client leaves out the rest.
        let value = leader.get(*name).filter(|value| !matches!(value, Value::Null | Value::Bool(false)) && **value != 0 && **value != "");
        if let Some(value) = value.filter(|value| !value.as_str().is_some_and(|text| text.starts_with("0001-"))) {
            out.insert((*name).to_owned(), value.clone());
        }
    }
    out
}

fn rows(seal: &Map<String, Value>, leader: Option<&Map<String, Value>>) -> Vec<(String, String)> {
    let text = |from: &Map<String, Value>, name: &str| from.get(name).filter(|value| !value.is_null()).map(go_text).unwrap_or_default();
    let on = |from: &Map<String, Value>, name: &str| from.get(name).and_then(Value::as_bool).unwrap_or(false);
    let number = |from: &Map<String, Value>, name: &str| from.get(name).and_then(Value::as_u64).unwrap_or(0);
    let mut rows: Vec<(String, String)> = Vec::new();
    let mut add = |name: &str, value: String| rows.push((name.to_owned(), value));
    let prefix = if on(seal, "recovery_seal") { "Recovery " } else { "" };
    add(&format!("{prefix}Seal Type"), text(seal, "type"));
    add("Initialized", text(seal, "initialized"));
    add("Sealed", text(seal, "sealed"));
    add(&format!("Total {prefix}Shares"), text(seal, "n"));
    add("Threshold", text(seal, "t"));
    if is_sealed(seal) {
        add("Unseal Progress", format!("{}/{}", number(seal, "progress"), number(seal, "t")));
        add("Unseal Nonce", text(seal, "nonce"));
    }
    if on(seal, "migration") {
        add("Seal Migration in Progress", "true".into());
    }
    add("Version", text(seal, "version"));
    add("Build Date", text(seal, "build_date"));
    add("Storage Type", text(seal, "storage_type"));
    if on(seal, "removed_from_cluster") {
        add("Removed From Cluster", "true".into());
    }
    if !text(seal, "cluster_name").is_empty() {
        add("Cluster Name", text(seal, "cluster_name"));
        add("Cluster ID", text(seal, "cluster_id"));
    }
    let none = Map::new();
    let leader = leader.unwrap_or(&none);
    let is_ha = on(leader, "ha_enabled");
    add("HA Enabled", is_ha.to_string());
    if !is_ha || is_sealed(seal) {
        return rows;
    }
    let or_none = |value: String| if value.is_empty() { "<none>".to_owned() } else { value };
    add("HA Cluster", or_none(text(leader, "leader_cluster_address")));
    let is_active = on(leader, "is_self");
    add("HA Mode", if is_active { "active" } else { "standby" }.into());
    if is_active {
        add("Active Since", text(leader, "active_time"));
    } else {
        add("Active Node Address", or_none(text(leader, "leader_address")));
        if on(leader, "performance_standby") {
            add("Performance Standby Node", "true".into());
            add("Performance Standby Last Remote WAL", text(leader, "performance_standby_last_remote_wal"));
        }
    }
    for (name, label) in
        [("raft_committed_index", "Raft Committed Index"), ("raft_applied_index", "Raft Applied Index"), ("last_wal", "Last WAL")]
    {
        if number(leader, name) > 0 {
            add(label, text(leader, name));
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_sealed_node_shows_how_far_unsealing_is() {
        let seal = json!({"type": "shamir", "initialized": true, "sealed": true, "t": 3, "n": 5, "progress": 1, "nonce": "", "version": "1", "build_date": "d", "storage_type": "raft"});
        let leader = json!({"ha_enabled": true});
        let text = table::key_value(rows(seal.as_object().unwrap(), leader.as_object()));
        assert!(text.contains("Unseal Progress    1/3\nUnseal Nonce       n/a\n"), "{text}");
        assert!(text.ends_with("HA Enabled         true"), "{text}");
        assert!(!text.contains("Removed"), "{text}");
    }

    #[test]
    fn a_node_that_was_removed_says_so() {
        let seal = json!({"sealed": true, "storage_type": "raft", "removed_from_cluster": true});
        let rows = rows(seal.as_object().unwrap(), None);
        assert!(rows.contains(&("Removed From Cluster".to_owned(), "true".to_owned())));
        assert_eq!(merged(seal.as_object().unwrap(), None)["removed_from_cluster"], true);
    }

    #[test]
    fn an_active_node_shows_since_when() {
        let seal = json!({"sealed": false, "recovery_seal": false});
        let leader = json!({"ha_enabled": true, "is_self": true, "active_time": "2026-04-01T07:00:00.1Z", "leader_cluster_address": "https://a:8201", "raft_committed_index": 7});
        let rows = rows(seal.as_object().unwrap(), leader.as_object());
        let names: Vec<&str> = rows.iter().map(|row| row.0.as_str()).collect();
        assert_eq!(names[names.len() - 5..], ["HA Enabled", "HA Cluster", "HA Mode", "Active Since", "Raft Committed Index"]);
    }
}
