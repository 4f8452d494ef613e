//! What `secrets`, `auth` and `audit` have in common: their lists, and moving a mount.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::cli::call::Call;
use crate::cli::failure::{Failure, Outcome};
use crate::cli::invocation::{Invocation, members_of};
use crate::cli::output::json::ordered;
use crate::cli::output::table;
use crate::cli::output::value::go_text;

/// How long a move is waited for between two looks, at most.
const POLL_MAX: Duration = Duration::from_secs(10);

const ENTRY_ORDER: &[&str] = &[
    "uuid",
    "type",
    "description",
    "accessor",
    "config",
    "options",
    "local",
    "seal_wrap",
    "external_entropy_access",
    "plugin_version",
    "running_plugin_version",
    "running_sha256",
    "deprecation_status",
];
const CONFIG_ORDER: &[&str] = &["default_lease_ttl", "max_lease_ttl", "force_no_cache"];

/// The entries of a table of mounts, sorted by path.
pub fn entries(run: &mut Invocation, path: &str, doing: &str) -> Result<Vec<(String, Map<String, Value>)>, Failure> {
    let answer = run.ask(&Call::get(path), doing)?.unwrap_or_default();
    let mut entries: Vec<(String, Map<String, Value>)> =
        members_of(&answer).into_iter().filter_map(|(path, entry)| entry.as_object().cloned().map(|entry| (path, entry))).collect();
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(entries)
}

/// Prints the entries for programs.
pub fn print_entries(run: &Invocation, entries: &[(String, Map<String, Value>)]) {
    let all: Map<String, Value> = entries
        .iter()
        .map(|(path, entry)| {
            let mut entry = entry.clone();
            for name in ["plugin_version", "running_plugin_version", "running_sha256", "deprecation_status"] {
                entry.entry(name).or_insert_with(|| "".into());
            }
            let mut entry = ordered(&entry, ENTRY_ORDER);
            if let Some(config) = entry.get_mut("config").and_then(Value::as_object_mut) {
                *config = ordered(config, CONFIG_ORDER);
            }
            (path.clone(), Value::Object(entry))
        })
        .collect();
    run.print_structured(&Value::Object(all));
}

/// A member of an entry as text; empty if there is none.
pub fn text(entry: &Map<String, Value>, name: &str) -> String {
    entry.get(name).filter(|value| !value.is_null()).map(go_text).unwrap_or_default()
}

/// A lifetime of an entry: `system` where the system's counts.
fn ttl(entry: &Map<String, Value>, name: &str) -> String {
    if matches!(text(entry, "type").as_str(), "system" | "cubbyhole") {
        return "n/a".to_owned();
    }
    match entry.get("config").and_then(|config| config.get(name)).and_then(Value::as_i64) {
        None | Some(0) => "system".to_owned(),
        Some(secs) => secs.to_string(),
    }
}

/// Prints all columns. `special` is the one that tells the kinds apart.
pub fn print_detailed(
    run: &Invocation,
    entries: &[(String, Map<String, Value>)],
    special: &str,
    of: &dyn Fn(&Map<String, Value>) -> String,
) {
    let heading = [
        "Path",
        "Plugin",
        "Accessor",
        "Default TTL",
        "Max TTL",
        special,
        "Replication",
        "Seal Wrap",
        "External Entropy Access",
        "Options",
        "Description",
        "UUID",
        "Version",
        "Running Version",
        "Running SHA256",
        "Deprecation Status",
    ];
    let rows = entries
        .iter()
        .map(|(path, entry)| {
            let on = |name: &str| entry.get(name).and_then(Value::as_bool).unwrap_or(false);
            let options = entry.get("options").filter(|value| !value.is_null()).map_or_else(|| "map[]".to_owned(), go_text);
            vec![
                path.clone(),
                text(entry, "type"),
                text(entry, "accessor"),
                ttl(entry, "default_lease_ttl"),
                ttl(entry, "max_lease_ttl"),
                of(entry),
                if on("local") { "local" } else { "replicated" }.to_owned(),
                on("seal_wrap").to_string(),
                on("external_entropy_access").to_string(),
                options,
                text(entry, "description"),
                text(entry, "uuid"),
                text(entry, "plugin_version"),
                text(entry, "running_plugin_version"),
                text(entry, "running_sha256"),
                text(entry, "deprecation_status"),
            ]
        })
        .collect();
    run.print(&table::with_heading(&heading, rows));
}

/// Moves a mount and waits until it is moved. `kind` is what people call it.
pub fn move_mount(run: &mut Invocation, kind: &str, source: &str, target: &str, from: &str, to: &str) -> Outcome {
    let client = run.client()?;
    let call = Call::post("sys/remount", json!({ "from": from, "to": to }));
    let answer = client.envelope(&call).map_err(|error| error.during(&format!("Error moving {kind} {source} to {target}")))?;
    let members = members_of(&answer.unwrap_or_default());
    let id = text(&members, "migration_id");
    if id.is_empty() {
        run.say(&format!("Success! Finished moving {kind} {source} to {target}"));
        return Ok(0);
    }
    run.say(&format!("Started moving {kind} {source} to {target}, with migration ID {id}"));
    let mut pause = Duration::from_millis(200);
    loop {
        let answer = client
            .envelope(&Call::get(format!("sys/remount/status/{id}")))
            .map_err(|error| error.during(&format!("Error checking remount status of migration {id}")))?;
        let members = members_of(&answer.unwrap_or_default());
        let status = members.get("migration_info").and_then(|info| info.get("status")).map(go_text).unwrap_or_default();
        match status.as_str() {
            "success" => {
                run.say(&format!("Success! Finished moving {kind} {source} to {target}, with migration ID {id}"));
                return Ok(0);
            }
            // Exit code 2, where Vault's client says 0: a script must see that nothing moved.
            "failure" => {
                return Err(Failure::remote(format!(
                    "Failure! Error encountered moving {kind} {source} to {target}, with migration ID {id}"
                )));
            }
            _ => {
                run.say(&format!("Waiting for terminal status in migration of {kind} {source}, with migration ID {id}"));
                std::thread::sleep(pause);
                pause = (pause * 2).min(POLL_MAX);
            }
        }
    }
}
