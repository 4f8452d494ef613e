//! What must hold at every moment, one file each. Looked at with every commit on every node, and after every step.

mod acknowledged;
mod apply;
mod completeness;
mod fenced;
mod leaders;
mod nonces;
mod order;
mod prefix;
mod primaries;
mod readable;
mod roots;
mod shipped;
mod terms;
mod voters;

use std::collections::BTreeMap;

use coffer::machine::{Applied, Role};
use coffer::raft::{Consensus, RaftStatus};
use coffer::storage::{MemStore, Physical};

use crate::net::HostId;
use crate::plan::Plan;
use crate::trace;
use crate::world::{Running, Slot};

pub use roots::recount;
pub use shipped::LOCAL_CANARY;

/// Entries that a node is about to commit.
pub struct Commit<'c> {
    pub host: HostId,
    pub cluster: usize,
    /// The state before.
    pub store: &'c MemStore,
    pub applied: &'c [Applied],
}

impl<'c> Commit<'c> {
    /// The entries, each with the cluster's role before and after it.
    pub fn with_roles(&self) -> impl Iterator<Item = (&'c Applied, Role, Role)> {
        let mut role = self.store.role();
        self.applied.iter().map(move |applied| {
            let before = role.clone();
            if let Some(now) = &applied.role {
                role = now.clone();
            }
            (applied, before, role.clone())
        })
    }
}

/// A node that runs, between two steps.
pub struct Node {
    pub host: HostId,
    pub cluster: usize,
    pub raft: RaftStatus,
    /// Positions and numbers, as its store has them.
    pub store: std::sync::Arc<MemStore>,
    pub running: Running,
}

/// Something that must hold.
pub trait Invariant: Send {
    /// Its name in a failure.
    fn name(&self) -> &'static str;
    /// A node is about to commit.
    ///
    /// # Errors
    /// With what is wrong.
    fn commits(&mut self, _: &Commit<'_>) -> Result<(), String> {
        Ok(())
    }
    /// A step is over.
    ///
    /// # Errors
    /// With what is wrong.
    fn after_step(&mut self, _: &[Node]) -> Result<(), String> {
        Ok(())
    }
    /// A host has ended: what it told of itself may be less than before.
    fn ended(&mut self, _: HostId) {}
    /// Everything on a host is gone.
    fn wiped(&mut self, _: HostId) {}
}

/// All of them.
pub struct Invariants {
    clusters: Vec<usize>,
    all: Vec<Box<dyn Invariant>>,
    broken: BTreeMap<&'static str, u64>,
}

impl Invariants {
    /// For the hosts of `plan`.
    pub fn new(plan: &Plan) -> Self {
        let all: Vec<Box<dyn Invariant>> = vec![
            Box::<leaders::OneLeaderATerm>::default(),
            Box::<apply::SameEntriesSameChanges>::default(),
            Box::<terms::TermsAreKept>::default(),
            Box::<acknowledged::WhatIsAcknowledgedIsKept>::default(),
            Box::<voters::WhoForgotIsRemoved>::default(),
            Box::<completeness::LeadersAreComplete>::default(),
            Box::<order::IndexesAreInOrder>::default(),
            Box::<primaries::OnePrimaryAGeneration>::default(),
            Box::<prefix::SecondariesFollow>::default(),
            Box::<fenced::FencedPrimariesRest>::default(),
            Box::<shipped::LocalRowsStay>::default(),
            Box::<nonces::NoncesAreUsedOnce>::default(),
            Box::<roots::EqualPositionsEqualRoots>::default(),
            Box::new(readable::ActiveNodesCanRead::new(plan.forces())),
        ];
        Self { clusters: plan.hosts.iter().map(|host| host.cluster).collect(), all, broken: BTreeMap::new() }
    }

    /// Shows a commit to all; says what is wrong.
    pub fn committed(&mut self, host: HostId, store: &MemStore, applied: &[Applied]) -> Vec<String> {
        let commit = Commit { host, cluster: self.clusters[host.0], store, applied };
        let results: Vec<_> = self.all.iter_mut().map(|one| (one.name(), one.commits(&commit))).collect();
        self.named(host, results)
    }

    /// Looks at all that runs; says what is wrong.
    pub fn after_step(&mut self, slots: &[Slot]) -> Vec<String> {
        let nodes: Vec<Node> = slots
            .iter()
            .filter_map(|slot| {
                let (running, store) = (slot.running()?, slot.store());
                let raft = running.raft.status().borrow().clone();
                Some(Node { host: slot.id, cluster: slot.cluster, raft, store, running })
            })
            .collect();
        let results: Vec<_> = self.all.iter_mut().map(|one| (one.name(), one.after_step(&nodes))).collect();
        results.into_iter().filter_map(|(name, result)| result.err().map(|why| format!("{name}: {why}"))).collect()
    }

    /// A host has ended.
    pub fn ended(&mut self, host: HostId) {
        self.all.iter_mut().for_each(|one| one.ended(host));
    }

    /// Everything on a host is gone.
    pub fn wiped(&mut self, host: HostId) {
        self.all.iter_mut().for_each(|one| one.wiped(host));
    }

    fn named(&mut self, host: HostId, results: Vec<(&'static str, Result<(), String>)>) -> Vec<String> {
        let mut wrong = Vec::new();
        for (name, result) in results {
            if let Err(why) = result {
                *self.broken.entry(name).or_default() += 1;
                wrong.push(format!("{name}: on {}: {why}", trace::name(host)));
            }
        }
        wrong
    }
}
