//! A disk of a node that can lose what was not synced, lie, fail, fill up, be slow and flip bits: FUSE over files in memory.
//!
//! Power is cut with the node's process gone and nothing open: `Disk::lose_power`. What a kernel or a program cached is not asked for
//! again, as nothing may be cached past a close.

mod faults;
mod mount;
mod tree;

pub use faults::Faults;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fuser::BackgroundSession;

use crate::core::Rng;
use tree::Tree;

/// Files and what is wrong with them.
#[derive(Debug, Default)]
struct State {
    tree: Tree,
    faults: Faults,
}

/// A mounted disk; unmounted when dropped.
pub struct Disk {
    state: Arc<Mutex<State>>,
    /// Ends the mount with the disk.
    _session: BackgroundSession,
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Disk {
    /// Mounts an empty disk at `folder`, which is made.
    ///
    /// # Errors
    /// Without `/dev/fuse`, or the right to mount.
    pub fn mount(folder: &Path) -> Result<Self, String> {
        let name = |error: std::io::Error| format!("mount a disk at {}: {error}", folder.display());
        std::fs::create_dir_all(folder).map_err(name)?;
        let state = Arc::new(Mutex::new(State::default()));
        let session = mount::spawn(state.clone(), folder).map_err(name)?;
        Ok(Self { state, _session: session })
    }

    /// Says what is wrong from now on.
    pub fn set(&self, faults: Faults) {
        lock(&self.state).faults = faults;
    }

    /// Cuts the power: with `dice`, a part of what was not synced may have reached the disk.
    pub fn lose_power(&self, dice: u64) {
        let mut rng = Rng::new(dice);
        let is_torn = dice.is_multiple_of(2);
        lock(&self.state).tree.lose_power(|changed| if is_torn { rng.index(changed + 1) } else { 0 });
    }
}
