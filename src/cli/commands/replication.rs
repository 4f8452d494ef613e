//! `replication status`: role, state, lag and peers at a glance. Ours; the calls that change replication are `write sys/replication/…`.
//!
//! The lag in records is known only where both ends are: on a secondary, the primary is asked at the address it told, without a token.

use serde_json::{Map, Value};

use crate::cli::call::Call;
use crate::cli::client::Client;
use crate::cli::command::{Command, Prints};
use crate::cli::config::Connection;
use crate::cli::failure::Outcome;
use crate::cli::invocation::{Invocation, members_of};
use crate::cli::output::json::sorted;
use crate::cli::output::{table, value::go_text};

const EXAMPLES: &[&str] = &["replication status", "operator replication status -format=json"];

/// The commands of this file.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "replication status",
        summary: "Show role, state, lag and peers",
        arguments: "",
        examples: EXAMPLES,
        flags: &[],
        prints: Prints::Format,
        run: status,
    },
    Command {
        name: "operator replication status",
        summary: "Show role, state, lag and peers",
        arguments: "",
        examples: EXAMPLES,
        flags: &[],
        prints: Prints::Format,
        run: status,
    },
];

fn status(run: &mut Invocation) -> Outcome {
    run.expect_args(0, 0)?;
    let answer = run.ask(&Call::get("sys/replication/status"), "Error reading the replication status")?.unwrap_or_default();
    let members = members_of(&answer);
    if run.is_structured() {
        run.print_structured(&sorted(&Value::Object(members)));
        return Ok(0);
    }
    let mut blocks = Vec::new();
    for (name, title) in [("performance", "Performance"), ("dr", "DR")] {
        let Some(mode) = members.get(name).and_then(Value::as_object) else { continue };
        let primary_wal = if is_secondary(mode) { primary_wal(run, mode, name) } else { None };
        blocks.push(block(title, mode, name, primary_wal));
    }
    if blocks.is_empty() {
        let mode = members.get("mode").map_or_else(|| "unknown".to_owned(), go_text);
        blocks.push(table::key_value(vec![("Mode".to_owned(), mode)]));
    }
    run.print(&blocks.join("\n\n"));
    Ok(0)
}

fn is_secondary(mode: &Map<String, Value>) -> bool {
    mode.get("mode").and_then(Value::as_str) == Some("secondary")
}

/// How far the primary is. Nobody's failure if it does not say: the table then shows what is known here.
fn primary_wal(run: &Invocation, mode: &Map<String, Value>, kind: &str) -> Option<u64> {
    let own = mode.get("last_primary_wal").or_else(|| mode.get("primary_wal")).and_then(Value::as_u64);
    if own.is_some() {
        return own;
    }
    let peers = mode.get("primaries").and_then(Value::as_array)?;
    let address = peers.iter().find_map(|peer| peer.get("api_address").and_then(Value::as_str).filter(|text| !text.is_empty()))?;
    let mut connection = Connection::read(&run.parsed).ok()?;
    connection.address = address.trim_end_matches('/').to_owned();
    connection.timeout = std::time::Duration::from_secs(3);
    connection.retries = 0;
    let client = Client::new(connection, None, None, &run.program);
    let answer = client.envelope(&Call::get(format!("sys/replication/{kind}/status")).unwrapped()).ok()??;
    members_of(&answer).get(last_wal_of(kind)).and_then(Value::as_u64)
}

fn last_wal_of(kind: &str) -> &'static str {
    if kind == "dr" { "last_dr_wal" } else { "last_performance_wal" }
}

fn block(title: &str, mode: &Map<String, Value>, kind: &str, primary_wal: Option<u64>) -> String {
    let text = |name: &str| mode.get(name).filter(|value| !value.is_null()).map(go_text).unwrap_or_default();
    let number = |name: &str| mode.get(name).and_then(Value::as_u64);
    let mut rows = vec![("Mode", text("mode"))];
    if text("mode") != "disabled" {
        rows.push(("State", text("state")));
        rows.push(("Set ID", text("cluster_id")));
    }
    if is_secondary(mode) {
        rows.push(("Secondary ID", text("secondary_id")));
        rows.push(("Connection", text("connection_state")));
        rows.push(("Primary Address", text("primary_cluster_addr")));
        rows.push(("Last Remote WAL", text("last_remote_wal")));
        let lag = primary_wal.zip(number("last_remote_wal")).map(|(theirs, ours)| theirs.saturating_sub(ours).to_string());
        rows.push(("Lag (records)", lag.unwrap_or_else(|| "unknown".to_owned())));
        rows.push(("Lag (seconds)", lag_of(mode.get("primaries")).unwrap_or_else(|| "unknown".to_owned())));
        if let Some(progress) = progress(mode) {
            rows.push(("Sync Progress", progress));
        }
    } else if text("mode") == "primary" {
        rows.push(("Primary Address", text("primary_cluster_addr")));
        rows.push(("Last WAL", text(last_wal_of(kind))));
        let known =
            mode.get("known_secondaries").and_then(Value::as_array).map(|ids| ids.iter().map(go_text).collect::<Vec<_>>().join(", "));
        rows.push(("Known Secondaries", known.unwrap_or_default()));
    }
    if !text("merkle_root").is_empty() {
        rows.push(("Merkle Root", text("merkle_root")));
    }
    let rows: Vec<(String, String)> = rows.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let longest = rows.iter().map(|row| row.0.len()).max().unwrap_or(0);
    let mut out = format!("{}\n{}", table::frame(title, longest + 9), table::key_value(rows));
    let peers = mode.get("secondaries").or_else(|| mode.get("primaries")).and_then(Value::as_array).cloned().unwrap_or_default();
    if !peers.is_empty() {
        out.push_str("\n\n");
        out.push_str(&peer_table(&peers, number(last_wal_of(kind))));
    }
    out
}

fn progress(mode: &Map<String, Value>) -> Option<String> {
    let of = |name: &str| {
        mode.get("merkle_sync_progress").and_then(|progress| progress.get(name)).or_else(|| mode.get(name)).and_then(Value::as_u64)
    };
    of("sync_total_keys").map(|total| format!("{}/{total}", of("sync_progress").unwrap_or(0)))
}

/// The age of the primary's last canary that arrived: how old what is read here may be.
fn lag_of(peers: Option<&Value>) -> Option<String> {
    let ages = peers?.as_array()?.iter().filter_map(|peer| peer.get("replication_primary_canary_age_ms")).filter_map(millis);
    ages.min().map(seconds)
}

fn millis(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str().and_then(|text| text.parse().ok()))
}

fn seconds(ms: u64) -> String {
    format!("{}.{}", ms / 1000, ms % 1000 / 100)
}

fn peer_table(peers: &[Value], last_wal: Option<u64>) -> String {
    let rows = peers
        .iter()
        .map(|peer| {
            let text = |name: &str| peer.get(name).filter(|value| !value.is_null()).map(go_text).unwrap_or_default();
            let acked = ["last_acked_wal", "last_remote_wal", "acked_wal"].iter().find_map(|name| peer.get(*name)).and_then(Value::as_u64);
            let behind = last_wal.zip(acked).map(|(ours, theirs)| ours.saturating_sub(theirs).to_string()).unwrap_or_default();
            let age = peer.get("replication_primary_canary_age_ms").and_then(millis).map(seconds).unwrap_or_default();
            vec![
                text("node_id"),
                text("api_address"),
                text("cluster_address"),
                text("connection_status"),
                age,
                behind,
                text("last_heartbeat"),
            ]
        })
        .collect();
    table::with_heading(&["Peer", "API Address", "Cluster Address", "Connection", "Lag (s)", "Lag (records)", "Last Heartbeat"], rows)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_secondary_shows_its_lag() {
        let mode = json!({"mode": "secondary", "state": "stream-wals", "connection_state": "ready", "secondary_id": "eu", "cluster_id": "c",
            "last_remote_wal": 40, "primary_cluster_addr": "https://p:8201",
            "primaries": [{"api_address": "https://p:8200", "connection_status": "connected", "replication_primary_canary_age_ms": "742"}]});
        let text = block("Performance", mode.as_object().unwrap(), "performance", Some(42));
        assert!(text.contains("Lag (records)      2\nLag (seconds)      0.7"), "{text}");
        assert!(text.contains("Peer    API Address       Cluster Address    Connection    Lag (s)"), "{text}");
    }

    #[test]
    fn a_primary_shows_who_follows() {
        let mode = json!({"mode": "primary", "state": "running", "last_performance_wal": 9, "known_secondaries": ["eu", "ap"]});
        let text = block("Performance", mode.as_object().unwrap(), "performance", None);
        assert!(text.contains("Last WAL             9\nKnown Secondaries    eu, ap"), "{text}");
        assert!(block("DR", json!({"mode": "disabled"}).as_object().unwrap(), "dr", None).ends_with("Mode    disabled"));
    }
}
