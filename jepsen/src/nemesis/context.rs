//! What a fault works with, and what it leaves to be undone.

use std::sync::Arc;

use crate::core::{Kind, Op, Process, Recorder, Value};
use crate::world::World;
use crate::world::cluster::Cluster;

use super::network::Network;

/// Given to every fault.
#[derive(Clone)]
pub struct Context {
    /// What is broken.
    pub world: Arc<World>,
    /// Rules of faults that overlap.
    pub network: Arc<Network>,
    /// For facts that checkers need.
    pub recorder: Arc<Recorder>,
}

/// Ends a fault: what was done for that.
pub type Undo = Box<dyn FnOnce(&Context) -> Result<Value, String> + Send>;

/// A fault that is in force.
pub struct Installed {
    /// What was really done.
    pub what: Value,
    /// How it ends.
    pub undo: Undo,
    /// Whether it has done its work, and need not stay in force any longer.
    pub is_spent: Option<Box<dyn Fn(&Context) -> bool + Send>>,
}

impl Installed {
    /// A fault and how it ends.
    pub fn new(what: impl Into<Value>, undo: impl FnOnce(&Context) -> Result<Value, String> + Send + 'static) -> Self {
        Self { what: what.into(), undo: Box::new(undo), is_spent: None }
    }

    /// The same, ended early once `is_spent` says so.
    #[must_use]
    pub fn until(self, is_spent: impl Fn(&Context) -> bool + Send + 'static) -> Self {
        Self { is_spent: Some(Box::new(is_spent)), ..self }
    }
}

impl Context {
    /// Records a fact for one workload's checker.
    ///
    /// # Panics
    /// If the history cannot be written.
    pub fn note(&self, workload: &str, f: &str, value: Value) {
        let op = Op::new(Kind::Info, Process::Nemesis, f, value).with("workload", workload);
        self.recorder.record(op).expect("the disk takes the history");
    }

    /// The cluster of that name, which a plan only names if it is there.
    ///
    /// # Errors
    /// If it is not there after all.
    pub fn cluster(&self, name: &str) -> Result<&Cluster, String> {
        self.world.cluster(name).ok_or_else(|| format!("there is no cluster {name}"))
    }

    /// Starts and unseals these nodes as far as they are down; they need not serve yet.
    ///
    /// # Errors
    /// If one does not start: a finding.
    pub fn revive(&self, names: &[String]) -> Result<Value, String> {
        for name in names {
            let node = self.world.node(name).ok_or_else(|| format!("there is no node {name}"))?;
            let cluster = self.cluster(&node.cluster)?;
            node.start()?;
            node.unseal(|| cluster.keys(), std::time::Duration::from_secs(60))?;
        }
        Ok(Value::list(names.iter().map(String::as_str)))
    }
}
