//! A voter whose disk is gone takes no part in its group before it was removed from it: what it had acknowledged would count, and is lost.

use std::collections::{BTreeMap, BTreeSet};

use coffer::types::NodeId;

use super::{Invariant, Node};
use crate::net::HostId;
use crate::trace;

/// Who votes, and who must be removed first.
#[derive(Default)]
pub struct WhoForgotIsRemoved {
    /// As the last leader of a cluster had it committed.
    voters: BTreeMap<usize, BTreeSet<NodeId>>,
    to_remove: BTreeMap<HostId, usize>,
}

impl Invariant for WhoForgotIsRemoved {
    fn name(&self) -> &'static str {
        "who forgot is removed first"
    }
    fn after_step(&mut self, nodes: &[Node]) -> Result<(), String> {
        for leader in nodes.iter().filter(|node| node.raft.is_leader) {
            let voters: BTreeSet<NodeId> = leader.raft.peers.iter().filter(|peer| peer.is_voter).map(|peer| peer.id).collect();
            self.to_remove.retain(|host, cluster| *cluster != leader.cluster || voters.contains(&id(*host)));
            self.voters.insert(leader.cluster, voters);
        }
        match nodes.iter().find(|node| node.raft.term.0 > 0 && self.to_remove.contains_key(&node.host)) {
            Some(node) => Err(format!("{} lost its disk, and is in term {} while it still votes", trace::name(node.host), node.raft.term)),
            None => Ok(()),
        }
    }
    fn wiped(&mut self, host: HostId) {
        let cluster = self.voters.iter().find(|(_, voters)| voters.contains(&id(host))).map(|(cluster, _)| *cluster);
        self.to_remove.extend(cluster.map(|cluster| (host, cluster)));
    }
}

fn id(host: HostId) -> NodeId {
    NodeId::of_name(&trace::name(host))
}
