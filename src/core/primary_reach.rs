//! Whether a secondary's primary can be reached, as far as shared writes are concerned.
//!
//! At first a request that finds no way waits: another node of the primary may be taking over. Once that has lasted longer than a
//! failover takes, requests are refused without trying, and one task alone looks for the primary until it is found again.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::time::Instant;

use super::outage::outlasts_failover;
use super::replication::Links;
use super::{Context, Upstream};

/// How often it looks for a primary that was given up.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The way to the primary.
pub(super) struct PrimaryReach {
    context: Arc<Context>,
    upstream: Arc<dyn Upstream>,
    links: Arc<dyn Links>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// When a request first found no way.
    lost: Option<Instant>,
    given_up: Option<GivenUp>,
}

struct GivenUp {
    why: String,
    /// How many links there had been: another one means that the primary is there again, or another one is.
    times_linked: u64,
}

impl PrimaryReach {
    pub(super) fn new(context: Arc<Context>, upstream: Arc<dyn Upstream>, links: Arc<dyn Links>) -> Arc<Self> {
        Arc::new(Self { context, upstream, links, state: Mutex::default() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of this lock panics")
    }

    /// Why no request need try, if the primary was given up.
    pub(super) fn given_up(&self) -> Option<String> {
        let times_linked = self.links.times_linked();
        let mut state = self.state();
        if state.given_up.as_ref().is_some_and(|given_up| given_up.times_linked != times_linked) {
            *state = State::default();
        }
        state.given_up.as_ref().map(|given_up| given_up.why.clone())
    }

    /// Since when requests have found no way.
    #[cfg(test)]
    pub(super) fn lost_since(&self) -> Option<Instant> {
        self.state().lost
    }

    /// A request got through.
    pub(super) fn reached(&self) {
        *self.state() = State::default();
    }

    /// A request found no way. Whether that has lasted too long to wait on; then the primary is given up until it is found again.
    pub(super) fn lost(self: &Arc<Self>, why: &str) -> bool {
        let since = self.state().lost.get_or_insert_with(Instant::now).elapsed();
        if !outlasts_failover(Some(since)) && !outlasts_failover(self.links.lost_for()) {
            return false;
        }
        let given_up = GivenUp { why: why.to_owned(), times_linked: self.links.times_linked() };
        let is_first = self.state().given_up.replace(given_up).is_none();
        if is_first {
            tracing::warn!(why, "shared writes are refused until the primary can be reached");
            tokio::spawn(self.clone().look());
        }
        true
    }

    /// Looks until the primary is found, or nobody wants it any more.
    async fn look(self: Arc<Self>) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let is_wanted = self.context.store.role().is_secondary() && self.context.raft.status().borrow().is_leader;
            if !is_wanted || self.given_up().is_none() {
                break;
            }
            if let Ok(()) = self.upstream.find_primary().await {
                tracing::info!("the primary can be reached again");
                if self.links.lost_for().is_some() {
                    self.links.look_again();
                }
                break;
            }
        }
        self.reached();
    }
}
