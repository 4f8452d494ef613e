//! Cuts lines between nodes. Clients reach every node all the while: that is what makes a partition interesting.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::core::{Rng, Value};
use crate::world::cluster::Cluster;
use crate::world::node::Node;
use crate::world::rule::Rule;
use crate::world::switch::Pair;

use super::context::{Context, Installed};

/// Who is cut off from whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// Any one node from all others.
    One,
    /// The active node is with fewer than half.
    ActiveInMinority,
    /// The active node is with more than half.
    ActiveInMajority,
    /// Two halves, as even as can be.
    Halves,
    /// Each node sees a majority, and no two the same one. Of three nodes, one line is cut.
    Ring,
    /// Two halves that only one node sees both of.
    Bridge,
    /// The active node hears nobody, and is heard.
    ActiveDeaf,
    /// The active node is heard by nobody, and hears.
    ActiveMute,
    /// Primary and secondary from each other.
    BetweenClusters,
    /// The secondary hears nothing of the primary, but is heard.
    SecondaryDeaf,
    /// The primary hears nothing of the secondary, but is heard.
    PrimaryDeaf,
}

/// Inside one cluster.
pub const INSIDE: &[Shape] = &[
    Shape::ActiveInMinority,
    Shape::ActiveInMajority,
    Shape::One,
    Shape::Halves,
    Shape::Ring,
    Shape::Bridge,
    Shape::ActiveDeaf,
    Shape::ActiveMute,
];
/// Between clusters.
pub const BETWEEN: &[Shape] = &[Shape::BetweenClusters, Shape::SecondaryDeaf, Shape::PrimaryDeaf];

/// Puts it in force.
///
/// # Errors
/// If there are too few nodes for it.
pub fn install(context: &Context, cluster: &str, shape: Shape, dice: u64) -> Result<Installed, String> {
    let cut = if BETWEEN.contains(&shape) { between(context, shape) } else { inside(context.cluster(cluster)?, shape, dice) };
    if cut.is_empty() {
        return Err("there is nobody to cut off".to_owned());
    }
    let number = context.network.install(cut.iter().map(|pair| (*pair, Rule::cut())).collect());
    // As the switch has it, not as it was asked for.
    let is_cut: Vec<Value> =
        context.world.switch.rules().iter().filter(|(_, rule)| rule.drop).map(|(pair, _)| named(context, *pair)).collect();
    Ok(Installed::new(is_cut, move |context| {
        context.network.remove(number);
        Ok(Value::Int(i64::try_from(context.world.switch.rules().len()).unwrap_or(i64::MAX)))
    }))
}

/// A pair of links by the names of their nodes.
pub fn named(context: &Context, (from, to): Pair) -> Value {
    let name = |link: usize| context.world.nodes().find(|node| node.link == link).map_or("clients", |node| node.name.as_str());
    Value::text(format!("{}>{}", name(from), name(to)))
}

fn inside(cluster: &Cluster, shape: Shape, dice: u64) -> BTreeSet<Pair> {
    let active = cluster.active().map(|node| node.link);
    let mut links: Vec<usize> = cluster.nodes.iter().map(|node| node.link).collect();
    Rng::new(dice).shuffle(&mut links);
    if matches!(shape, Shape::ActiveInMinority | Shape::ActiveInMajority | Shape::ActiveDeaf | Shape::ActiveMute) {
        links.sort_by_key(|link| Some(*link) != active);
    }
    grudge(&links, shape)
}

/// The ordered pairs to cut. The first link is the active one where the shape has one.
fn grudge(links: &[usize], shape: Shape) -> BTreeSet<Pair> {
    let size = links.len();
    let minority = (size.max(1) - 1) / 2;
    match shape {
        Shape::One => both_ways(&links[..1.min(size)], &links[1.min(size)..]),
        Shape::ActiveInMinority => both_ways(&links[..minority.max(1).min(size)], &links[minority.max(1).min(size)..]),
        Shape::ActiveInMajority => both_ways(&links[..size - minority], &links[size - minority..]),
        Shape::Halves => both_ways(&links[..size / 2], &links[size / 2..]),
        Shape::Ring => ring(links),
        Shape::Bridge if size > 2 => both_ways(&links[1..1 + size / 2], &links[1 + size / 2..]),
        Shape::ActiveDeaf => links.iter().skip(1).map(|other| (*other, links[0])).collect(),
        Shape::ActiveMute => links.iter().skip(1).map(|other| (links[0], *other)).collect(),
        Shape::Bridge | Shape::BetweenClusters | Shape::SecondaryDeaf | Shape::PrimaryDeaf => BTreeSet::new(),
    }
}

/// Everyone keeps the nearest of a circle, so many that it is a majority with itself.
fn ring(links: &[usize]) -> BTreeSet<Pair> {
    let size = links.len();
    if size == 3 {
        return both_ways(&links[..1], &links[1..2]);
    }
    // With itself, 1 + 2·reach nodes are a majority.
    let reach = (size / 2).div_ceil(2).max(1);
    let mut cut = BTreeSet::new();
    for a in 0..size {
        for b in 0..size {
            let distance = (a + size - b) % size;
            if distance.min(size - distance) > reach {
                cut.insert((links[a], links[b]));
            }
        }
    }
    cut
}

fn both_ways(some: &[usize], others: &[usize]) -> BTreeSet<Pair> {
    some.iter().flat_map(|one| others.iter().flat_map(move |other| [(*one, *other), (*other, *one)])).collect()
}

/// The lines between clusters that a shape cuts.
pub fn between(context: &Context, shape: Shape) -> BTreeSet<Pair> {
    let links = |nodes: &[Node]| nodes.iter().map(|node| node.link).collect::<Vec<_>>();
    let [primary, secondaries @ ..] = &context.world.clusters[..] else { return BTreeSet::new() };
    let here = links(&primary.nodes);
    let there: Vec<usize> = secondaries.iter().flat_map(|cluster| links(&cluster.nodes)).collect();
    let one_way = |from: &[usize], to: &[usize]| from.iter().flat_map(|a| to.iter().map(move |b| (*a, *b))).collect();
    match shape {
        Shape::SecondaryDeaf => one_way(&here, &there),
        Shape::PrimaryDeaf => one_way(&there, &here),
        _ => both_ways(&here, &there),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of five (or three) nodes each node still reaches, itself included.
    fn reach(size: usize, shape: Shape) -> Vec<usize> {
        let links: Vec<usize> = (1..=size).collect();
        let cut = grudge(&links, shape);
        links.iter().map(|from| links.iter().filter(|to| !cut.contains(&(*from, **to))).count()).collect()
    }

    #[test]
    fn shapes_of_three_nodes() {
        assert_eq!(reach(3, Shape::One), [1, 2, 2]);
        assert_eq!(reach(3, Shape::ActiveInMinority), [1, 2, 2]);
        assert_eq!(reach(3, Shape::ActiveInMajority), [2, 2, 1]);
        assert_eq!(reach(3, Shape::Ring), [2, 2, 3]);
        assert_eq!(reach(3, Shape::Bridge), [3, 2, 2]);
        assert_eq!(reach(3, Shape::ActiveMute), [1, 3, 3]);
        assert_eq!(reach(3, Shape::ActiveDeaf), [3, 2, 2]);
    }

    #[test]
    fn shapes_of_five_nodes() {
        assert_eq!(reach(5, Shape::ActiveInMinority), [2, 2, 3, 3, 3]);
        assert_eq!(reach(5, Shape::ActiveInMajority), [3, 3, 3, 2, 2]);
        assert_eq!(reach(5, Shape::Halves), [2, 2, 3, 3, 3]);
        assert_eq!(reach(5, Shape::Ring), [3; 5]);
        assert_eq!(reach(5, Shape::Bridge), [5, 3, 3, 3, 3]);
    }

    #[test]
    fn a_node_alone_cannot_be_cut_off() {
        for shape in INSIDE {
            assert!(grudge(&[1], *shape).is_empty(), "{shape:?}");
        }
    }
}
