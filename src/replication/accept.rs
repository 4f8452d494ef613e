//! Admits streams to a primary: one for each secondary, the newest.
//!
//! Whoever serves the stream may drop it at any await, so what a stream's end changes is done when its [`Visit`] is dropped.
//! Not here: what is said on a stream (`session`), whether the secondary is admitted (`cluster`).

use std::sync::Arc;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use super::link::{Accept, Duplex, FromPrimary, FromSecondary};
use super::session::Session;
use super::{Handle, Shared};
use crate::machine::Role;
use crate::types::limits::SECONDARIES_MAX;

#[async_trait]
impl Accept for Handle {
    async fn accept(&self, secondary_id: String, stream: Duplex<FromPrimary, FromSecondary>) {
        let shared = &self.shared;
        // A primary, or a cluster that was one and was demoted: what was acknowledged before is still shipped.
        let (Role::Primary { generation, .. } | Role::Secondary { generation, filling: false, .. }) = shared.parts.store.role() else {
            return;
        };
        let stop = match &*self.running() {
            Some(running) => running.stop.child_token(),
            None => return,
        };
        let Some(mut visit) = Visit::begin(shared.clone(), secondary_id, stop.clone()) else { return };
        if shared.follows_another() {
            return;
        }
        let grown = *shared.feed.position().borrow();
        visit.why = Session::new(shared, visit.secondary.clone(), generation, grown).run(stream, stop).await;
    }
}

/// One secondary's stream, from its start until this is dropped.
struct Visit {
    shared: Arc<Shared>,
    secondary: String,
    turn: u64,
    why: String,
}

impl Visit {
    /// Takes the place of an older stream of this secondary, which has not noticed yet that it broke. `None` if there are too many.
    fn begin(shared: Arc<Shared>, secondary: String, stop: CancellationToken) -> Option<Self> {
        let turn = {
            let mut sessions = shared.sessions();
            if sessions.len() >= SECONDARIES_MAX && !sessions.contains_key(&secondary) {
                tracing::warn!(secondary, "more secondaries than one primary serves");
                return None;
            }
            let turn = sessions.get(&secondary).map_or(0, |(turn, _)| turn + 1);
            if let Some((_, before)) = sessions.insert(secondary.clone(), (turn, stop)) {
                before.cancel();
            }
            turn
        };
        tracing::info!(secondary, "a secondary connected");
        shared.status.of_secondary(&secondary, |peer| peer.is_connected = true);
        Some(Self { shared, secondary, turn, why: "the secondary closed the link".to_owned() })
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        tracing::info!(secondary = self.secondary, why = self.why, "a secondary's stream ended");
        let mut sessions = self.shared.sessions();
        if sessions.get(&self.secondary).is_some_and(|(current, _)| *current == self.turn || bug!(144)) {
            sessions.remove(&self.secondary);
            drop(sessions);
            self.shared.status.of_secondary(&self.secondary, |peer| peer.is_connected = false);
        }
    }
}
