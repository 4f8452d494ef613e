//! The indexes of a node are in order: purged ≤ snapshot ≤ applied ≤ committed ≤ last, and terms never go back.

use std::collections::BTreeMap;

use super::{Invariant, Node};
use crate::net::HostId;
use crate::trace;

/// The last term of each host, and what of its log was known to be committed, while it runs.
#[derive(Default)]
pub struct IndexesAreInOrder(BTreeMap<HostId, (u64, u64)>);

impl Invariant for IndexesAreInOrder {
    fn name(&self) -> &'static str {
        "indexes are in order"
    }
    fn after_step(&mut self, nodes: &[Node]) -> Result<(), String> {
        for node in nodes {
            let indexes = node.running.raft.indexes();
            let row = [indexes.purged, indexes.snapshot, indexes.applied, indexes.last];
            let (who, term) = (trace::name(node.host), node.raft.term.0);
            // A snapshot that was installed may end behind what was purged before it is announced: both are told by one task.
            if row.windows(2).any(|pair| pair[0] > pair[1]) {
                return Err(format!("{who} has purged {}, snapshot {}, applied {}, last {}", row[0], row[1], row[2], row[3]));
            }
            let known = self.0.entry(node.host).or_insert((term, indexes.applied));
            if term < known.0 || indexes.applied < known.1 {
                return Err(format!("{who} went back from term {} and entry {} to {term} and {}", known.0, known.1, indexes.applied));
            }
            *known = (term, indexes.applied);
        }
        Ok(())
    }
    fn ended(&mut self, host: HostId) {
        self.0.remove(&host);
    }
}
