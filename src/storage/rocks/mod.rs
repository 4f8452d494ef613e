//! The state on disk, in RocksDB: a column family per scope, one atomic write for the entries of a commit, checkpoints by hard links.
//!
//! Written without RocksDB's own log (see [`Physical`]); all families are flushed together, so that after a crash they stand at one
//! moment. Page sums, positions and role are also held in memory, as an immutable moment that is replaced by each commit; a reader
//! holds a RocksDB snapshot and the moment that belong together.
//! Not here: what the bytes mean to the layers above.

mod commit;
mod families;
mod folders;
mod moment;
mod options;
mod pages;
mod reader;
mod records;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use rocksdb::WriteBatch;
use rocksdb::checkpoint::Checkpoint;

pub use options::RocksOptions;

use super::{Meta, Physical, Reader, RecordsKept, StorageError};
use crate::machine::{Applied, KeyUses, PageId, PageSum, Positions, Role, Stored};
use crate::types::{Key, Position, Scope, WalIndex};
use commit::Gathered;
use families::{Database, Family};
use folders::StateFolder;
use moment::Moment;
use reader::RocksReader;

/// A state on disk.
pub struct RocksStore {
    options: RocksOptions,
    /// One commit, trim or install at a time.
    writing: Mutex<()>,
    /// Held only while a prepared write and its moment become visible, and while a reader takes both.
    now: Mutex<Arc<Moment>>,
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
        let folder = StateFolder::current(&options.folder)?;
        let db = families::open(&folder.path(), &options)?;
        folder.point_here()?;
        let moment = Moment::load(Arc::new(Database { db, folder }))?;
        Ok(Self { options, writing: Mutex::new(()), now: Mutex::new(Arc::new(moment)) })
    }

    fn now(&self) -> Arc<Moment> {
        self.now.lock().expect(UNPOISONED).clone()
    }

    fn writing(&self) -> MutexGuard<'_, ()> {
        self.writing.lock().expect(UNPOISONED)
    }

    /// Makes a prepared write and its moment visible together.
    fn publish(&self, batch: WriteBatch, next: Moment) -> Result<(), StorageError> {
        let next = Arc::new(next);
        let mut now = self.now.lock().expect(UNPOISONED);
        next.database.db.write_without_wal(batch).map_err(StorageError::rocks("write the state database"))?;
        *now = next;
        Ok(())
    }
}

impl Physical for RocksStore {
    fn reader(&self) -> Arc<dyn Reader> {
        let now = self.now.lock().expect(UNPOISONED);
        Arc::new(RocksReader::new(now.clone()))
    }
    fn get(&self, key: &Key) -> Result<Option<Stored>, StorageError> {
        self.now().database.row(key)
    }
    fn role(&self) -> Role {
        self.now().role.clone()
    }
    fn positions(&self) -> Positions {
        self.now().positions
    }
    fn key_uses(&self) -> KeyUses {
        self.now().key_uses
    }
    fn page(&self, scope: Scope, page: PageId) -> PageSum {
        self.now().trees.of(scope).map_or_else(PageSum::default, |pages| pages.get(page))
    }
    fn meta(&self, name: &str) -> Result<Option<Vec<u8>>, StorageError> {
        self.now().database.get(Family::Meta, families::meta_key(name))
    }
    fn commit(&self, applied: &[Applied], meta: &Meta) -> Result<(), StorageError> {
        let _writing = self.writing();
        let mut gathered = Gathered::on(&self.now());
        applied.iter().for_each(|applied| gathered.add(applied));
        gathered.meta(meta);
        let (batch, next) = gathered.finish();
        self.publish(batch, next)
    }
    fn flush(&self) -> Result<(), StorageError> {
        let now = self.now();
        let db = &now.database.db;
        let families = Family::ALL.map(|family| family.handle(db));
        failpoint!("page-flush.before", StorageError::Corrupt("told to fail"));
        let flushed =
            db.flush_cfs_opt(&families, &rocksdb::FlushOptions::default()).map_err(StorageError::rocks("flush the state database"));
        failpoint!("page-flush.after");
        flushed
    }
    fn records(&self, after: WalIndex, bytes_max: usize) -> Result<Option<Vec<Bytes>>, StorageError> {
        records::read(&self.now(), after, bytes_max)
    }
    fn position_at(&self, wal: WalIndex) -> Result<Option<Position>, StorageError> {
        records::position_at(&self.now(), wal)
    }
    fn records_kept(&self) -> RecordsKept {
        self.now().kept
    }
    fn trim_records(&self, upto: WalIndex) -> Result<(), StorageError> {
        let _writing = self.writing();
        let now = self.now();
        let Some((position, bytes)) = records::measure(&now, upto)? else { return Ok(()) };
        let mut gathered = Gathered::on(&now);
        gathered.trim(position, bytes);
        let (batch, next) = gathered.finish();
        self.publish(batch, next)
    }
    fn checkpoint(&self, into: &Path) -> Result<(), StorageError> {
        let action = "make a checkpoint of the state";
        // Flushes first, all families at one moment: there is no log to copy.
        let now = self.now();
        let log_bytes = if bug!(7) { u64::MAX } else { 0 };
        let taken = Checkpoint::new(&now.database.db).and_then(|checkpoint| checkpoint.create_checkpoint_with_log_size(into, log_bytes));
        taken.map_err(StorageError::rocks(action))
    }
    fn install(&self, from: &Path) -> Result<(), StorageError> {
        let _writing = self.writing();
        let before = self.now();
        if !from.join("CURRENT").is_file() {
            return Err(StorageError::Corrupt("a checkpoint without its file CURRENT"));
        }
        let folder = before.database.folder.moved_from(from)?;
        let db = families::open(&folder.path(), &self.options)?;
        folder.point_here()?;
        let next = Moment::load(Arc::new(Database { db, folder }))?;
        *self.now.lock().expect(UNPOISONED) = Arc::new(next);
        before.database.folder.replaced();
        Ok(())
    }
}
