//! openraft's state machine: committed entries through `machine::apply` into the store, one write a batch.
//!
//! The applied log id and the membership are stored in the same write as the rows, so that a state always knows which moment it
//! is. An entry that cannot be read or written ends the process: a node that skips one is wrong for ever.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use futures::{Stream, StreamExt};
use openraft::storage::{ApplyResponder, EntryResponder, RaftStateMachine};
use openraft::{EntryPayload, OptionalSend, RaftSnapshotBuilder};

use super::Observer;
use super::entry::{get_log_id, put_log_id};
use super::fatal::stop_process;
use super::metrics;
use super::snapshot::{Files, Shelf, Shelved};
use super::types::{Answer, Entry, LogId, Membership, Snapshot, SnapshotMeta, Types};
use crate::machine::{Stage, decode_command};
use crate::pool::off_thread;
use crate::storage::{Meta, Physical, PhysicalView};
use crate::types::Index;

const APPLIED: &str = "raft.applied";
const MEMBERSHIP: &str = "raft.membership";

/// Most entries of one write to the store.
const BATCH_ENTRIES: usize = 512;

/// The state machine that openraft drives.
pub struct StateMachine {
    store: Arc<dyn Physical>,
    observer: Arc<dyn Observer>,
    shelf: Arc<Shelf>,
    applied: Option<LogId>,
    membership: Membership,
}

/// How far the state in `store` reaches, and the members at that moment.
///
/// # Errors
/// If it cannot be read.
pub fn stored_state(store: &dyn Physical) -> io::Result<(Option<LogId>, Membership)> {
    let applied = match store.meta(APPLIED).map_err(io::Error::other)? {
        Some(bytes) => Some(get_log_id(&mut bytes.into()).map_err(io::Error::other)?),
        None => None,
    };
    let membership = match store.meta(MEMBERSHIP).map_err(io::Error::other)? {
        Some(bytes) => serde_json::from_slice(&bytes)?,
        None => Membership::default(),
    };
    Ok((applied, membership))
}

impl StateMachine {
    /// Takes up the state where it stands.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn open(store: Arc<dyn Physical>, observer: Arc<dyn Observer>, shelf: Arc<Shelf>) -> io::Result<Self> {
        let (applied, membership) = stored_state(&*store)?;
        Ok(Self { store, observer, shelf, applied, membership })
    }

    fn apply_batch(&mut self, batch: &mut Vec<(Entry, Option<ApplyResponder<Types>>)>) {
        let began = Instant::now();
        let view = PhysicalView(&*self.store);
        let mut stage = Stage::new(&view);
        let mut membership = None;
        let mut commands = Vec::with_capacity(batch.len());
        for (entry, _) in &*batch {
            let is_command = match &entry.payload {
                EntryPayload::Blank => false,
                EntryPayload::Membership(members) => {
                    membership = Some(Membership::new(Some(entry.log_id), members.clone()));
                    false
                }
                EntryPayload::Normal(_) if bug!(9) && self.follows_snapshot(entry.log_id.index) => false,
                EntryPayload::Normal(payload) => {
                    let command = decode_command(&payload.0).unwrap_or_else(|error| stop_process("decode a committed entry", &error));
                    let applied = stage.apply(Index(entry.log_id.index), &command);
                    if let Err(error) = applied {
                        stop_process("apply a committed entry", &error);
                    }
                    true
                }
            };
            commands.push(is_command);
        }
        let Some(last) = batch.last().map(|(entry, _)| entry.log_id) else { return };
        let applied = stage.into_applied();
        // As if the place were written before the rows that belong to it.
        let place = self.applied.filter(|_| bug!(8)).unwrap_or(last);
        let meta = meta_of(&place, membership.as_ref().filter(|_| !bug!(85)));
        failpoint!("apply-batch.before");
        failpoint!("wipe.begin", if applied.iter().any(|applied| applied.wipe));
        failpoint!("bootstrap-commit.before", if applied.iter().any(|applied| applied.forget_records && !applied.wipe));
        self.store.commit(&applied, &meta).unwrap_or_else(|error| stop_process("write the state", &error));
        failpoint!("wipe.end", if applied.iter().any(|applied| applied.wipe));
        failpoint!("bootstrap-commit.after", if applied.iter().any(|applied| applied.forget_records && !applied.wipe));
        failpoint!("apply-batch.after");
        self.applied = Some(last);
        if let Some(membership) = membership {
            self.membership = membership;
        }
        let untold = if bug!(92) { applied.len().saturating_sub(1) } else { 0 };
        for applied in &applied[untold..] {
            self.observer.applied(applied);
        }
        let mut outcomes = applied.into_iter().map(|applied| applied.outcome);
        metrics::applied(began.elapsed(), batch.len());
        for ((_, responder), is_command) in batch.drain(..).zip(commands) {
            let outcome = match is_command {
                true if bug!(91) => outcomes.next_back(),
                true => outcomes.next(),
                false => None,
            };
            if let Some(responder) = responder {
                responder.send(Answer { outcome });
            }
        }
    }

    /// Whether this entry is the first after the snapshot on the shelf.
    fn follows_snapshot(&self, index: u64) -> bool {
        let covered = self.shelf.current().and_then(|snapshot| snapshot.meta.last_log_id);
        covered.is_some_and(|last| last.index + 1 == index)
    }

    /// A snapshot of this moment, and the one before it. Entries wait for it: the caller has flushed before, so that little is left to write.
    ///
    /// # Errors
    /// If it cannot be written.
    pub async fn take(&self) -> io::Result<(Snapshot, Option<Arc<Shelved>>)> {
        let began = Instant::now();
        let last_membership = if bug!(90) { Membership::default() } else { self.membership.clone() };
        let meta = SnapshotMeta { last_log_id: self.applied, last_membership };
        let (shelf, store) = (self.shelf.clone(), self.store.clone());
        let taken = off_thread(move || shelf.take(&*store, meta)).await.map_err(io::Error::other)?;
        metrics::snapshot_taken(began.elapsed());
        taken
    }
}

fn meta_of(applied: &LogId, membership: Option<&Membership>) -> Meta {
    let mut id = Vec::with_capacity(24);
    put_log_id(&mut id, applied);
    let mut meta = vec![(APPLIED, id)];
    if let Some(membership) = membership {
        meta.push((MEMBERSHIP, serde_json::to_vec(membership).expect("a membership is plain maps of numbers and texts")));
    }
    meta
}

impl RaftStateMachine<Types> for StateMachine {
    type SnapshotData = Files;
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, Membership)> {
        Ok((self.applied, self.membership.clone()))
    }

    async fn apply<Strm>(&mut self, entries: Strm) -> io::Result<()>
    where
        Strm: Stream<Item = io::Result<EntryResponder<Types>>> + Unpin + OptionalSend,
    {
        let mut chunks = pin!(entries.ready_chunks(BATCH_ENTRIES));
        let mut batch = Vec::new();
        while let Some(chunk) = chunks.next().await {
            for entry in chunk {
                batch.push(entry.unwrap_or_else(|error| stop_process("read a committed entry", &error)));
            }
            #[cfg(feature = "sim")]
            crate::chaos::linger("apply").await;
            self.apply_batch(&mut batch);
        }
        Ok(())
    }

    async fn try_create_snapshot_builder(&mut self, force: bool) -> Option<Builder> {
        match self.take().await {
            Ok((snapshot, before)) => Some(Builder { taken: Some(snapshot), before }),
            Err(error) => {
                tracing::warn!(%error, "no snapshot could be taken; the log is kept");
                force.then_some(Builder { taken: None, before: None })
            }
        }
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        let (taken, before) = self.take().await.ok().unzip();
        Builder { taken, before: before.flatten() }
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, files: Files) -> io::Result<()> {
        let began = Instant::now();
        let (shelf, store, meta) = (self.shelf.clone(), self.store.clone(), meta.clone());
        let installed = off_thread(move || -> io::Result<SnapshotMeta> {
            store.install(&shelf.movable(&files)?).map_err(io::Error::other)?;
            if stored_state(&*store)? != (meta.last_log_id, meta.last_membership.clone()) {
                return Err(io::Error::other("the snapshot is of another moment than its head says"));
            }
            store.flush().map_err(io::Error::other)?;
            // So that this node can hand it on at once.
            shelf.take(&*store, meta.clone())?;
            Ok(meta)
        });
        let meta = match installed.await {
            Ok(Ok(meta)) => meta,
            Ok(Err(error)) => stop_process("install a snapshot", &error),
            Err(error) => stop_process("install a snapshot", &error),
        };
        self.applied = meta.last_log_id;
        self.membership = meta.last_membership;
        metrics::restored(began.elapsed());
        tracing::info!(applied = ?self.applied, "a snapshot of the leader was installed");
        if !bug!(46) {
            self.observer.replaced();
        }
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<Snapshot>> {
        Ok(self.shelf.current())
    }
}

/// Hands out the snapshot that was taken when it was made.
pub struct Builder {
    taken: Option<Snapshot>,
    before: Option<Arc<Shelved>>,
}

impl RaftSnapshotBuilder<Types> for Builder {
    type SnapshotData = Files;

    async fn build_snapshot(&mut self) -> io::Result<Snapshot> {
        // Entries are applied meanwhile.
        let before = self.before.take();
        let _ = off_thread(move || drop(before)).await;
        self.taken.take().ok_or_else(|| io::Error::other("no snapshot could be taken"))
    }
}
