//! Kills and pauses of processes.

use std::time::{Duration, Instant};

use crate::core::Value;
use crate::world::node::Node;

use super::context::{Context, Installed};
use super::target::Target;

fn names(nodes: &[&Node]) -> Vec<String> {
    nodes.iter().map(|node| node.name.clone()).collect()
}

fn listed(names: &[String]) -> Value {
    Value::list(names.iter().map(String::as_str))
}

/// Another hand may have killed all of them: they are soon started again.
const START_WAIT: Duration = Duration::from_secs(20);

/// Nodes that run.
fn running<'a>(context: &'a Context, cluster: &str, target: Target, dice: u64) -> Result<Vec<&'a Node>, String> {
    let give_up = Instant::now() + START_WAIT;
    loop {
        let nodes: Vec<&Node> = target.nodes(context.cluster(cluster)?, dice).into_iter().filter(|node| node.is_running()).collect();
        if !nodes.is_empty() {
            return Ok(nodes);
        }
        if Instant::now() >= give_up {
            return Err("nobody runs".to_owned());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// kill -9, all at once; at the end they are started and unsealed.
///
/// # Errors
/// If none of them ran.
pub fn kill(context: &Context, cluster: &str, target: Target, dice: u64) -> Result<Installed, String> {
    let nodes = running(context, cluster, target, dice)?;
    std::thread::scope(|scope| nodes.iter().for_each(|node| drop(scope.spawn(|| node.kill()))));
    let names = names(&nodes);
    Ok(Installed::new(listed(&names), move |context| context.revive(&names)))
}

/// SIGSTOP; at the end SIGCONT.
///
/// # Errors
/// If none of them ran.
pub fn pause(context: &Context, cluster: &str, target: Target, dice: u64) -> Result<Installed, String> {
    let nodes = running(context, cluster, target, dice)?;
    nodes.iter().for_each(|node| node.pause());
    let names = names(&nodes);
    Ok(Installed::new(listed(&names), move |context| {
        names.iter().filter_map(|name| context.world.node(name)).for_each(Node::resume);
        Ok(listed(&names))
    }))
}
