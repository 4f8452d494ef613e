//! The state in memory: for tests and simulation. Same contract as on disk; what is durable is kept beside what is.
//!
//! Commits since the last flush are pending. A crash ([`MemStore::crash`]) keeps the first few of them, as a disk would: commits
//! become durable in order, each whole or not at all. Not here: a state that outlives the process (`rocks`).

mod checkpoint;
mod moment;

use std::collections::VecDeque;
use std::fs;
use std::path::Path;
use std::sync::{Arc, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bytes::Bytes;

use super::{Meta, Physical, Reader, RecordsKept, StorageError};
use crate::machine::{Applied, KeyUses, PageId, PageSum, Positions, Role, Stored};
use crate::types::{Key, Position, Scope, WalIndex};
use moment::Moment;

/// The file of a checkpoint.
const CHECKPOINT: &str = "moment";

/// A change that is not durable yet.
enum Pending {
    Commit(Vec<Applied>, Meta),
    Trim(WalIndex),
}

impl Pending {
    fn carry_out(&self, moment: &mut Moment) {
        match self {
            Self::Commit(applied, meta) => moment.take(applied, meta),
            Self::Trim(upto) => moment.trim(*upto),
        }
    }
}

struct State {
    now: Arc<Moment>,
    durable: Moment,
    pending: VecDeque<Pending>,
}

/// A state in memory.
pub struct MemStore(RwLock<State>);

impl Default for MemStore {
    fn default() -> Self {
        Self::new()
    }
}

impl MemStore {
    /// An empty state.
    pub fn new() -> Self {
        Self(RwLock::new(State { now: Arc::new(Moment::new()), durable: Moment::new(), pending: VecDeque::new() }))
    }

    /// How many changes a crash would lose at most.
    pub fn pending(&self) -> usize {
        self.0.read().expect("no holder of this lock panics").pending.len()
    }

    /// What a crash leaves that happens when the disk has reached the first `kept` of the pending changes.
    #[must_use]
    pub fn crash(&self, kept: usize) -> Self {
        let state = self.0.read().expect("no holder of this lock panics");
        let mut durable = state.durable.clone();
        state.pending.iter().take(kept).for_each(|change| change.carry_out(&mut durable));
        Self(RwLock::new(State { now: Arc::new(durable.clone()), durable, pending: VecDeque::new() }))
    }

    /// The sums of the pages that are not empty, of the tree over `scope`: what a simulation compares with every commit.
    #[cfg(any(test, feature = "sim"))]
    pub fn sums(&self, scope: Scope) -> Vec<(PageId, PageSum)> {
        let state = self.state();
        let within = state.now.pages.range((scope, PageId(0))..=(scope, PageId(u16::MAX)));
        within.map(|((_, page), sum)| (*page, *sum)).collect()
    }

    fn now(&self) -> Arc<Moment> {
        self.state().now.clone()
    }

    fn state(&self) -> RwLockReadGuard<'_, State> {
        self.0.read().expect("no holder of this lock panics")
    }

    fn change(&self, change: Pending) {
        let mut state = self.state_mut();
        change.carry_out(Arc::make_mut(&mut state.now));
        state.pending.push_back(change);
    }

    fn state_mut(&self) -> RwLockWriteGuard<'_, State> {
        self.0.write().expect("no holder of this lock panics")
    }
}

impl Physical for MemStore {
    fn reader(&self) -> Arc<dyn Reader> {
        self.now()
    }
    fn get(&self, key: &Key) -> Result<Option<Stored>, StorageError> {
        self.state().now.get(key)
    }
    fn role(&self) -> Role {
        self.state().now.role.clone()
    }
    fn positions(&self) -> Positions {
        self.state().now.positions
    }
    fn key_uses(&self) -> KeyUses {
        self.state().now.key_uses
    }
    fn page(&self, scope: Scope, page: PageId) -> PageSum {
        self.state().now.pages.get(&(scope, page)).copied().unwrap_or_default()
    }
    fn meta(&self, name: &str) -> Result<Option<Vec<u8>>, StorageError> {
        Ok(self.state().now.meta.get(name).cloned())
    }
    fn commit(&self, applied: &[Applied], meta: &Meta) -> Result<(), StorageError> {
        self.change(Pending::Commit(applied.to_vec(), meta.clone()));
        Ok(())
    }
    fn flush(&self) -> Result<(), StorageError> {
        let mut state = self.state_mut();
        let State { durable, pending, .. } = &mut *state;
        pending.drain(..).for_each(|change| change.carry_out(durable));
        Ok(())
    }
    fn records(&self, after: WalIndex, bytes_max: usize) -> Result<Option<Vec<Bytes>>, StorageError> {
        if self.position_at(after)?.is_none() {
            return Ok(None);
        }
        let state = self.state();
        let moment = &state.now;
        let mut records: Vec<Bytes> = Vec::new();
        let mut bytes = 0;
        for (record, _) in moment.records.range(after.next()..).map(|(_, kept)| kept) {
            bytes += record.len();
            if bytes > bytes_max && !records.is_empty() {
                break;
            }
            records.push(record.clone());
        }
        Ok(Some(records))
    }
    fn position_at(&self, wal: WalIndex) -> Result<Option<Position>, StorageError> {
        let state = self.state();
        let moment = &state.now;
        if wal == moment.records_after.wal {
            return Ok(Some(moment.records_after));
        }
        Ok(moment.records.get(&wal).map(|(_, position)| *position))
    }
    fn records_kept(&self) -> RecordsKept {
        let state = self.state();
        let moment = &state.now;
        let first = moment.records.first_key_value().map_or(WalIndex(0), |(wal, _)| *wal);
        let last = moment.records.last_key_value().map_or(WalIndex(0), |(wal, _)| *wal);
        RecordsKept { first, last, bytes: moment.records.values().map(|(record, _)| record.len() as u64).sum() }
    }
    fn trim_records(&self, upto: WalIndex) -> Result<(), StorageError> {
        self.change(Pending::Trim(upto));
        Ok(())
    }
    fn checkpoint(&self, into: &Path) -> Result<(), StorageError> {
        fs::create_dir(into).map_err(StorageError::io("make the folder of a checkpoint"))?;
        let moment = if bug!(7) { Arc::new(self.state().durable.clone()) } else { self.now() };
        fs::write(into.join(CHECKPOINT), checkpoint::encode(&moment)).map_err(StorageError::io("write a checkpoint"))
    }
    fn install(&self, from: &Path) -> Result<(), StorageError> {
        let bytes = fs::read(from.join(CHECKPOINT)).map_err(StorageError::io("read a checkpoint"))?;
        let moment = checkpoint::decode(bytes.into())?;
        *self.state_mut() = State { now: Arc::new(moment.clone()), durable: moment, pending: VecDeque::new() };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::{Batch, Command, Op, Stage};
    use crate::storage::PhysicalView;
    use crate::types::Index;

    fn write(store: &MemStore, at: u64) {
        let op = Op::Put { key: Key::shared(format!("k{at}")), value: Bytes::from_static(b"v") };
        let view = PhysicalView(store);
        let mut stage = Stage::new(&view);
        stage.apply(Index(at), &Command::Write(Batch { ops: vec![op], ..Batch::default() })).unwrap();
        store.commit(&stage.into_applied(), &vec![("at", vec![u8::try_from(at).unwrap()])]).unwrap();
    }

    #[test]
    fn a_crash_keeps_what_was_flushed_and_the_first_of_the_rest() {
        let store = MemStore::new();
        (1..=3).for_each(|at| write(&store, at));
        store.flush().unwrap();
        (4..=6).for_each(|at| write(&store, at));
        assert_eq!(store.pending(), 3);
        for kept in 0..=3_u8 {
            let after = store.crash(kept.into());
            assert_eq!(after.meta("at").unwrap(), Some(vec![3 + kept]));
            assert_eq!(after.positions().dr.0, u64::from(3 + kept));
            assert_eq!(after.pending(), 0);
        }
    }

    #[test]
    fn an_installed_checkpoint_is_the_state_it_was_made_of_and_durable() {
        let (store, folder) = (MemStore::new(), tempfile::tempdir().unwrap());
        (1..=3).for_each(|at| write(&store, at));
        store.checkpoint(&folder.path().join("c")).unwrap();
        let other = MemStore::new();
        write(&other, 9);
        other.install(&folder.path().join("c")).unwrap();
        let after = other.crash(0);
        assert_eq!(after.positions(), store.positions());
        assert_eq!(after.now(), store.now());
        assert!(store.checkpoint(&folder.path().join("c")).is_err(), "the folder exists");
    }
}
