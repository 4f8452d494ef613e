//! A host that was told to have acknowledged an entry has it when it starts again, unless another leader replaced it: a majority of
//! promises that are not kept is a lost write.

use std::collections::{BTreeMap, BTreeSet};

use coffer::raft::Consensus;

use super::{Invariant, Node};
use crate::net::HostId;
use crate::trace;

/// What hosts have acknowledged to the newest leader of their cluster.
#[derive(Default)]
pub struct WhatIsAcknowledgedIsKept {
    /// The newest term with a leader, by cluster.
    terms: BTreeMap<usize, u64>,
    acknowledged: BTreeMap<(usize, HostId), u64>,
    /// Hosts that have ended, and did not tell anything since.
    ended: BTreeSet<HostId>,
}

impl Invariant for WhatIsAcknowledgedIsKept {
    fn name(&self) -> &'static str {
        "what is acknowledged is kept"
    }
    fn after_step(&mut self, nodes: &[Node]) -> Result<(), String> {
        for node in nodes.iter().filter(|node| node.raft.term.0 > 0 && self.ended.contains(&node.host)) {
            let said = self.acknowledged.get(&(node.cluster, node.host)).copied().unwrap_or(0);
            let has = node.running.raft.indexes().last;
            if has < said {
                return Err(format!("{} acknowledged entry {said}, and has a log up to {has} after a restart", trace::name(node.host)));
            }
        }
        self.ended.retain(|host| !nodes.iter().any(|node| node.host == *host && node.raft.term.0 > 0));
        for leader in nodes.iter().filter(|node| node.raft.is_leader) {
            let newest = self.terms.entry(leader.cluster).or_default();
            if leader.raft.term.0 < *newest {
                continue;
            }
            if leader.raft.term.0 > *newest {
                *newest = leader.raft.term.0;
                // It may cut off what others have.
                self.acknowledged.retain(|(cluster, _), _| *cluster != leader.cluster);
            }
            let peers = leader.running.raft.contacts().peers;
            for node in nodes.iter().filter(|node| node.cluster == leader.cluster && node.host != leader.host) {
                let matched = peers.get(&node.raft.id).map_or(0, |contact| contact.matched.0);
                if matched > 0 && !self.ended.contains(&node.host) {
                    self.acknowledged.insert((node.cluster, node.host), matched);
                }
            }
        }
        Ok(())
    }
    fn ended(&mut self, host: HostId) {
        self.ended.insert(host);
    }
    fn wiped(&mut self, host: HostId) {
        self.acknowledged.retain(|(_, of), _| *of != host);
    }
}
