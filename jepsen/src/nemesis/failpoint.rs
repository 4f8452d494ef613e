//! Kills at exact places of the product: a test build is told over its admin socket to abort at the n-th hit of a failpoint.

use std::time::Duration;

use crate::core::Value;
use crate::world::chaos;

use super::context::{Context, Installed};
use super::target::Target;

/// How long a node that was told too late takes to be gone.
const LATE: Duration = Duration::from_secs(2);

/// Arms a failpoint at one node. If it is reached the node is gone, and started at the end; if not it is disarmed, and that is told.
///
/// # Errors
/// If the program is no test build, or knows no such place.
pub fn arm(context: &Context, cluster: &str, point: &str, target: Target, hit: u32, dice: u64) -> Result<Installed, String> {
    let node = *target.nodes(context.cluster(cluster)?, dice).first().ok_or("there is no node")?;
    chaos::tell(node, &format!("failpoint {point} kill:{hit}"))?;
    let (name, point) = (node.name.clone(), point.to_owned());
    let watched = name.clone();
    let installed = Installed::new(node.name.clone(), move |context| {
        let node = context.world.node(&name).ok_or("the node is gone")?;
        let mut was_reached = node.has_ended();
        if !was_reached && let Err(why) = chaos::tell(node, &format!("failpoint {point} off")) {
            // It may have been reached just now.
            node.wait("has ended", LATE, || node.has_ended()).map_err(|_| why)?;
            was_reached = true;
        }
        if was_reached {
            node.excuse();
        }
        context.revive(&[name])?;
        Ok(Value::map([("reached", was_reached)]))
    });
    Ok(installed.until(move |context| context.world.node(&watched).is_some_and(|node| node.has_ended())))
}
