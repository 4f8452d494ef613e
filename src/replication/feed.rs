//! What the streams follow: how far the shared history reaches on this node, and that the role changed.

use std::sync::Arc;

use tokio::sync::watch;

use crate::machine::Applied;
use crate::raft::Observer;
use crate::storage::Physical;
use crate::types::Position;

/// Told of every applied entry; wakes the streams.
pub struct Feed {
    store: Arc<dyn Physical>,
    position: watch::Sender<Position>,
    /// Counts changes of the role.
    roles: watch::Sender<u64>,
}

impl std::fmt::Debug for Feed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Feed({:?})", *self.position.borrow())
    }
}

impl Feed {
    /// Follows `store` from where it stands now.
    pub fn new(store: Arc<dyn Physical>) -> Arc<Self> {
        let position = watch::Sender::new(store.positions().performance);
        Arc::new(Self { store, position, roles: watch::Sender::new(0) })
    }

    /// How far the shared history reaches.
    pub fn position(&self) -> watch::Receiver<Position> {
        self.position.subscribe()
    }

    /// Announced when the role may have changed.
    pub fn roles(&self) -> watch::Receiver<u64> {
        self.roles.subscribe()
    }

    fn moved(&self, to: Position) {
        self.position.send_if_modified(|position| {
            let moved = *position != to;
            *position = to;
            moved
        });
    }
}

impl Observer for Feed {
    fn applied(&self, applied: &Applied) {
        self.moved(applied.positions.performance);
        if applied.role.is_some() {
            self.roles.send_modify(|count| *count += 1);
        }
    }

    fn replaced(&self) {
        self.moved(self.store.positions().performance);
        self.roles.send_modify(|count| *count += 1);
    }
}
