//! `replication status`: role, state, lag and peers at a glance. Ours; the calls that change replication are `write sys/replication/…`.
//!
//! A Coffer server says its lag in records and seconds; of another server, the age of the primary's canary is shown instead.

use serde_json::{Map, Value};

use crate::cli::call::Call;
use crate::cli::command::{Command, Prints};
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
    let modes = [("performance", "Performance"), ("dr", "DR")];
    let blocks: Vec<String> = modes
        .iter()
        .filter_map(|(name, title)| members.get(*name).and_then(Value::as_object).map(|mode| block(title, mode, name)))
        .collect();
    if blocks.is_empty() {
        let mode = members.get("mode").map_or_else(|| "unknown".to_owned(), go_text);
        run.print(&table::key_value(vec![("Mode".to_owned(), mode)]));
    } else {
        run.print(&blocks.join("\n\n"));
    }
    Ok(0)
}

fn text(from: &Map<String, Value>, name: &str) -> String {
    from.get(name).filter(|value| !value.is_null()).map(go_text).unwrap_or_default()
}

fn block(title: &str, mode: &Map<String, Value>, kind: &str) -> String {
    let mut rows = vec![("Mode", text(mode, "mode"))];
    match text(mode, "mode").as_str() {
        "secondary" => rows.extend(secondary_rows(mode)),
        "primary" => rows.extend(primary_rows(mode, kind)),
        _ => {}
    }
    if !text(mode, "merkle_root").is_empty() {
        rows.push(("Merkle Root", text(mode, "merkle_root")));
    }
    let rows: Vec<(String, String)> = rows.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let longest = rows.iter().map(|row| row.0.len()).max().unwrap_or(0);
    let mut out = format!("{}\n{}", table::frame(title, longest + 9), table::key_value(rows));
    let peers = mode.get("secondaries").or_else(|| mode.get("primaries")).and_then(Value::as_array).cloned().unwrap_or_default();
    if !peers.is_empty() {
        out.push_str(&format!("\n\n{}", peer_table(&peers)));
    }
    out
}

fn primary_rows(mode: &Map<String, Value>, kind: &str) -> Vec<(&'static str, String)> {
    let known = mode.get("known_secondaries").and_then(Value::as_array).map(|ids| ids.iter().map(go_text).collect::<Vec<_>>().join(", "));
    let last_wal = if kind == "dr" { "last_dr_wal" } else { "last_performance_wal" };
    let mut rows = vec![
        ("State", text(mode, "state")),
        ("Set ID", text(mode, "cluster_id")),
        ("Primary Address", text(mode, "primary_cluster_addr")),
        ("Last WAL", text(mode, last_wal)),
        ("Known Secondaries", known.unwrap_or_default()),
    ];
    rows.extend(said(mode, "state_reason").map(|reason| ("Reason", reason)));
    rows
}

fn secondary_rows(mode: &Map<String, Value>) -> Vec<(&'static str, String)> {
    let or_unknown = |value: Option<String>| value.filter(|text| !text.is_empty()).unwrap_or_else(|| "unknown".to_owned());
    let primaries = mode.get("primaries").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let by_canary = || primaries.iter().filter_map(Value::as_object).find_map(lag_seconds);
    let mut rows = vec![
        ("State", text(mode, "state")),
        ("Connection", text(mode, "connection_state")),
        ("Set ID", text(mode, "cluster_id")),
        ("Secondary ID", text(mode, "secondary_id")),
        ("Primary Address", text(mode, "primary_cluster_addr")),
        ("Last Remote WAL", text(mode, "last_remote_wal")),
        ("Lag (records)", or_unknown(Some(text(mode, "lag_records")))),
        ("Lag (seconds)", or_unknown(lag_seconds(mode).or_else(by_canary))),
    ];
    rows.extend(progress(mode).map(|progress| ("Sync Progress", progress)));
    rows.extend(said(mode, "last_error").map(|error| ("Last Error", error)));
    rows.extend(said(mode, "state_reason").map(|reason| ("Reason", reason)));
    rows
}

fn said(mode: &Map<String, Value>, key: &str) -> Option<String> {
    Some(text(mode, key)).filter(|text| !text.is_empty())
}

fn progress(mode: &Map<String, Value>) -> Option<String> {
    let nested = mode.get("merkle_sync_progress");
    let of = |name: &str| nested.and_then(|progress| progress.get(name)).or_else(|| mode.get(name)).and_then(Value::as_u64);
    of("sync_total_keys").map(|total| format!("{}/{total}", of("sync_progress").unwrap_or(0)))
}

/// The lag the server says, else the age of the newest canary that arrived.
fn lag_seconds(from: &Map<String, Value>) -> Option<String> {
    let said = from.get("lag_seconds").and_then(Value::as_f64);
    let canary = || from.get("replication_primary_canary_age_ms").and_then(millis).map(|ms| ms / 1000.0);
    said.or_else(canary).map(|seconds| format!("{seconds:.1}"))
}

fn millis(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str().and_then(|text| text.parse().ok()))
}

fn peer_table(peers: &[Value]) -> String {
    let rows = peers
        .iter()
        .filter_map(Value::as_object)
        .map(|peer| {
            let name = if text(peer, "node_id").is_empty() { "primary".to_owned() } else { text(peer, "node_id") };
            let addresses = [text(peer, "api_address"), text(peer, "cluster_address")];
            let [api, cluster] = addresses;
            let lag = lag_seconds(peer).unwrap_or_default();
            vec![
                name,
                api,
                cluster,
                text(peer, "connection_status"),
                text(peer, "state"),
                lag,
                text(peer, "lag_records"),
                text(peer, "last_heartbeat"),
            ]
        })
        .collect();
    table::with_heading(
        &["Peer", "API Address", "Cluster Address", "Connection", "State", "Lag (seconds)", "Lag (records)", "Last Heartbeat"],
        rows,
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(mode: Value, expected: &[&str]) {
        let text = block("Performance", mode.as_object().unwrap(), "performance");
        for line in expected {
            assert!(text.contains(line), "{line:?} is not in\n{text}");
        }
    }

    #[test]
    fn a_secondary_shows_its_lag() {
        let primaries =
            json!([{"api_address": "https://p:8200", "connection_status": "connected", "replication_primary_canary_age_ms": "742"}]);
        let mode = json!({"mode": "secondary", "state": "stream-wals", "secondary_id": "eu", "lag_records": 2, "lag_seconds": 1.25, "primaries": primaries});
        check(mode, &["Lag (records)      2\nLag (seconds)      1.2\n", "primary    https://p:8200"]);
    }

    #[test]
    fn another_servers_canary_tells_the_lag_too() {
        let mode = json!({"mode": "secondary", "primaries": [{"replication_primary_canary_age_ms": "742"}]});
        check(mode, &["Lag (records)      unknown\nLag (seconds)      0.7"]);
    }

    #[test]
    fn a_primary_shows_who_follows() {
        let mode = json!({"mode": "primary", "state": "running", "last_performance_wal": 9, "known_secondaries": ["eu", "ap"],
            "secondaries": [{"node_id": "eu", "lag_records": 0, "lag_seconds": 0.0, "connection_status": "connected"}]});
        check(mode, &["Last WAL             9\nKnown Secondaries    eu, ap", "eu      n/a            n/a                connected"]);
        check(json!({"mode": "disabled"}), &["Mode    disabled"]);
        check(json!({"mode": "primary", "state_reason": "generation 2 took over"}), &["Reason               generation 2 took over"]);
    }
}
