//! Whom a fault hits: a description that is turned into nodes when the fault begins.

use serde::{Deserialize, Serialize};

use crate::core::Rng;
use crate::world::cluster::Cluster;
use crate::world::node::Node;

/// Some nodes of one cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// The active node.
    Active,
    /// Any one.
    One,
    /// Any one that is not active.
    Standby,
    /// Fewer than half.
    Minority,
    /// More than half.
    Majority,
    /// All.
    All,
}

/// From the mildest to the hardest.
pub const TARGETS: &[Target] = &[Target::Active, Target::Standby, Target::One, Target::Minority, Target::Majority, Target::All];

impl Target {
    /// The nodes that it means now; `dice` decides among equals. Without an active node, one takes its place.
    pub fn nodes(self, cluster: &Cluster, dice: u64) -> Vec<&Node> {
        let active = cluster.active().map(|node| node.name.clone());
        let mut nodes: Vec<&Node> = cluster.nodes.iter().collect();
        Rng::new(dice).shuffle(&mut nodes);
        let is_active = |node: &Node| Some(&node.name) == active.as_ref();
        // The active node first: whoever is asked for some nodes gets the one that matters, half of the time.
        if dice.is_multiple_of(2) || matches!(self, Self::Active) {
            nodes.sort_by_key(|node| !is_active(node));
        }
        if self == Self::Standby && nodes.len() > 1 {
            nodes.sort_by_key(|node| is_active(node));
        }
        let size = nodes.len();
        nodes.truncate(match self {
            Self::Active | Self::One | Self::Standby => 1,
            Self::Minority => ((size - 1) / 2).max(1),
            Self::Majority => size / 2 + 1,
            Self::All => size,
        });
        nodes
    }
}
