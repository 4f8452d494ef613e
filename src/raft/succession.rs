//! Who follows a leader whose connection broke: its followers ask for votes as soon as its lease is over.
//!
//! Silence alone says little, and openraft waits for the lease and then for an election's timeout. A connection that breaks says that
//! the leader's process has most likely ended, and there is nothing to wait for but the lease, within which it may answer reads. A node
//! asks first whether it would be elected (pre-vote), so a leader that others still hear is not disturbed. A node that led before it
//! was started asks in the same way. Not here: elections after silence (openraft), who may stand when (`service`).

use std::sync::Arc;
use std::time::Duration;

use openraft::ServerState;
use openraft::async_runtime::watch::WatchReceiver;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

use super::adapter::StateMachine;
use super::contact::Heard;
use super::metrics;
use super::types::Types;

/// Waits for a leader's connection to break.
pub struct Succession {
    pub raft: openraft::Raft<Types, StateMachine>,
    /// Told when a stream of appends broke.
    pub broke: Arc<Notify>,
    /// When a leader's last message arrived.
    pub heard: Arc<Heard>,
    /// How long a leader may read after a message that was answered.
    pub lease: Duration,
    /// How long an election takes at most, when all is well: the next in line waits so long for the first, and asks again so often.
    pub step: Duration,
}

impl Succession {
    pub async fn run(self) {
        loop {
            self.broke.notified().await;
            self.follow_or_stand().await;
        }
    }

    /// Stands once nothing was heard for a lease. A leader that lives dials again and is heard before that.
    async fn follow_or_stand(&self) {
        let give_up = Instant::now() + self.lease * 2;
        let Some(turn) = self.turn() else { return };
        let patience = self.lease + turn;
        loop {
            let Some(quiet) = self.heard.ago() else { return };
            if quiet >= patience {
                break;
            }
            if Instant::now() >= give_up {
                return;
            }
            sleep(patience - quiet).await;
        }
        if self.leads() {
            return;
        }
        tracing::info!("the leader's connection broke and its lease is over: this node asks for votes");
        metrics::stood_early();
        ask_for_votes(&self.raft, self.step * 2, give_up, || self.leads() || self.heard.ago().is_some_and(|ago| ago < patience)).await;
    }

    fn leads(&self) -> bool {
        self.raft.metrics().borrow_watched().state == ServerState::Leader
    }

    /// How long this node lets others go first: voters take turns in the order of their ids, so that they do not split the votes.
    /// `None` if it does not vote.
    fn turn(&self) -> Option<Duration> {
        let metrics = self.raft.metrics();
        let now = metrics.borrow_watched();
        let followers = now.membership_config.membership().voter_ids().filter(|id| Some(*id) != now.current_leader);
        let place = followers.enumerate().find_map(|(place, id)| (id == now.id).then_some(place))?;
        Some(self.step * u32::try_from(place).unwrap_or(u32::MAX))
    }
}

/// Asks for votes until somebody leads: when a whole cluster restarts, the others may vote at once only for the node that led them, and
/// may start later than it.
pub async fn lead_again(raft: &openraft::Raft<Types, StateMachine>, every: Duration, give_up: Instant) {
    ask_for_votes(raft, every, give_up, || raft.metrics().borrow_watched().current_leader.is_some()).await;
}

/// Asks again and again whether this node would be elected, which disturbs nobody, and stands if so.
async fn ask_for_votes(raft: &openraft::Raft<Types, StateMachine>, every: Duration, give_up: Instant, is_led: impl Fn() -> bool) {
    while !is_led() && Instant::now() < give_up {
        if raft.trigger().elect(true).await.is_err() {
            return;
        }
        sleep(every).await;
    }
}
