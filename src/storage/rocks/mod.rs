//! The state on disk, in RocksDB: a column family per scope, one atomic write for the entries of a commit, checkpoints by hard links.
//!
//! Written without RocksDB's own log (see [`Physical`]); all families are flushed together, so that after a crash they stand at one
//! moment. Page sums, positions and role are also held in memory, as an immutable moment that is replaced by each commit, with the
//! RocksDB snapshot that belongs to it. Whoever reads takes the last one, without waiting for the commit under way.
//! Not here: what the bytes mean to the layers above.

mod commit;
mod direct;
mod families;
mod folders;
mod moment;
mod options;
mod pages;
mod reader;
mod recent;
mod records;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use arc_swap::{ArcSwap, Guard};
use bytes::Bytes;
use rocksdb::checkpoint::Checkpoint;

pub use options::RocksOptions;

use super::{Meta, Physical, Reader, RecordsKept, StorageError};
use crate::machine::{Applied, KeyUses, PageId, PageSum, Positions, Role, Stored};
use crate::types::{Key, Position, Scope, WalIndex};
use commit::Gathered;
use families::Family;
use folders::StateFolder;
use moment::Moment;
use reader::RocksReader;

/// A state on disk.
pub struct RocksStore {
    options: RocksOptions,
    /// One commit, trim or install at a time.
    writing: Mutex<()>,
    now: ArcSwap<RocksReader>,
}

impl std::fmt::Debug for RocksStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RocksStore({})", self.options.folder.display())
    }
}

const UNPOISONED: &str = "no holder of this lock panics";

impl RocksStore {
    /// Opens the state in `options.folder`, or makes an empty one.
    ///
    /// # Errors
    /// If the folder cannot be read or written, another process has it open, or its files are damaged.
    pub fn open(options: RocksOptions) -> Result<Self, StorageError> {
        let database = families::open(StateFolder::current(&options.folder)?, &options)?;
        let now = ArcSwap::from_pointee(RocksReader::new(Moment::load(database)?));
        Ok(Self { options, writing: Mutex::default(), now })
    }

    /// The last moment; valid while the guard is held.
    fn now(&self) -> Guard<Arc<RocksReader>> {
        self.now.load()
    }

    fn writing(&self) -> MutexGuard<'_, ()> {
        self.writing.lock().expect(UNPOISONED)
    }

    /// Writes what `gathered` holds, and then makes the moment that it leads to visible.
    fn write(&self, _: &MutexGuard<'_, ()>, gathered: Gathered) -> Result<(), StorageError> {
        let (batch, next) = gathered.finish();
        next.database.db.write_without_wal(batch).map_err(StorageError::rocks("write the state database"))?;
        self.now.store(Arc::new(RocksReader::new(next)));
        Ok(())
    }
}

impl Physical for RocksStore {
    fn reader(&self) -> Arc<dyn Reader> {
        self.now.load_full()
    }
    fn get(&self, key: &Key) -> Result<Option<Stored>, StorageError> {
        self.now().at.database.newest_row(key)
    }
    fn role(&self) -> Role {
        self.now().at.role.clone()
    }
    fn positions(&self) -> Positions {
        self.now().at.positions
    }
    fn key_uses(&self) -> KeyUses {
        self.now().at.key_uses
    }
    fn page(&self, scope: Scope, page: PageId) -> PageSum {
        self.now().at.trees.of(scope).map_or_else(PageSum::default, |pages| pages.get(page))
    }
    fn meta(&self, name: &str) -> Result<Option<Vec<u8>>, StorageError> {
        self.now().at.database.get(Family::Meta, families::meta_key(name))
    }
    fn commit(&self, applied: &[Applied], meta: &Meta) -> Result<(), StorageError> {
        let writing = self.writing();
        let mut gathered = Gathered::on(&self.now().at, commit::room_for(applied));
        applied.iter().for_each(|applied| gathered.add(applied));
        gathered.meta(meta);
        self.write(&writing, gathered)
    }
    fn flush(&self) -> Result<(), StorageError> {
        let now = self.now();
        let db = &now.at.database.db;
        let families = Family::ALL.map(|family| family.handle(db));
        failpoint!("page-flush.before", StorageError::Corrupt("told to fail"));
        let flushed =
            db.flush_cfs_opt(&families, &rocksdb::FlushOptions::default()).map_err(StorageError::rocks("flush the state database"));
        failpoint!("page-flush.after");
        flushed
    }
    fn records(&self, after: WalIndex, bytes_max: usize) -> Result<Option<Vec<Bytes>>, StorageError> {
        records::read(&self.now().at, after, bytes_max)
    }
    fn position_at(&self, wal: WalIndex) -> Result<Option<Position>, StorageError> {
        records::position_at(&self.now().at, wal)
    }
    fn records_kept(&self) -> RecordsKept {
        self.now().at.kept
    }
    fn trim_records(&self, upto: WalIndex) -> Result<(), StorageError> {
        let writing = self.writing();
        let now = self.now();
        let Some((position, bytes)) = records::measure(&now.at, upto)? else { return Ok(()) };
        let mut gathered = Gathered::on(&now.at, 0);
        gathered.trim(position, bytes);
        self.write(&writing, gathered)
    }
    fn checkpoint(&self, into: &Path) -> Result<(), StorageError> {
        let action = "make a checkpoint of the state";
        // Flushes first, all families at one moment: there is no log to copy.
        let now = self.now();
        let log_bytes = if bug!(7) { u64::MAX } else { 0 };
        let taken = Checkpoint::new(&now.at.database.db).and_then(|checkpoint| checkpoint.create_checkpoint_with_log_size(into, log_bytes));
        taken.map_err(StorageError::rocks(action))
    }
    fn install(&self, from: &Path) -> Result<(), StorageError> {
        let _writing = self.writing();
        let before = self.now.load_full();
        if !from.join("CURRENT").is_file() {
            return Err(StorageError::Corrupt("a checkpoint without its file CURRENT"));
        }
        let folder = &before.at.database.folder;
        let database = families::open(folder.moved_from(from)?, &self.options)?;
        self.now.store(Arc::new(RocksReader::new(Moment::load(database)?)));
        folder.replaced();
        Ok(())
    }
}
