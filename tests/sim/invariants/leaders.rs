//! Election safety: at most one leader is elected in a term (Raft, figure 3).

use std::collections::BTreeMap;

use super::{Invariant, Node};
use crate::net::HostId;
use crate::trace;

/// Who led each term of each cluster.
#[derive(Default)]
pub struct OneLeaderATerm(BTreeMap<(usize, u64), HostId>);

impl Invariant for OneLeaderATerm {
    fn name(&self) -> &'static str {
        "one leader a term"
    }
    fn after_step(&mut self, nodes: &[Node]) -> Result<(), String> {
        for node in nodes.iter().filter(|node| node.raft.is_leader) {
            let known = *self.0.entry((node.cluster, node.raft.term.0)).or_insert(node.host);
            if known != node.host {
                let (one, other) = (trace::name(known), trace::name(node.host));
                return Err(format!("{one} and {other} lead term {}", node.raft.term));
            }
        }
        Ok(())
    }
}
