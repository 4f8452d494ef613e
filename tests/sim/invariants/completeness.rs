//! Leader completeness: who leads has every entry that any node has applied (Raft, figure 3). So nothing committed is ever lost.

use std::collections::BTreeMap;

use coffer::raft::Consensus;

use super::{Commit, Invariant, Node};
use crate::trace;

/// The last entry applied anywhere, and the newest term known, of each cluster.
#[derive(Default)]
pub struct LeadersAreComplete {
    applied: BTreeMap<usize, u64>,
    looked_at: BTreeMap<usize, u64>,
}

impl Invariant for LeadersAreComplete {
    fn name(&self) -> &'static str {
        "leaders are complete"
    }
    fn commits(&mut self, commit: &Commit<'_>) -> Result<(), String> {
        let last = commit.applied.last().map_or(0, |applied| applied.at.0);
        let known = self.applied.entry(commit.cluster).or_default();
        *known = last.max(*known);
        Ok(())
    }
    fn after_step(&mut self, nodes: &[Node]) -> Result<(), String> {
        for node in nodes.iter().filter(|node| node.raft.is_leader) {
            let newest = nodes.iter().filter(|other| other.cluster == node.cluster).map(|other| other.raft.term.0).max();
            let looked_at = self.looked_at.entry(node.cluster).or_default();
            // One look at each term: a leader's log only grows.
            if newest != Some(node.raft.term.0) || *looked_at == node.raft.term.0 {
                continue;
            }
            *looked_at = node.raft.term.0;
            let (last, applied) = (node.running.raft.contacts().last.0, self.applied.get(&node.cluster).copied().unwrap_or(0));
            if last < applied {
                let who = trace::name(node.host);
                return Err(format!("{who} leads term {} with a log up to {last}, and entry {applied} was applied", node.raft.term));
            }
        }
        Ok(())
    }
}
