//! The state as a node holds it: in memory, with every commit shown to the invariants before it is made.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use coffer::machine::{Applied, KeyUses, PageId, PageSum, Positions, Role, Stored};
use coffer::storage::{MemStore, Meta, Physical, Reader, RecordsKept, StorageError};
use coffer::types::{Key, Position, Scope, WalIndex};

use crate::net::HostId;
use crate::trace;
use crate::world::World;

/// A host's state, while its node runs.
pub struct SimStore {
    store: Arc<MemStore>,
    world: Arc<World>,
    host: HostId,
}

impl SimStore {
    /// `store`, as the node on `host` writes it.
    pub fn new(store: Arc<MemStore>, world: Arc<World>, host: HostId) -> Self {
        Self { store, world, host }
    }
}

impl Physical for SimStore {
    fn reader(&self) -> Arc<dyn Reader> {
        self.store.reader()
    }
    fn get(&self, key: &Key) -> Result<Option<Stored>, StorageError> {
        self.store.get(key)
    }
    fn role(&self) -> Role {
        self.store.role()
    }
    fn positions(&self) -> Positions {
        self.store.positions()
    }
    fn key_uses(&self) -> KeyUses {
        self.store.key_uses()
    }
    fn page(&self, scope: Scope, page: PageId) -> PageSum {
        self.store.page(scope, page)
    }
    fn meta(&self, name: &str) -> Result<Option<Vec<u8>>, StorageError> {
        self.store.meta(name)
    }
    fn commit(&self, applied: &[Applied], meta: &Meta) -> Result<(), StorageError> {
        for entry in applied {
            // Not the hash of the history: keys that the TLS library makes are in it, and those are its own.
            trace::line(format_args!("applied {} {} rows, at {}", entry.at, entry.rows.len(), entry.positions.performance.wal));
        }
        if let Some(last) = applied.last() {
            let cluster = self.world.slot(self.host).cluster;
            self.world.reached[cluster].fetch_max(last.positions.performance.wal.0, Ordering::Relaxed);
        }
        let wrong = self.world.invariants.lock().expect("no holder of this lock panics").committed(self.host, &self.store, applied);
        for why in wrong {
            self.world.fail(why);
        }
        self.store.commit(applied, meta)
    }
    fn flush(&self) -> Result<(), StorageError> {
        self.store.flush()
    }
    fn records(&self, after: WalIndex, bytes_max: usize) -> Result<Option<Vec<Bytes>>, StorageError> {
        self.store.records(after, bytes_max)
    }
    fn position_at(&self, wal: WalIndex) -> Result<Option<Position>, StorageError> {
        self.store.position_at(wal)
    }
    fn records_kept(&self) -> RecordsKept {
        self.store.records_kept()
    }
    fn trim_records(&self, upto: WalIndex) -> Result<(), StorageError> {
        self.store.trim_records(upto)
    }
    fn checkpoint(&self, into: &Path) -> Result<(), StorageError> {
        self.store.checkpoint(into)
    }
    fn install(&self, from: &Path) -> Result<(), StorageError> {
        self.store.install(from)?;
        trace::line(format_args!("installed a state at {}", self.store.positions().performance.wal));
        Ok(())
    }
}
