//! Leadership that is handed on, and nodes that leave a cluster and come back with nothing.

use std::fs;
use std::time::Duration;

use serde_json::json;

use crate::core::Value;
use crate::world::cluster::Cluster;
use crate::world::node::Node;

use super::context::{Context, Installed};
use super::target::Target;

/// Asks the active node to hand on leadership. There is nothing to undo.
///
/// # Errors
/// If nobody is active, or it refuses.
pub fn step_down(context: &Context, cluster: &str) -> Result<Installed, String> {
    let cluster = context.cluster(cluster)?;
    let active = cluster.active().ok_or("nobody is active")?;
    active.must("sys/step-down", &cluster.token(), json!({}))?;
    let name = active.name.clone();
    Ok(Installed::new(name, |_| Ok(Value::Nil)))
}

/// Removes a node and erases its data; at the end it joins again, as a new node of the old name.
///
/// # Errors
/// If the cluster refuses, or would be too small.
pub fn remove(context: &Context, cluster: &str, target: Target, dice: u64) -> Result<Installed, String> {
    let cluster = context.cluster(cluster)?;
    if cluster.nodes.len() < 3 {
        return Err("two nodes are no cluster".to_owned());
    }
    let victim = *target.nodes(cluster, dice).first().ok_or("there is no node")?;
    let other = cluster.nodes.iter().find(|node| node.name != victim.name && node.is_running()).ok_or("nobody is left")?;
    other.must("sys/storage/raft/remove-peer", &cluster.token(), json!({"server_id": victim.name}))?;
    let (name, of) = (victim.name.clone(), cluster.name.clone());
    Ok(Installed::new(name.clone(), move |context| {
        let cluster = context.cluster(&of)?;
        let node = cluster.node(&name).ok_or("it is gone")?;
        rejoin(cluster, node)?;
        Ok(Value::text(name))
    }))
}

fn rejoin(cluster: &Cluster, node: &Node) -> Result<(), String> {
    node.kill();
    for entry in fs::read_dir(&node.data).map_err(|error| error.to_string())?.flatten() {
        let path = entry.path();
        let erased = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        erased.map_err(|error| format!("{}: {error}", path.display()))?;
    }
    node.start()?;
    // It finds the others by its `retry_join`.
    node.unseal(|| cluster.keys(), Duration::from_secs(60))
}
