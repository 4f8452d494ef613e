//! Hears of every applied entry, on every node, and lets each part of the core drop what it remembers of changed rows.
//!
//! Called from the apply loop before anyone is answered, so that no answer rests on what was just replaced. Nothing here waits,
//! reads storage or decrypts: parts are marked, and look again when they are asked.

use std::sync::{Arc, OnceLock, Weak};

use super::{Core, keys};
use crate::machine::Applied;
use crate::raft::Observer;
use crate::types::Key;

/// Stands in for the core while Raft is started, which is before the core can be: Raft hears nobody until it is attached.
#[derive(Default)]
pub struct CoreObserver(OnceLock<Weak<Core>>);

impl CoreObserver {
    /// Nobody hears yet.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// `core` hears from now on. It is not kept alive.
    pub fn attach(&self, core: &Arc<Core>) {
        let _ = self.0.set(Arc::downgrade(core));
    }

    fn core(&self) -> Option<Arc<Core>> {
        self.0.get().and_then(Weak::upgrade)
    }
}

impl Observer for CoreObserver {
    fn applied(&self, applied: &Applied) {
        if let Some(core) = self.core() {
            core.applied(applied);
        }
    }
    fn replaced(&self) {
        if let Some(core) = self.core() {
            core.replaced();
        }
    }
}

impl Observer for Core {
    fn applied(&self, applied: &Applied) {
        if applied.wipe {
            self.replaced();
            return;
        }
        if !applied.rows.is_empty() {
            self.rows_changed(applied);
        }
        if applied.role.is_some() {
            // A secondary that has been filled may write mounts of its own now.
            self.mounts.note_all();
            self.lifecycle.look_again();
        }
        self.applied.send_replace(applied.positions.performance.wal);
    }

    fn replaced(&self) {
        self.seal.forget_all();
        self.tokens.forget_all();
        self.policies.forget_all();
        self.mounts.note_all();
        self.audit.note_all();
        self.settings.note_all();
        self.lifecycle.look_again();
        self.applied.send_replace(self.context.store.positions().performance.wal);
    }
}

impl Core {
    /// Most entries change rows of engines only: what the core remembers comes from rows of its own.
    fn rows_changed(&self, applied: &Applied) {
        let changed: Vec<&Key> = applied.rows.iter().map(|row| &row.key).collect();
        let own: Vec<Key> = changed.iter().copied().filter(|key| key.path.starts_with(keys::OWN)).cloned().collect();
        if !own.is_empty() {
            self.seal.forget(&own);
            self.tokens.forget(&own);
            if !(bug!(73) && self.context.store.role().is_secondary()) {
                self.policies.forget(&own);
            }
            self.leases.forget(&own);
        }
        if !(bug!(74) && self.context.store.role().is_secondary()) {
            self.mounts.note(&changed);
        }
        if !own.is_empty() {
            self.audit.note(&changed);
            self.replication.note(applied);
            self.settings.note(&changed);
        }
    }
}
