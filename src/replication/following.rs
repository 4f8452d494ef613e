//! Drives an [`Applier`] over one stream from the primary: what is said goes in, what follows is proposed or said.

use std::collections::VecDeque;
use std::time::Duration;

use futures::StreamExt;
use futures::future::{BoxFuture, OptionFuture};
use tokio::sync::mpsc::Sender;
use tokio::time::Instant;

use super::applier::{Applier, ApplyAction, ApplyEvent, Phase};
use super::link::{Duplex, FromPrimary, FromSecondary, LinkError};
use super::{Parts, Shared};
use crate::machine::{Command, Outcome, Role, page_of};
use crate::raft::CommitError;
use crate::storage::StorageError;
use crate::types::{Scope, Timestamp, WalIndex};

/// How long the primary may be silent before the stream is given up: it speaks each second.
const SILENCE_MAX: Duration = Duration::from_secs(15);

/// How long a primary of an earlier generation is given to read that it was replaced, and to end the stream: hung up on at once, it may
/// never learn of it.
const STALE_MAX: Duration = Duration::from_secs(3);

type Proposal = BoxFuture<'static, Result<Outcome, CommitError>>;

/// A stream, and the machine that says what follows from what is said on it.
pub(super) struct Following<'s> {
    shared: &'s Shared,
    applier: Applier,
    outbox: VecDeque<FromSecondary>,
    proposal: Option<Proposal>,
    closing: Option<String>,
    /// Why nothing comes of this stream, and when that was heard.
    stale: Option<(Instant, String)>,
    learned: Option<Vec<String>>,
    /// It came to streaming: the link was a good one.
    pub streamed: bool,
}

impl<'s> Following<'s> {
    pub fn new(shared: &'s Shared) -> Self {
        let applier = Applier::new(shared.parts.keys_first.iter().map(|key| page_of(&key.path)).collect());
        Self { shared, applier, outbox: VecDeque::new(), proposal: None, closing: None, stale: None, learned: None, streamed: false }
    }

    fn parts(&self) -> &'s Parts {
        &self.shared.parts
    }

    /// Follows one stream to its end; gives the reason.
    pub async fn run(&mut self, stream: Duplex<FromSecondary, FromPrimary>) -> String {
        let ended = self.serve(stream).await;
        self.stale.take().map_or(ended, |(_, why)| why)
    }

    async fn serve(&mut self, stream: Duplex<FromSecondary, FromPrimary>) -> String {
        let Duplex { out, mut incoming } = stream;
        let mut heard = Instant::now();
        let mut tick = tokio::time::interval(Duration::from_secs(1));
        let mut event = Some(ApplyEvent::Connected);
        loop {
            if let Some(event) = event.take()
                && let Err(error) = self.take(event)
            {
                tracing::error!(%error, "failed to read the store for replication");
                return "this node failed to read its store".to_owned();
            }
            if let Some(addrs) = self.learned.take() {
                self.parts().primary.learned(addrs).await;
                self.shared.status.known_addrs(self.parts().primary.addrs());
            }
            if let Some(why) = self.closing.take() {
                return why;
            }
            event = tokio::select! {
                sent = send_next(&out, &mut self.outbox) => {
                    if !sent {
                        return LinkError::Broken("the primary takes no more".to_owned()).to_string();
                    }
                    None
                }
                Some(settled) = OptionFuture::from(self.proposal.as_mut()) => {
                    self.proposal = None;
                    Some(settle(settled))
                }
                said = incoming.next(), if self.applier.is_hungry() => match said {
                    None => return LinkError::Broken("the primary ended the stream".to_owned()).to_string(),
                    Some(Err(error)) => return error.to_string(),
                    Some(Ok(said)) => {
                        heard = Instant::now();
                        self.note(&said);
                        Some(ApplyEvent::Said(said))
                    }
                },
                _ = tick.tick() => {
                    if self.applier.is_hungry() && heard.elapsed() > SILENCE_MAX {
                        return "the primary was silent for too long".to_owned();
                    }
                    if self.stale.as_ref().is_some_and(|(since, _)| since.elapsed() > STALE_MAX) {
                        return "the primary does not end the stream".to_owned();
                    }
                    None
                }
            };
        }
    }

    fn take(&mut self, event: ApplyEvent) -> Result<(), StorageError> {
        let mut events = VecDeque::from([event]);
        let mut actions = Vec::new();
        while let Some(event) = events.pop_front() {
            if let ApplyEvent::Committed(_) = &event {
                let now = self.parts().store.positions();
                self.shared.status.of_primary(|primary| primary.freshness.hold(now.performance.wal, now.performance_at));
            }
            self.applier.step(event, &mut actions);
            for action in actions.drain(..) {
                match action {
                    ApplyAction::Greet => {
                        let hello = self.hello();
                        self.outbox.push_back(hello);
                    }
                    ApplyAction::Send(message) => self.outbox.push_back(message),
                    ApplyAction::ReadOwnSums => {
                        events.push_back(ApplyEvent::OwnSums(self.parts().store.reader().pages(Scope::Shared).to_vec()));
                    }
                    ApplyAction::ReadOwnRows(page) => {
                        let rows = self.parts().store.reader().page_rows(Scope::Shared, page)?;
                        events.push_back(ApplyEvent::OwnRows(rows.into_iter().map(|(path, stored)| (path, stored.value)).collect()));
                    }
                    ApplyAction::Propose(command) => self.propose(command),
                    ApplyAction::Beat { now, echo, position, cluster_addrs, api_addr, cluster_addr } => {
                        self.beat(now, echo, position, (api_addr, cluster_addr));
                        self.learn(cluster_addrs);
                    }
                    ApplyAction::Close(why) => self.closing = Some(why),
                }
            }
        }
        let phase = self.applier.phase();
        self.streamed |= phase == Phase::Streaming;
        self.shared.status.phase(phase, self.parts().clock.now());
        Ok(())
    }

    fn propose(&mut self, command: Command) {
        let raft = self.parts().raft.clone();
        self.proposal = Some(Box::pin(async move { raft.propose(&command).await }));
    }

    /// Where we stand: position, role and generation of one moment.
    fn hello(&self) -> FromSecondary {
        let reader = self.parts().store.reader();
        let (have, role) = (reader.positions().performance, reader.role());
        self.shared.status.of_primary(|primary| primary.freshness.reach(have.wal));
        let me = &self.parts().me;
        FromSecondary::Hello {
            have,
            generation: role.generation(),
            filling: matches!(role, Role::Secondary { filling: true, .. }),
            api_addr: me.api_addr.clone(),
            cluster_addr: me.cluster_addr.clone(),
        }
    }

    fn beat(&mut self, theirs: Timestamp, echo: Timestamp, position: crate::types::Position, (api_addr, cluster_addr): (String, String)) {
        let now = self.parts().clock.now();
        if echo == Timestamp(0) {
            self.outbox.push_back(FromSecondary::Heartbeat { sent: now });
        }
        self.shared.status.of_primary(|primary| {
            primary.api_addr = api_addr;
            primary.cluster_addr = super::url_of(&cluster_addr);
            primary.last_heartbeat = now;
            primary.freshness.mark(theirs, position.wal);
            if echo != Timestamp(0) {
                primary.heartbeat_ms = now.0.saturating_sub(echo.0);
                primary.skew_ms = theirs.0.abs_diff(echo.0 + primary.heartbeat_ms / 2);
            }
        });
    }

    /// Remembers the primary's addresses, if there are new ones among them.
    fn learn(&mut self, told: Vec<String>) {
        let known = self.parts().primary.addrs();
        if told.iter().any(|addr| !known.contains(addr)) && (told.len() > known.len() || !bug!(146)) {
            self.learned = Some(told);
        }
    }

    fn note(&mut self, said: &FromPrimary) {
        if let Some(told) = said.generation() {
            self.shared.status.of_primary(|primary| primary.generation = primary.generation.max(told));
        }
        match said {
            FromPrimary::Streaming { position, .. } => {
                tracing::info!(primary_wal = %position.wal, "streaming records from the primary");
                self.shared.status.of_primary(|primary| primary.freshness.mark(self.parts().clock.now(), position.wal));
            }
            FromPrimary::Resync { why, snapshot, .. } => {
                let have = self.parts().store.positions().performance.wal;
                tracing::warn!(why, %have, snapshot = %snapshot.wal, "comparing with the primary: what it does not have is given up here");
            }
            FromPrimary::Records { after, records, .. } => {
                let last = WalIndex(after.wal.0 + records.len() as u64);
                self.shared.status.of_primary(|primary| primary.freshness.stands(last));
            }
            FromPrimary::Heartbeat { generation, .. } => {
                let ours = self.parts().store.role().generation();
                if *generation < ours {
                    let why = format!(
                        "the primary is a stale one: it has generation {generation}, and generation {ours} took over; use secondary/update-primary"
                    );
                    self.stale.get_or_insert_with(|| (Instant::now(), why));
                }
            }
            _ => {}
        }
    }
}

fn settle(settled: Result<Outcome, CommitError>) -> ApplyEvent {
    match settled {
        Ok(Outcome::Committed(positions)) => ApplyEvent::Committed(positions.performance),
        Ok(Outcome::Refused(refusal)) => ApplyEvent::Refused(refusal),
        // These commands have no guards.
        Ok(Outcome::Conflict(key)) => ApplyEvent::Lost(format!("a conflict at {key:?}")),
        Err(error) => ApplyEvent::Lost(error.to_string()),
    }
}

/// Sends the next message once the link takes it; false if it broke. Cancel-safe: nothing is taken before the last await.
async fn send_next(out: &Sender<FromSecondary>, outbox: &mut VecDeque<FromSecondary>) -> bool {
    if outbox.is_empty() {
        return std::future::pending().await;
    }
    let Ok(permit) = out.reserve().await else { return false };
    if let Some(message) = outbox.pop_front() {
        permit.send(message);
    }
    true
}
