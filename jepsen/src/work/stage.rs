//! Where workloads play: the world, the recorder, and numbers for processes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::core::Recorder;
use crate::world::World;

/// Shared by all actors of a run.
pub struct Stage {
    /// Clusters and network.
    pub world: Arc<World>,
    /// Where lines go.
    pub recorder: Arc<Recorder>,
    /// What a client waits for one answer.
    pub deadline: Duration,
    next_process: AtomicU64,
}

impl Stage {
    /// Nobody has played yet.
    pub fn new(world: Arc<World>, recorder: Arc<Recorder>, deadline: Duration) -> Self {
        Self { world, recorder, deadline, next_process: AtomicU64::new(0) }
    }

    /// A number that no process had.
    pub fn process(&self) -> u64 {
        self.next_process.fetch_add(1, Ordering::Relaxed)
    }
}
