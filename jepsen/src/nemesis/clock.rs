//! Wall clocks of nodes that jump.

use crate::core::Value;
use crate::world::node::Node;

use super::context::{Context, Installed};
use super::target::Target;

/// Sets the clocks of these nodes off by so many seconds; at the end they are right again.
///
/// # Errors
/// If the nodes have no clocks that can be bent.
pub fn jump(context: &Context, cluster: &str, target: Target, seconds: i64, dice: u64) -> Result<Installed, String> {
    let nodes = target.nodes(context.cluster(cluster)?, dice);
    let set = |node: &Node, seconds| node.clock.as_ref().ok_or("this run bends no clocks")?.shift(seconds);
    nodes.iter().try_for_each(|node| set(node, seconds))?;
    let names: Vec<String> = nodes.iter().map(|node| node.name.clone()).collect();
    let what = Value::pair(seconds, Value::list(names.iter().map(String::as_str)));
    Ok(Installed::new(what, move |context| {
        names.iter().filter_map(|name| context.world.node(name)).try_for_each(|node| set(node, 0))?;
        Ok(Value::list(names.iter().map(String::as_str)))
    }))
}
