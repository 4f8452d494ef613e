//! The column families and the bytes of their keys and values.
//!
//! | family | key | value |
//! | --- | --- | --- |
//! | `shared` `local` `node` | path | version, revision, ciphertext |
//! | `meta` | `s/` and our name, or `m/` and the name of the layer above | |
//! | `tree` | see `pages` | |
//! | `page_index` | scope, page, path | nothing |
//! | `wal` | number of the record | version, history hash up to and with it, record |
//!
//! Paths are UTF-8, which has no byte `0xFF`: so `0xFF` ends every range.

use std::sync::Arc;

use bytes::Bytes;
use rocksdb::{Cache, ColumnFamily, ColumnFamilyDescriptor, DB};

use super::RocksOptions;
use super::folders::StateFolder;
use super::options;
use super::recent::Recent;
use crate::machine::{PageId, Stored};
use crate::storage::StorageError;
use crate::types::{HistoryHash, Key, Position, Revision, Scope, WalIndex};

/// Greater than every key of every family.
pub(super) const END: [u8; 9] = [0xFF; 9];

const ROW_VERSION: u8 = 1;
const RECORD_VERSION: u8 = 1;

/// A column family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    Shared,
    Local,
    Node,
    Meta,
    Tree,
    PageIndex,
    Wal,
}

impl Family {
    pub(super) const ALL: [Self; 7] = [Self::Shared, Self::Local, Self::Node, Self::Meta, Self::Tree, Self::PageIndex, Self::Wal];

    fn name(self) -> &'static str {
        match self {
            Self::Shared => "shared",
            Self::Local => "local",
            Self::Node => "node",
            Self::Meta => "meta",
            Self::Tree => "tree",
            Self::PageIndex => "page_index",
            Self::Wal => "wal",
        }
    }

    /// The family of a scope's rows.
    pub(super) fn of(scope: Scope) -> Self {
        match scope {
            Scope::Shared => Self::Shared,
            Scope::Local => Self::Local,
            Scope::Node => Self::Node,
        }
    }

    /// Its handle.
    pub(super) fn handle(self, db: &DB) -> &ColumnFamily {
        db.cf_handle(self.name()).expect("every family was made when the database was opened")
    }
}

/// Opens the database in `folder`, with all families.
pub(super) fn open(folder: StateFolder, options: &RocksOptions) -> Result<Shared, StorageError> {
    let cache = Cache::new_lru_cache(options.cache_bytes);
    let stagger = options::stagger(options);
    let families = Family::ALL.map(|family| ColumnFamilyDescriptor::new(family.name(), options::family(options, &cache, stagger)));
    let db = DB::open_cf_descriptors(&options::database(options), folder.path(), families);
    let db = db.map_err(StorageError::rocks("open the state database"))?;
    folder.point_here()?;
    Ok(Arc::new(Database { db, folder, recent: Recent::with_room_for(options.recent_bytes) }))
}

/// The value of a row.
pub(super) fn row_out(revision: Revision, ciphertext: &[u8]) -> Vec<u8> {
    let mut row = Vec::with_capacity(9 + ciphertext.len());
    row.push(ROW_VERSION);
    row.extend_from_slice(&revision.0.to_be_bytes());
    row.extend_from_slice(ciphertext);
    row
}

/// Reads what [`row_out`] made.
pub(super) fn row_in(row: Bytes) -> Result<Stored, StorageError> {
    match row.split_first_chunk::<9>() {
        Some(([ROW_VERSION, revision @ ..], _)) => Ok(Stored { revision: Revision(u64::from_be_bytes(*revision)), value: row.slice(9..) }),
        _ => Err(StorageError::Corrupt("a row")),
    }
}

/// A path out of a key.
pub(super) fn path_in(key: &[u8]) -> Result<&str, StorageError> {
    std::str::from_utf8(key).map_err(|_| StorageError::Corrupt("a path"))
}

/// The prefix of a page's index rows.
pub(super) fn page_key(scope: Scope, page: PageId) -> [u8; 3] {
    let [high, low] = page.0.to_be_bytes();
    [scope as u8, high, low]
}

/// The key that says that `page` covers the row at `path`.
pub(super) fn index_key(scope: Scope, page: PageId, path: &str) -> Vec<u8> {
    [&page_key(scope, page), path.as_bytes()].concat()
}

/// The value of a kept record.
pub(super) fn record_out(history: HistoryHash, record: &[u8]) -> Vec<u8> {
    let mut row = Vec::with_capacity(33 + record.len());
    row.push(RECORD_VERSION);
    row.extend_from_slice(&history.0);
    row.extend_from_slice(record);
    row
}

/// Reads what [`record_out`] made: the history up to and with the record, and the record.
pub(super) fn record_in(row: Vec<u8>) -> Result<(HistoryHash, Bytes), StorageError> {
    let row = Bytes::from(row);
    match row.split_first_chunk::<33>() {
        Some(([RECORD_VERSION, history @ ..], _)) => Ok((HistoryHash(*history), row.slice(33..))),
        _ => Err(StorageError::Corrupt("a kept record")),
    }
}

/// The key of a kept record.
pub(super) fn wal_key(wal: WalIndex) -> [u8; 8] {
    wal.0.to_be_bytes()
}

/// Reads a record's number.
pub(super) fn wal_in(key: &[u8]) -> Result<WalIndex, StorageError> {
    Ok(WalIndex(u64::from_be_bytes(key.try_into().map_err(|_| StorageError::Corrupt("the number of a record"))?)))
}

/// A position in 40 bytes.
pub(super) fn position_out(position: Position) -> [u8; 40] {
    let mut out = [0; 40];
    out[..8].copy_from_slice(&position.wal.0.to_be_bytes());
    out[8..].copy_from_slice(&position.history.0);
    out
}

/// Reads what [`position_out`] made.
pub(super) fn position_in(bytes: &[u8]) -> Result<Position, StorageError> {
    let bytes: &[u8; 40] = bytes.try_into().map_err(|_| StorageError::Corrupt("a position"))?;
    let (wal, history) = bytes.split_at(8);
    Ok(Position { wal: wal_in(wal)?, history: HistoryHash(history.try_into().map_err(|_| StorageError::Corrupt("a position"))?) })
}

/// The key of bytes of the layer above.
pub(super) fn meta_key(name: &str) -> Vec<u8> {
    format!("m/{name}").into_bytes()
}

/// A database and its folder, which is removed with it once another state took its place.
pub(super) struct Database {
    // Dropped first: closes the files.
    pub(super) db: DB,
    pub(super) folder: StateFolder,
    pub(super) recent: Recent,
}

impl Database {
    pub(super) fn get(&self, family: Family, key: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>, StorageError> {
        self.db.get_cf(family.handle(&self.db), key).map_err(StorageError::rocks("read the state database"))
    }

    /// The newest row at `key`, for the thread that commits: it keeps what it reads for those who come after it.
    pub(super) fn newest_row(&self, key: &Key) -> Result<Option<Stored>, StorageError> {
        if let Some(known) = self.recent.at(key, Revision(u64::MAX))? {
            return Ok(known);
        }
        let row = self.db.get_pinned_cf(Family::of(key.scope).handle(&self.db), key.path.as_bytes());
        let Some(row) = row.map_err(StorageError::rocks("read the state database"))? else { return Ok(None) };
        let row = Bytes::copy_from_slice(&row);
        let stored = row_in(row.clone())?;
        self.recent.read(key, stored.revision, row);
        Ok(Some(stored))
    }
}

/// A database that is shared by the store and the readers of its moments.
pub(super) type Shared = Arc<Database>;
