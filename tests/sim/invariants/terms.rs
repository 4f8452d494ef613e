//! A host never forgets a term that it was in: it may have voted in it. What is told of it may only be told once it is durable.

use std::collections::BTreeMap;

use super::{Invariant, Node};
use crate::net::HostId;
use crate::trace;

/// The newest term that each host told, across restarts.
#[derive(Default)]
pub struct TermsAreKept(BTreeMap<HostId, u64>);

impl Invariant for TermsAreKept {
    fn name(&self) -> &'static str {
        "terms are kept"
    }
    fn after_step(&mut self, nodes: &[Node]) -> Result<(), String> {
        // A node that has just started tells nothing yet.
        for node in nodes.iter().filter(|node| node.raft.term.0 > 0) {
            let known = self.0.entry(node.host).or_default();
            if node.raft.term.0 < *known {
                return Err(format!("{} was in term {known}, and is in term {} after a restart", trace::name(node.host), node.raft.term));
            }
            *known = node.raft.term.0;
        }
        Ok(())
    }
    fn wiped(&mut self, host: HostId) {
        self.0.remove(&host);
    }
}
