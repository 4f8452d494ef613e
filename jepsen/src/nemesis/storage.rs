//! Disks that lose what was not synced, lie, fail, are slow, or show other bits than were written.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::core::Value;
use crate::world::faultfs::Faults;
use crate::world::node::Node;

use super::context::{Context, Installed};
use super::target::Target;

/// What is wrong with a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ailment {
    /// Each write and sync takes 20 ms longer.
    Slow,
    /// Syncs fail.
    SyncFails,
    /// The hundredth operation from now fails.
    OneError,
    /// No room for more.
    Full,
    /// One in fifty reads has a bit flipped.
    Flips,
}

/// All that there are.
pub const AILMENTS: &[Ailment] = &[Ailment::SyncFails, Ailment::Slow, Ailment::OneError, Ailment::Full, Ailment::Flips];

impl Ailment {
    /// Whether a node may end for it: then fewer than half get it.
    pub fn is_fatal(self) -> bool {
        self != Self::Slow
    }

    fn faults(self) -> Faults {
        let well = Faults::default();
        match self {
            Self::Slow => Faults { slow: Duration::from_millis(20), ..well },
            Self::SyncFails => Faults { sync_fails: true, ..well },
            Self::OneError => Faults { fail_in: Some(100), ..well },
            Self::Full => Faults { room: Some(0), ..well },
            Self::Flips => Faults { flip_every: Some(50), ..well },
        }
    }
}

fn listed(names: &[String]) -> Value {
    Value::list(names.iter().map(String::as_str))
}

/// Kills these nodes at once and takes from their disks what was not synced; at the end they are started.
///
/// # Errors
/// If the nodes' disks cannot break.
pub fn cut_power(context: &Context, cluster: &str, target: Target, dice: u64) -> Result<Installed, String> {
    let nodes = target.nodes(context.cluster(cluster)?, dice);
    if nodes.iter().any(|node| node.disk.is_none()) {
        return Err("this run's disks keep everything".to_owned());
    }
    std::thread::scope(|scope| nodes.iter().for_each(|node| drop(scope.spawn(|| node.kill()))));
    nodes.iter().enumerate().for_each(|(n, node)| node.disk.iter().for_each(|disk| disk.lose_power(dice.wrapping_add(n as u64))));
    let names: Vec<String> = nodes.iter().map(|node| node.name.clone()).collect();
    Ok(Installed::new(listed(&names), move |context| context.revive(&names)))
}

/// Makes these nodes' disks ill; at the end they are well. A node that ended meanwhile did what it should, and is started from what was durable.
///
/// # Errors
/// If the nodes' disks cannot break.
pub fn sicken(context: &Context, cluster: &str, target: Target, ailment: Ailment, dice: u64) -> Result<Installed, String> {
    let nodes = target.nodes(context.cluster(cluster)?, dice);
    for node in &nodes {
        node.disk.as_ref().ok_or("this run's disks keep everything")?.set(ailment.faults());
    }
    let names: Vec<String> = nodes.iter().map(|node| node.name.clone()).collect();
    Ok(Installed::new(listed(&names), move |context| {
        let nodes: Vec<&Node> = names.iter().filter_map(|name| context.world.node(name)).collect();
        nodes.iter().filter_map(|node| node.disk.as_ref()).for_each(|disk| disk.set(Faults::default()));
        let ended: Vec<&Node> = nodes.into_iter().filter(|node| node.has_ended()).collect();
        for node in &ended {
            node.excuse();
            // What failed to be synced never was.
            node.disk.iter().for_each(|disk| disk.lose_power(1));
        }
        let ended: Vec<String> = ended.iter().map(|node| node.name.clone()).collect();
        context.revive(&names)?;
        Ok(Value::map([("ended", listed(&ended))]))
    }))
}
