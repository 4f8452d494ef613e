//! Drives a [`Shipper`] over one accepted stream: reads the store, keeps time, fills the link as it drains.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use tokio::sync::mpsc::Sender;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::link::{Duplex, FromPrimary, FromSecondary};
use super::metrics;
use super::retention::Pin;
use super::shipper::{ShipAction, ShipEvent, Shipper};
use super::{Parts, Shared};
use crate::machine::{Batch, Command, Guard, PageId, PageSum, Role};
use crate::storage::{Reader, StorageError};
use crate::types::limits::FRAME_BYTES_MAX;
use crate::types::{Generation, Position, Scope, Timestamp, WalIndex};

/// How often the primary speaks when it has nothing to say.
pub(super) const HEARTBEAT: Duration = Duration::from_secs(1);

/// How long a secondary may be silent before its stream is given up: it answers each heartbeat.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// One secondary's stream.
pub(super) struct Session<'s> {
    pub shared: &'s Shared,
    pub id: String,
    shipper: Shipper,
    outbox: VecDeque<FromPrimary>,
    snapshot: Option<(Arc<dyn Reader>, Pin)>,
    /// When the last heartbeat of our own accord was sent.
    beat: Timestamp,
    closing: Option<String>,
    fence: Option<Generation>,
}

impl<'s> Session<'s> {
    pub fn new(shared: &'s Shared, id: String, generation: Generation, grown: Position) -> Self {
        Self {
            shared,
            id,
            shipper: Shipper::new(generation, grown),
            outbox: VecDeque::new(),
            snapshot: None,
            beat: Timestamp(0),
            closing: None,
            fence: None,
        }
    }

    fn parts(&self) -> &'s Parts {
        &self.shared.parts
    }

    /// Serves the stream until it ends, `stop`, or the secondary is silent for too long. Gives the reason.
    pub async fn run(mut self, stream: Duplex<FromPrimary, FromSecondary>, stop: CancellationToken) -> String {
        let Duplex { out, mut incoming } = stream;
        let mut grown = self.shared.feed.position();
        let mut tick = tokio::time::interval(HEARTBEAT);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut heard = Instant::now();
        loop {
            if let Some(by) = self.fence.take() {
                self.be_fenced(by).await;
            }
            if let Some(why) = self.closing.take() {
                // What was to be said is said, if the link takes it at once.
                self.outbox.drain(..).all(|message| out.try_send(message).is_ok());
                return why;
            }
            let event = tokio::select! {
                () = stop.cancelled() => return "this node no longer serves secondaries, or this one was revoked".to_owned(),
                sent = send_next(&out, &mut self.outbox) => match sent {
                    Sent::Gone => return "the link broke".to_owned(),
                    Sent::More => continue,
                    Sent::Last => ShipEvent::Drained,
                },
                said = incoming.next() => match said {
                    None => return "the secondary went away".to_owned(),
                    Some(Err(error)) => return error.to_string(),
                    Some(Ok(said)) => {
                        heard = Instant::now();
                        self.note(&said);
                        ShipEvent::Said(said)
                    }
                },
                moved = grown.changed() => match moved {
                    Ok(()) => ShipEvent::Grew(*grown.borrow_and_update()),
                    Err(_) => return "this node stops".to_owned(),
                },
                _ = tick.tick() => {
                    if heard.elapsed() > SILENCE_MAX {
                        return "the secondary was silent for too long".to_owned();
                    }
                    ShipEvent::Tick
                }
            };
            if let Err(error) = self.take(event) {
                tracing::error!(%error, secondary = self.id, "failed to read the store for a secondary");
                return "the primary failed to read its store".to_owned();
            }
        }
    }

    /// An event and all that follows from it at once.
    fn take(&mut self, event: ShipEvent) -> Result<(), StorageError> {
        let mut events = VecDeque::from([event]);
        let mut actions = Vec::new();
        while let Some(event) = events.pop_front() {
            self.shipper.step(event, &mut actions);
            for action in actions.drain(..) {
                let follows = match action {
                    ShipAction::Send(message) => {
                        failpoint!("shipper-send.before");
                        self.count(&message);
                        self.outbox.push_back(message);
                        None
                    }
                    ShipAction::Beat { echo } => {
                        let beat = self.heartbeat(echo);
                        self.outbox.push_back(beat);
                        None
                    }
                    ShipAction::LookUp(wal) => Some(ShipEvent::Found(self.parts().store.position_at(wal)?)),
                    ShipAction::ReadRecords { after, bytes_max } => Some(ShipEvent::Read(self.read(after, bytes_max)?)),
                    ShipAction::TakeSnapshot => Some(ShipEvent::Snapshot(self.take_snapshot())),
                    ShipAction::DropSnapshot => {
                        self.snapshot = None;
                        None
                    }
                    ShipAction::Compare(theirs) => Some(ShipEvent::Differing(self.compare(&theirs))),
                    ShipAction::SendPage(page) => {
                        self.send_page(page)?;
                        None
                    }
                    ShipAction::Acked(upto) => {
                        self.shared.status.of_secondary(&self.id, |peer| peer.freshness.reach(upto.wal));
                        None
                    }
                    ShipAction::Fence(by) => {
                        self.fence = Some(by);
                        None
                    }
                    ShipAction::Close(why) => {
                        self.closing = Some(why);
                        None
                    }
                };
                events.extend(follows);
            }
        }
        let word = self.shipper.word();
        self.shared.status.of_secondary(&self.id, |peer| peer.word = word);
        Ok(())
    }

    /// Records after exactly this position; `None` if what we keep is another history by now.
    fn read(&self, after: Position, bytes_max: usize) -> Result<Option<Vec<Bytes>>, StorageError> {
        if self.parts().store.position_at(after.wal)? != Some(after) && !bug!(50) {
            return Ok(None);
        }
        self.parts().store.records(after.wal, bytes_max)
    }

    fn take_snapshot(&mut self) -> Position {
        // Pinned first from the start of what is kept: nothing is trimmed between looking and pinning.
        let everything = self.shared.pins.pin(crate::types::WalIndex(0));
        let reader = self.parts().store.reader();
        let position = reader.positions().performance;
        self.snapshot = Some((reader, self.shared.pins.pin(position.wal)));
        drop(everything);
        position
    }

    fn compare(&self, theirs: &[PageSum]) -> Vec<PageId> {
        let begun = Instant::now();
        let Some((reader, _)) = &self.snapshot else { return Vec::new() };
        let ours = reader.pages(Scope::Shared);
        let local = bug!(31).then(|| reader.pages(Scope::Local));
        let has_local = |n: u16| local.as_ref().is_some_and(|sums| sums[usize::from(n)] != PageSum::default());
        let differing: Vec<PageId> =
            (0..=u16::MAX).zip(ours.iter().zip(theirs)).filter(|(n, (a, b))| a != b || has_local(*n)).map(|(n, _)| PageId(n)).collect();
        ::metrics::histogram!(metrics::MERKLE_DIFF).record(begun.elapsed().as_secs_f64() * 1000.0);
        tracing::info!(secondary = self.id, pages = differing.len(), "compared with a secondary");
        differing
    }

    fn send_page(&mut self, page: PageId) -> Result<(), StorageError> {
        let Some((reader, _)) = &self.snapshot else { return Ok(()) };
        let mut part = Vec::new();
        let mut bytes = 0;
        let now = bug!(110).then(|| self.parts().store.reader());
        let reader = now.as_ref().unwrap_or(reader);
        let mut rows = reader.page_rows(Scope::Shared, page)?;
        if bug!(31) {
            rows.extend(reader.page_rows(Scope::Local, page)?);
        }
        for (path, stored) in rows {
            let size = path.len() + stored.value.len();
            if bytes + size > FRAME_BYTES_MAX && !part.is_empty() {
                self.outbox.push_back(FromPrimary::Rows { page, rows: std::mem::take(&mut part), is_last: false });
                bytes = 0;
            }
            bytes += size;
            part.push(((*path).to_owned(), stored.value));
        }
        self.outbox.push_back(FromPrimary::Rows { page, rows: part, is_last: true });
        Ok(())
    }

    fn heartbeat(&mut self, echo: Timestamp) -> FromPrimary {
        let now = self.parts().clock.now();
        let position = *self.shared.feed.position().borrow();
        if echo == Timestamp(0) {
            self.beat = now;
            self.shared.status.of_secondary(&self.id, |peer| peer.freshness.mark(now, position.wal));
        }
        let me = &self.parts().me;
        FromPrimary::Heartbeat {
            now,
            echo,
            position,
            generation: self.parts().store.role().generation(),
            cluster_addrs: self.shared.cluster_addrs(),
            api_addr: me.api_addr.clone(),
            cluster_addr: super::url_of(&me.cluster_addr),
        }
    }

    /// What the status shows of a message that came in.
    fn note(&self, said: &FromSecondary) {
        let now = self.parts().clock.now();
        self.shared.status.of_secondary(&self.id, |peer| match said {
            FromSecondary::Hello { have, api_addr, cluster_addr, .. } => {
                peer.api_addr.clone_from(api_addr);
                peer.cluster_addr = super::url_of(cluster_addr);
                peer.freshness.reach(have.wal);
                peer.last_heartbeat = now;
            }
            FromSecondary::Heartbeat { sent } => {
                peer.last_heartbeat = now;
                peer.heartbeat_ms = now.0.saturating_sub(self.beat.0);
                ::metrics::histogram!(metrics::ECHO).record(f64::from(u32::try_from(peer.heartbeat_ms).unwrap_or(u32::MAX)));
                // It was said halfway between our heartbeat and now, or about.
                peer.skew_ms = sent.0.abs_diff(self.beat.0 + peer.heartbeat_ms / 2);
            }
            _ => peer.last_heartbeat = now,
        });
    }

    fn count(&self, message: &FromPrimary) {
        match message {
            FromPrimary::Streaming { .. } => {
                tracing::info!(secondary = self.id, "streaming records to a secondary");
                ::metrics::counter!(metrics::GUARD_FOUND).increment(1);
            }
            FromPrimary::Records { after, records, .. } => {
                ::metrics::counter!(metrics::RECORDS_SENT).increment(records.len() as u64);
                // What is shipped as it is committed tells the lag between two heartbeats; while older records go out, they must.
                let last = WalIndex(after.wal.0 + records.len() as u64);
                if last >= self.shared.feed.position().borrow().wal {
                    let now = self.parts().clock.now();
                    self.shared.status.of_secondary(&self.id, |peer| peer.freshness.mark(now, last));
                }
            }
            FromPrimary::Resync { why, .. } => {
                tracing::warn!(secondary = self.id, why, "a secondary must compare with a snapshot");
                ::metrics::counter!(metrics::MISSING_GUARD).increment(1);
            }
            _ => {}
        }
    }

    /// Another cluster was promoted meanwhile: this one takes no more shared writes.
    async fn be_fenced(&self, by: Generation) {
        let reader = self.parts().store.reader();
        let Role::Primary { set, generation, fenced_by } = reader.role() else { return };
        if fenced_by.is_some_and(|known| known >= by) {
            return;
        }
        tracing::error!(%generation, %by, "another cluster was promoted: this primary takes no more shared writes");
        let key = self.parts().role_key.clone();
        let Ok(since) = reader.get(&key).map(|stored| stored.map(|stored| stored.revision)) else { return };
        let batch = Batch { guards: vec![Guard::Unchanged { key, since }], at: self.parts().clock.now(), ..Batch::default() };
        let role = Role::Primary { set, generation, fenced_by: Some(by) };
        if let Err(error) = self.parts().raft.propose(&Command::SetRole { role, batch }).await {
            tracing::warn!(%error, "this primary could not be fenced yet");
        }
    }
}

enum Sent {
    Gone,
    More,
    Last,
}

/// Sends the next message once the link takes it. Cancel-safe: nothing is taken before the last await.
async fn send_next(out: &Sender<FromPrimary>, outbox: &mut VecDeque<FromPrimary>) -> Sent {
    if outbox.is_empty() {
        return std::future::pending().await;
    }
    let Ok(permit) = out.reserve().await else { return Sent::Gone };
    if let Some(message) = outbox.pop_front() {
        permit.send(message);
    }
    if outbox.is_empty() { Sent::Last } else { Sent::More }
}
