//! `operator raft`: who is in the Raft cluster.

use serde_json::{Map, Value, json};

use crate::cli::args::Flag;
use crate::cli::call::Call;
use crate::cli::command::{Command, Prints};
use crate::cli::failure::{Failure, Outcome};
use crate::cli::input::read_file;
use crate::cli::invocation::{Invocation, members_of};
use crate::cli::output::{json as json_output, table, value::go_text};

/// The commands of this file.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "operator raft join",
        summary: "Make this node join a cluster",
        arguments: "LEADER_API_ADDRESS",
        examples: &["operator raft join https://10.0.0.11:8200", "operator raft join -leader-ca-cert=@ca.pem https://10.0.0.11:8200"],
        flags: &[
            Flag::text("leader-ca-cert", "The certificates to trust, as PEM or @file."),
            Flag::text("leader-client-cert", "This node's certificate, as PEM or @file."),
            Flag::text("leader-client-key", "The key of -leader-client-cert, as PEM or @file."),
            Flag::text("auto-join-scheme", "Scheme of a found leader."),
            Flag::number("auto-join-port", "Port of a found leader."),
            Flag::switch("retry", "Try until it works."),
            Flag::switch("non-voter", "Join without a vote."),
        ],
        prints: Prints::Format,
        run: join,
    },
    Command {
        name: "operator raft list-peers",
        summary: "List the members of the Raft cluster",
        arguments: "",
        examples: &["operator raft list-peers"],
        flags: &[],
        prints: Prints::Format,
        run: list_peers,
    },
    Command {
        name: "operator raft remove-peer",
        summary: "Remove a node from the Raft cluster",
        arguments: "NODE_ID",
        examples: &["operator raft remove-peer node3"],
        flags: &[Flag::text("dr-token", "Token for operations on a DR secondary.")],
        prints: Prints::Text,
        run: remove_peer,
    },
    Command {
        name: "operator raft promote",
        summary: "Give a node a vote",
        arguments: "NODE_ID",
        examples: &["operator raft promote node4"],
        flags: &[],
        prints: Prints::Text,
        run: promote,
    },
    Command {
        name: "operator raft demote",
        summary: "Take a node's vote",
        arguments: "NODE_ID",
        examples: &["operator raft demote node4"],
        flags: &[],
        prints: Prints::Text,
        run: demote,
    },
];

/// A text, or what the file behind `@` holds.
fn text_or_file(text: &str) -> Result<String, Failure> {
    match text.strip_prefix('@') {
        Some(path) => read_file(path).map_err(|error| Failure::local(format!("Failed to parse: {error}"))),
        None => Ok(text.to_owned()),
    }
}

fn join(run: &mut Invocation) -> Outcome {
    run.expect_args(0, 1)?;
    let mut body = Map::new();
    let leader = run.arg(0).trim().to_owned();
    if leader.contains("provider=") {
        body.insert("auto_join".into(), leader.into());
    } else {
        body.insert("leader_api_addr".into(), leader.into());
    }
    for (flag, field) in
        [("leader-ca-cert", "leader_ca_cert"), ("leader-client-cert", "leader_client_cert"), ("leader-client-key", "leader_client_key")]
    {
        if let Some(text) = run.text(flag) {
            body.insert(field.into(), text_or_file(text)?.into());
        }
    }
    if let Some(scheme) = run.text("auto-join-scheme") {
        body.insert("auto_join_scheme".into(), scheme.into());
    }
    if let Some(port) = run.parsed.number("auto-join-port") {
        body.insert("auto_join_port".into(), port.into());
    }
    body.insert("retry".into(), run.is("retry").into());
    body.insert("non_voter".into(), run.is("non-voter").into());
    let answer = run
        .ask(&Call::post("sys/storage/raft/join", Value::Object(body)), "Error joining the node to the Raft cluster")?
        .unwrap_or_default();
    let is_joined = members_of(&answer).get("joined").and_then(Value::as_bool).unwrap_or(false);
    if run.is_structured() {
        run.print_structured(&json!({ "joined": is_joined }));
    } else {
        run.print(&table::key_value(vec![("Joined".to_owned(), is_joined.to_string())]));
    }
    Ok(0)
}

fn list_peers(run: &mut Invocation) -> Outcome {
    run.expect_args(0, 0)?;
    let found = run
        .client()?
        .find(&Call::get("sys/storage/raft/configuration"))
        .map_err(|error| error.during("Error reading the raft cluster configuration"))?;
    let envelope = found.ok_or_else(|| Failure::remote("No raft cluster configuration found"))?;
    if run.is_structured() {
        run.print_structured(&json_output::envelope(&envelope));
        return Ok(0);
    }
    let servers =
        members_of(&envelope).get("config").and_then(|config| config.get("servers")).and_then(Value::as_array).cloned().unwrap_or_default();
    let rows = servers
        .iter()
        .map(|server| {
            let text = |name: &str| server.get(name).filter(|value| !value.is_null()).map(go_text).unwrap_or_default();
            let is_leader = server.get("leader").and_then(Value::as_bool).unwrap_or(false);
            vec![text("node_id"), text("address"), if is_leader { "leader" } else { "follower" }.to_owned(), text("voter")]
        })
        .collect();
    run.print(&table::with_heading(&["Node", "Address", "State", "Voter"], rows));
    Ok(0)
}

fn remove_peer(run: &mut Invocation) -> Outcome {
    run.expect_args(1, 1)?;
    let body = json!({ "server_id": run.arg(0).trim(), "dr_operation_token": run.text("dr-token").unwrap_or_default() });
    run.ask(&Call::put("sys/storage/raft/remove-peer", body), "Error removing the peer from raft cluster")?;
    run.say("Peer removed successfully!");
    Ok(0)
}

fn promote(run: &mut Invocation) -> Outcome {
    run.expect_args(1, 1)?;
    let body = json!({ "server_id": run.arg(0).trim() });
    run.ask(&Call::put("sys/storage/raft/promote", body), "Error promoting the peer")?;
    run.say("Peer promoted successfully!");
    Ok(0)
}

fn demote(run: &mut Invocation) -> Outcome {
    run.expect_args(1, 1)?;
    let body = json!({ "server_id": run.arg(0).trim() });
    run.ask(&Call::put("sys/storage/raft/demote", body), "Error demoting the peer")?;
    run.say("Peer demoted successfully!");
    Ok(0)
}
