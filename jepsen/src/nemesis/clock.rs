//! Wall clocks of nodes that jump, by the admin socket of a test build; timers stay right.
//!
//! Not by libfaketime: a program whose allocator asks for the time before it can allocate does not survive being preloaded (seen:
//! it ends by SIGSEGV before `main`). The clock of the machine is never set.

use crate::core::Value;
use crate::world::chaos;

use super::context::{Context, Installed};
use super::target::Target;

/// Sets the clocks of these nodes off by so many seconds; at the end they are right again, as they are after a restart.
///
/// # Errors
/// If the program is no test build.
pub fn jump(context: &Context, cluster: &str, target: Target, seconds: i64, dice: u64) -> Result<Installed, String> {
    let nodes = target.nodes(context.cluster(cluster)?, dice);
    nodes.iter().try_for_each(|node| chaos::tell(node, &format!("clock offset {}", seconds * 1000)).map(drop))?;
    // Whoever judges times must know.
    context.note("lease", "clock", Value::Int(seconds));
    let names: Vec<String> = nodes.iter().map(|node| node.name.clone()).collect();
    let what = Value::pair(seconds, Value::list(names.iter().map(String::as_str)));
    Ok(Installed::new(what, move |context| {
        for node in names.iter().filter_map(|name| context.world.node(name)).filter(|node| node.is_running()) {
            chaos::tell(node, "clock offset 0")?;
        }
        Ok(Value::list(names.iter().map(String::as_str)))
    }))
}
