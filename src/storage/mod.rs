//! Ciphertext at rest: rows by scope, the trees over them, the records kept for secondaries; one atomic write an entry.
//!
//! The state is written without a log of its own: the Raft log *is* its log. After a crash the state stands at an earlier applied
//! index, and the log replays it forward. So a commit need not be durable when it returns, but it must be atomic, and commits must
//! become durable in order; [`Physical::flush`] makes all so far durable, and only then may the Raft log be purged up to there.
//!
//! Synchronous on purpose: reads take microseconds. Scans and checkpoints belong on the blocking pool.
//! Not here: plaintext (`barrier`), order (`raft`), what entries mean (`machine`).

#[cfg(test)]
mod contract;
mod error;
mod mem;
mod rocks;

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

pub use error::StorageError;
pub use mem::MemStore;
pub use rocks::{RocksOptions, RocksStore};

use crate::machine::{Applied, KeyUses, PageId, PageSum, Positions, Role, Stored, View};
use crate::types::{Key, Position, Prefix, Scope, WalIndex};

/// One consistent moment of the state, for as long as it is held.
///
/// Keep it short: it keeps old versions of rows from being collected.
pub trait Reader: Send + Sync {
    /// The row at `key`.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn get(&self, key: &Key) -> Result<Option<Stored>, StorageError>;
    /// Paths under `under` in byte order, those after `after` only, at most `limit`.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn list(&self, under: &Prefix, after: Option<&str>, limit: usize) -> Result<Vec<Arc<str>>, StorageError>;
    /// The names directly below `under` (which ends in `/` or is empty) in byte order: `a` for a row, `b/` for a folder, each once;
    /// those after `after` only, at most `limit`. Skips over a folder's rows instead of reading them.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn children(&self, under: &Prefix, after: Option<&str>, limit: usize) -> Result<Vec<String>, StorageError>;
    /// The rows that `page` of the tree over `scope` covers, in order of path. Reads an index by page, not the whole scope.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn page_rows(&self, scope: Scope, page: PageId) -> Result<Vec<(Arc<str>, Stored)>, StorageError>;
    /// The sums of all pages of the tree over `scope`: [`crate::machine::PAGES`] of them.
    fn pages(&self, scope: Scope) -> Arc<[PageSum]>;
    /// How far the histories reach at this moment.
    fn positions(&self) -> Positions;
    /// The role at this moment.
    fn role(&self) -> Role;
}

/// Opaque bytes of the layer above that are stored with a commit: applied log id, membership.
pub type Meta = Vec<(&'static str, Vec<u8>)>;

/// A store of the replicated state. [`RocksStore`] on disk, [`MemStore`] in tests and simulation: one contract (`contract.rs`).
pub trait Physical: Send + Sync + 'static {
    /// A consistent view of what is committed now.
    fn reader(&self) -> Arc<dyn Reader>;
    /// The newest row at `key`.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn get(&self, key: &Key) -> Result<Option<Stored>, StorageError>;
    /// The role now.
    fn role(&self) -> Role;
    /// How far the histories reach now.
    fn positions(&self) -> Positions;
    /// What the keys have encrypted until now.
    fn key_uses(&self) -> KeyUses;
    /// The sum of a page of the tree over `scope` now.
    fn page(&self, scope: Scope, page: PageId) -> PageSum;
    /// The bytes last committed under `name`.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn meta(&self, name: &str) -> Result<Option<Vec<u8>>, StorageError>;
    /// Rows, pages, records, positions, uses of keys, role and meta of all of `applied`, in order: one atomic write, not yet durable.
    ///
    /// # Errors
    /// If the store cannot be written. The caller ends the process: the state would fall behind the log.
    fn commit(&self, applied: &[Applied], meta: &Meta) -> Result<(), StorageError>;
    /// Makes every commit so far durable.
    ///
    /// # Errors
    /// If the store cannot be written.
    fn flush(&self) -> Result<(), StorageError>;
    /// Encoded records after `after`, in order, about `bytes_max` bytes of them and at least one if there is one.
    /// `None` if the records kept no longer reach back to `after`, or never knew it.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn records(&self, after: WalIndex, bytes_max: usize) -> Result<Option<Vec<Bytes>>, StorageError>;
    /// The position with this number, if the records kept still reach back to it: for comparing histories.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn position_at(&self, wal: WalIndex) -> Result<Option<Position>, StorageError>;
    /// What records are kept now.
    fn records_kept(&self) -> RecordsKept;
    /// Removes the oldest records up to and including `upto`.
    ///
    /// # Errors
    /// If the store cannot be written.
    fn trim_records(&self, upto: WalIndex) -> Result<(), StorageError>;
    /// Makes a complete copy of the state in the new folder `into`, by hard links where it can: cheap, and stops no writes.
    ///
    /// # Errors
    /// If the folder exists or cannot be written.
    fn checkpoint(&self, into: &Path) -> Result<(), StorageError>;
    /// Replaces the state with the checkpoint in `from`, which is moved or copied. A crash leaves the old state or the new one.
    ///
    /// # Errors
    /// If it is no checkpoint, or the store cannot be written. The caller ends the process.
    fn install(&self, from: &Path) -> Result<(), StorageError>;
}

/// The records kept for secondaries that are away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecordsKept {
    /// The first kept, zero if none.
    pub first: WalIndex,
    /// The last kept, zero if none.
    pub last: WalIndex,
    /// Their size, in bytes; an estimate.
    pub bytes: u64,
}

/// What `machine::apply` asks of a store.
pub struct PhysicalView<'s>(pub &'s dyn Physical);

impl View for PhysicalView<'_> {
    type Error = StorageError;

    fn role(&self) -> Role {
        self.0.role()
    }
    fn positions(&self) -> Positions {
        self.0.positions()
    }
    fn key_uses(&self) -> KeyUses {
        self.0.key_uses()
    }
    fn stored(&self, key: &Key) -> Result<Option<Stored>, StorageError> {
        self.0.get(key)
    }
    fn page(&self, scope: Scope, page: PageId) -> PageSum {
        self.0.page(scope, page)
    }
}
