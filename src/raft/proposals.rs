//! What is proposed at about the same moment goes to Raft together.
//!
//! Each request wakes whoever takes its command, and a task that was just woken runs next: handed straight to openraft's core, every
//! command would be appended, synced and sent alone, even under load. Whoever forwards them here lets all others that are ready run
//! first, and then hands over all that came meanwhile. A lone command waits for nobody.

use tokio::sync::mpsc;

use super::adapter::StateMachine;
use super::types::{Payload, Types};

/// What openraft answers a proposal with.
pub type Written = openraft::raft::ClientWriteResult<Types>;
/// Where it puts the answer.
type Responder = openraft::raft::responder::ProgressResponder<Types, Written>;

/// Proposals that wait to be taken; more wait in their own tasks.
const WAITING_MAX: usize = 1024;

/// Hands commands to openraft.
pub struct Proposals(mpsc::Sender<(Payload, Responder)>);

/// Raft has ended: whether the command was appended is not known.
#[derive(Debug)]
pub struct Ended;

impl Proposals {
    /// Starts forwarding to `raft`, until this is gone or `raft` has ended.
    pub fn to(raft: openraft::Raft<Types, StateMachine>) -> Self {
        let (proposals, queue) = mpsc::channel(WAITING_MAX);
        tokio::spawn(forward(raft, queue));
        Self(proposals)
    }

    /// Proposes a command; gives openraft's answer once it is applied or refused.
    ///
    /// # Errors
    /// If Raft has ended.
    pub async fn write(&self, payload: Payload) -> Result<Written, Ended> {
        let (responder, answer) = Responder::complete_only();
        self.0.send((payload, responder)).await.map_err(|_| Ended)?;
        answer.await.map_err(|_| Ended)
    }
}

async fn forward(raft: openraft::Raft<Types, StateMachine>, mut queue: mpsc::Receiver<(Payload, Responder)>) {
    let mut taken = Vec::new();
    while queue.recv_many(&mut taken, WAITING_MAX).await > 0 {
        tokio::task::yield_now().await;
        while let Ok(more) = queue.try_recv() {
            taken.push(more);
        }
        for (payload, responder) in taken.drain(..) {
            if raft.client_write_ff(payload, Some(responder)).await.is_err() {
                return;
            }
        }
    }
}
