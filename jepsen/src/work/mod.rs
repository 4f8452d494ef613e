//! What clients do: one file per workload.
//!
//! A workload prepares the store, does one step at a time for each of its processes, reads everything at the end, and names the
//! checkers that decide. Steps depend on the seed and on what was answered, never on time.

pub mod actor;
pub mod kv;
pub mod register;
pub mod run;
pub mod set;

pub mod stage;

use crate::check::Verdict;
use crate::core::History;
use crate::world::World;
use crate::world::node::Node;
use actor::Actor;
use stage::Stage;

/// One kind of traffic, and what must be true of it.
pub trait Workload: Send + Sync {
    /// As on the command line.
    fn name(&self) -> &'static str;

    /// Whether it needs a primary and a secondary.
    fn is_across(&self) -> bool {
        false
    }

    /// Writes what must be there before it begins.
    ///
    /// # Errors
    /// What was refused.
    fn set_up(&self, stage: &Stage) -> Result<(), String>;

    /// How many processes work at once.
    fn processes(&self, world: &World) -> usize {
        world.first().nodes.len() * 2
    }

    /// The node that a process asks: all nodes of the first cluster in turn, so standbys too.
    fn seat<'w>(&self, world: &'w World, slot: usize) -> &'w Node {
        let nodes = &world.first().nodes;
        &nodes[slot % nodes.len()]
    }

    /// One step of one process.
    fn step(&self, actor: &mut Actor<'_>);

    /// After everything was healed: reads all that there is, on each node.
    fn finish(&self, _actor: &mut Actor<'_>) {}

    /// Decides. `history` has the lines of this workload alone.
    fn check(&self, history: &History) -> Verdict;
}

/// All that there are.
pub fn all() -> Vec<Box<dyn Workload>> {
    vec![Box::new(register::Register), Box::new(set::Set::default())]
}

/// The workload of that name.
///
/// # Errors
/// With the names that there are.
pub fn named(name: &str) -> Result<Box<dyn Workload>, String> {
    let mut all = all();
    match all.iter().position(|workload| workload.name() == name) {
        Some(at) => Ok(all.swap_remove(at)),
        None => {
            let names: Vec<&str> = all.iter().map(|workload| workload.name()).collect();
            Err(format!("no workload `{name}`: there are {}", names.join(", ")))
        }
    }
}
