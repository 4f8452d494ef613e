//! What clients do: one file per workload.
//!
//! A workload prepares the store, does one step at a time for each of its processes, reads everything at the end, and names the
//! checkers that decide. Steps depend on the seed and on what was answered, never on time.

pub mod actor;
pub mod append;
pub mod audit;
pub mod burn;
pub mod canary;
mod compared;
pub mod converge;
pub mod crossing;
pub mod family;
pub mod fence;
pub mod forward;
pub mod kv;
pub mod lease;
pub mod policy;
pub mod prefix;
pub mod register;
pub mod run;
pub mod sampler;
pub mod seal;
pub mod session;
pub mod set;
pub mod stage;
pub mod uses;
pub mod wrap;

use crate::check::Verdict;
use crate::core::{History, Malformed};
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
    fn set_up(&self, _stage: &Stage) -> Result<(), String> {
        Ok(())
    }

    /// How many processes work at once.
    fn processes(&self, world: &World) -> usize {
        world.first().nodes.len() * 2
    }

    /// Fewer acknowledged operations than this are no evidence.
    fn enough(&self) -> usize {
        30
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

/// A history that a checker cannot read is a mistake of the harness: unknown.
pub fn decided(name: &str, result: Result<Verdict, Malformed>) -> Verdict {
    result.unwrap_or_else(|malformed| Verdict::unknown(name, malformed.to_string()))
}

/// All that there are.
pub fn all() -> Vec<Box<dyn Workload>> {
    vec![
        Box::new(register::Register),
        Box::new(set::Set::default()),
        Box::new(append::Append),
        Box::new(uses::Uses::default()),
        Box::new(wrap::Wrap::default()),
        Box::new(family::Families::default()),
        Box::new(lease::Leases::default()),
        Box::new(policy::Policies::default()),
        Box::new(session::Sessions::default()),
        Box::new(seal::Seal::default()),
        Box::new(audit::Audit),
        Box::new(prefix::Prefix::default()),
        Box::new(forward::Forward),
        Box::new(canary::Canary),
        Box::new(crossing::Crossing::default()),
        Box::new(converge::Converge),
        Box::new(fence::Fence::default()),
    ]
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::compose::for_workload;

    #[test]
    fn what_a_run_wrote_down_can_be_checked_again() {
        for workload in all() {
            // Whether keys open is asked of the product, by the workload itself.
            assert_eq!(for_workload(workload.name()).is_some(), workload.name() != "seal", "{}", workload.name());
        }
    }
}
