//! Disks that are full.

use crate::core::Value;
use crate::world::disk;
use crate::world::node::Node;

use super::context::{Context, Installed};
use super::target::Target;

/// Fills the disks of these nodes; at the end there is room again, and nodes that ended meanwhile are started.
///
/// # Errors
/// If the nodes have no small disks.
pub fn fill(context: &Context, cluster: &str, target: Target, dice: u64) -> Result<Installed, String> {
    let nodes = target.nodes(context.cluster(cluster)?, dice);
    nodes.iter().try_for_each(|node| disk::fill(&node.data))?;
    let names: Vec<String> = nodes.iter().map(|node| node.name.clone()).collect();
    Ok(Installed::new(Value::list(names.iter().map(String::as_str)), move |context| {
        let nodes = || names.iter().filter_map(|name| context.world.node(name));
        nodes().for_each(|node| disk::empty(&node.data));
        // A node may give up on a full disk: that is allowed, and is told.
        let ended: Vec<String> = nodes().filter(|node| node.has_ended()).map(|node| node.name.clone()).collect();
        nodes().filter(|node| node.has_ended()).for_each(Node::excuse);
        context.revive(&names)?;
        Ok(Value::map([("ended", Value::list(ended.iter().map(String::as_str)))]))
    }))
}
