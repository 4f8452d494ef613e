//! Where every node stands, four times a second: role, term, positions and roots, written to `samples.jsonl`.
//!
//! Over the control plane, so that no fault of the network hides what a node says of itself. For whoever reads a run's report: no
//! checker looks at samples, as they are only as fresh as the node's last answer.
//! Not here: how they are shown (`report`).

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use crate::client::http::{Connection, Request};
use crate::world::cluster::Cluster;
use crate::world::node::Node;
use crate::world::{World, chaos};

/// In a run's folder.
pub const FILE: &str = "samples.jsonl";
/// How often each node is asked.
const EVERY: Duration = Duration::from_millis(250);
/// A node that takes longer has said nothing.
const LIMIT: Duration = Duration::from_secs(1);

/// Does `work`, and asks all nodes as long as it takes, a thread for each. Moments count from `start`.
///
/// # Errors
/// If the file cannot be made.
pub fn meanwhile<T>(world: &World, folder: &Path, start: Instant, work: impl FnOnce() -> T) -> Result<T, String> {
    let file = File::create(folder.join(FILE)).map_err(|error| format!("{FILE}: {error}"))?;
    let (file, is_over) = (Mutex::new(file), AtomicBool::new(false));
    Ok(std::thread::scope(|scope| {
        for (cluster, node) in world.clusters.iter().flat_map(|cluster| cluster.nodes.iter().map(move |node| (cluster, node))) {
            let (file, is_over) = (&file, &is_over);
            scope.spawn(move || {
                node.namespace.enter().expect("a namespace that is held open can be entered");
                let mut connection = Connection::new(node.address);
                while !is_over.load(Ordering::Relaxed) {
                    let asked = Instant::now();
                    let sample = look(cluster, node, &mut connection, asked.duration_since(start));
                    // A picture of the run is not worth losing the run: what cannot be written is missing in it.
                    let _ = writeln!(file.lock().unwrap_or_else(PoisonError::into_inner), "{sample}");
                    std::thread::sleep(EVERY.saturating_sub(asked.elapsed()));
                }
            });
        }
        let _ends = Ends(&is_over);
        work()
    }))
}

/// Ends the sampling however the work ends: a panic must not leave threads that are waited for.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// One node, now. What it does not tell is absent.
fn look(cluster: &Cluster, node: &Node, connection: &mut Connection, at: Duration) -> Value {
    let mut sample = Map::new();
    let mut note = |name: &str, value: Value| drop(if value.is_null() { None } else { sample.insert(name.to_owned(), value) });
    note("t", json!(u64::try_from(at.as_nanos()).unwrap_or(u64::MAX)));
    note("node", json!(node.name));
    note("cluster", json!(cluster.name));
    if !node.is_running() {
        let is_paused = node.pid().is_some() && !node.has_ended();
        note("role", json!(if is_paused { "paused" } else { "down" }));
        return Value::Object(sample);
    }
    let mut get = |path: &str, token: &str| connection.call(&Request::new("GET", path).with_token(token), LIMIT).ok();
    let status = get("sys/health", "").map_or(0, |reply| reply.status);
    note("role", json!(role(status)));
    if matches!(status, 200 | 429) {
        let leader = get("sys/leader", "").map(|reply| reply.body).unwrap_or_default();
        note("applied", leader["raft_applied_index"].clone());
        note("committed", leader["raft_committed_index"].clone());
    }
    // A standby would hand these on, over the network that is being broken.
    if status == 200 {
        let state = get("sys/storage/raft/autopilot/state", &cluster.token()).map(|reply| reply.body).unwrap_or_default();
        let state = state.get("data").unwrap_or(&state);
        note("term", state["servers"][node.name.as_str()]["last_term"].clone());
        let replication = get("sys/replication/performance/status", "").map(|reply| reply.body["data"].clone()).unwrap_or_default();
        note("mode", replication["mode"].clone());
        note("state", replication["state"].clone());
        note("root", replication["merkle_root"].clone());
        let position = if replication["mode"] == "primary" { "last_performance_wal" } else { "last_remote_wal" };
        note("record", replication[position].clone());
    }
    // A test build tells more, and each node by itself.
    if let Some(dump) = chaos::tell(node, "dump").ok().and_then(|text| serde_json::from_str::<Value>(&text).ok()) {
        note("term", dump["raft"]["term"].clone());
        note("applied", dump["raft"]["applied"].clone());
        note("committed", dump["raft"]["committed"].clone());
        note("root", dump["roots"]["shared"].clone());
        note("record", dump["performance"].clone());
    }
    Value::Object(sample)
}

/// A node's role by its status of `sys/health`.
fn role(status: u16) -> &'static str {
    match status {
        200 => "active",
        429 | 472 | 473 => "standby",
        501 => "uninitialized",
        503 => "sealed",
        530 => "removed",
        0 => "silent",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_told_by_health() {
        assert_eq!([200, 429, 503, 530, 0, 418].map(role), ["active", "standby", "sealed", "removed", "silent", "other"]);
    }
}
