//! Rows as they were last written, in memory: what is written is soon read again, by the next request and by the guards of the next
//! entry, and then need not be searched in the database.
//!
//! Only the thread that commits puts rows in, before the moment that has them becomes visible. So whoever holds a moment and finds a
//! row that is not newer than it has found the row of that moment; if it is newer, or not here, the database's snapshot knows.

use bytes::Bytes;
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::families::{row_in, row_out};
use crate::machine::{Ciphertext, Stored};
use crate::storage::StorageError;
use crate::types::{Key, Revision};

/// Larger rows are not kept: they would push many small ones out.
const ROW_BYTES_MAX: usize = 16 * 1024;
/// What a row costs beside its bytes: an estimate.
const ROW_OVERHEAD: usize = 160;
/// Rows are about this large: only a first guess of how many there will be room for.
const ROW_BYTES_USUAL: usize = 512;

/// The recent rows of one database.
pub(super) struct Recent(Cache<Key, Row, Bytewise>);

/// A row, or that it was removed.
#[derive(Clone)]
pub(super) struct Row {
    revision: Revision,
    /// As the database has it.
    bytes: Option<Bytes>,
}

#[derive(Clone)]
struct Bytewise;

impl Weighter<Key, Row> for Bytewise {
    fn weight(&self, key: &Key, row: &Row) -> u64 {
        (key.path.len() + row.bytes.as_ref().map_or(0, Bytes::len) + ROW_OVERHEAD) as u64
    }
}

impl Recent {
    pub(super) fn with_room_for(bytes: usize) -> Self {
        Self(Cache::with_weighter(bytes / ROW_BYTES_USUAL, bytes as u64, Bytewise))
    }

    /// The row at `key` at a moment that `upto` wrote last: `Some(None)` if it is known that there is none.
    pub(super) fn at(&self, key: &Key, upto: Revision) -> Result<Option<Option<Stored>>, StorageError> {
        let Some(row) = self.0.get(key).filter(|row| row.revision <= upto) else { return Ok(None) };
        row.bytes.map(row_in).transpose().map(Some)
    }

    /// The row at `key` was written. Returns its bytes for the database.
    pub(super) fn written(&self, key: &Key, revision: Revision, value: &Ciphertext) -> Bytes {
        let bytes = Bytes::from(row_out(revision, value));
        self.keep(key, revision, Some(bytes.clone()));
        bytes
    }

    /// The row at `key` was removed.
    pub(super) fn removed(&self, key: &Key, revision: Revision) {
        self.keep(key, revision, None);
    }

    /// The thread that commits has read the newest row at `key`.
    pub(super) fn read(&self, key: &Key, revision: Revision, bytes: Bytes) {
        self.keep(key, revision, Some(bytes));
    }

    /// Everything may have changed.
    pub(super) fn forget(&self) {
        self.0.clear();
    }

    fn keep(&self, key: &Key, revision: Revision, bytes: Option<Bytes>) {
        if bytes.as_ref().is_some_and(|bytes| bytes.len() > ROW_BYTES_MAX) {
            if !bug!(155) {
                self.0.remove(key);
            }
        } else {
            self.0.insert(key.clone(), Row { revision, bytes });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LATEST: Revision = Revision(u64::MAX);

    fn value_at(recent: &Recent, key: &Key, upto: Revision) -> Option<Option<Bytes>> {
        recent.at(key, upto).unwrap().map(|row| row.map(|row| row.value))
    }

    #[test]
    fn a_moment_finds_what_was_written_before_it_and_is_sent_to_the_database_for_what_was_written_since() {
        let (recent, key) = (Recent::with_room_for(1 << 20), Key::local("a"));
        assert_eq!(value_at(&recent, &key, LATEST), None);
        recent.written(&key, Revision(5), &Bytes::from_static(b"five"));
        assert_eq!(value_at(&recent, &key, Revision(4)), None);
        assert_eq!(value_at(&recent, &key, Revision(5)), Some(Some(Bytes::from_static(b"five"))));
        recent.removed(&key, Revision(7));
        assert_eq!(value_at(&recent, &key, Revision(6)), None);
        assert_eq!(value_at(&recent, &key, Revision(7)), Some(None));
        recent.forget();
        assert_eq!(value_at(&recent, &key, LATEST), None);
    }

    #[test]
    fn an_old_row_never_outlives_a_large_one_that_took_its_place() {
        let (recent, key) = (Recent::with_room_for(1 << 20), Key::local("a"));
        recent.written(&key, Revision(1), &Bytes::from_static(b"small"));
        recent.written(&key, Revision(2), &Bytes::from(vec![0; ROW_BYTES_MAX]));
        assert_eq!(value_at(&recent, &key, LATEST), None);
    }

    #[test]
    fn rows_take_no_more_memory_than_they_may() {
        let (recent, room) = (Recent::with_room_for(1 << 20), 1 << 20);
        for number in 0..20_000 {
            let key = Key::local(format!("a/{number}"));
            recent.written(&key, Revision(number), &Bytes::from(vec![1; 200]));
            // A row may be dropped at any time, but it is never another one.
            if let Some(row) = recent.at(&key, LATEST).unwrap() {
                assert_eq!(row.unwrap().revision, Revision(number));
            }
        }
        assert!(recent.0.weight() <= room, "{} bytes", recent.0.weight());
    }
}
