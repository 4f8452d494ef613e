//! One moment, held: a RocksDB snapshot together with what memory held at the same moment.

use std::sync::Arc;

use bytes::Bytes;
use rocksdb::{DBRawIterator, ReadOptions};

use self::held::Held;
use super::families::{Family, page_key, path_in, row_in};
use super::moment::{Moment, path_after};
use crate::machine::{PAGES, PageId, PageSum, Positions, Role, Stored};
use crate::storage::{Reader, StorageError};
use crate::types::{Key, Prefix, Scope};

#[expect(clippy::mem_forget, reason = "self_cell forgets a guard of its own")]
mod held {
    use rocksdb::Snapshot;
    use self_cell::self_cell;

    use crate::storage::rocks::families::Shared;

    self_cell!(
        /// A snapshot that keeps its database open.
        pub struct Held {
            owner: Shared,
            #[covariant]
            dependent: Snapshot,
        }
    );
}

/// One moment of the state on disk.
pub(super) struct RocksReader {
    pub(super) at: Moment,
    held: Held,
}

const READ: &str = "read the state database";

impl RocksReader {
    /// Holds `at`. The caller makes sure that nothing is committed between `at` and this call.
    pub(super) fn new(at: Moment) -> Self {
        let held = Held::new(at.database.clone(), |database| database.db.snapshot());
        Self { at, held }
    }

    fn value(&self, family: Family, key: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>, StorageError> {
        let handle = family.handle(&self.at.database.db);
        self.held.borrow_dependent().get_cf(handle, key).map_err(StorageError::rocks(READ))
    }

    /// Keys of `family` that start with `prefix`, from `start` on.
    fn from(&self, family: Family, prefix: &[u8], start: &[u8]) -> DBRawIterator<'_> {
        let mut options = ReadOptions::default();
        if let Some(end) = successor(prefix) {
            options.set_iterate_upper_bound(end);
        }
        let mut rows = self.held.borrow_dependent().raw_iterator_cf_opt(family.handle(&self.at.database.db), options);
        rows.seek(start);
        rows
    }
}

/// The least key greater than all that start with `prefix`; `None` if there is no bound.
fn successor(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return Some(end);
        }
    }
    None
}

impl Reader for RocksReader {
    fn get(&self, key: &Key) -> Result<Option<Stored>, StorageError> {
        if let Some(known) = self.at.database.recent.at(key, self.at.at)? {
            return Ok(known);
        }
        let handle = Family::of(key.scope).handle(&self.at.database.db);
        let row = self.held.borrow_dependent().get_pinned_cf(handle, key.path.as_bytes()).map_err(StorageError::rocks(READ))?;
        row.map(|row| row_in(Bytes::copy_from_slice(&row))).transpose()
    }

    fn list(&self, under: &Prefix, after: Option<&str>, limit: usize) -> Result<Vec<Arc<str>>, StorageError> {
        let prefix = under.path.as_bytes();
        // The least path greater than `after` is `after` with a zero byte.
        let start = after.map_or_else(|| prefix.to_vec(), |after| [after.as_bytes(), &[0]].concat().max(prefix.to_vec()));
        let mut rows = self.from(Family::of(under.scope), prefix, &start);
        let mut paths = Vec::new();
        while paths.len() < limit {
            let Some(key) = rows.key() else { break };
            paths.push(Arc::from(path_in(key)?));
            rows.next();
        }
        rows.status().map_err(StorageError::rocks(READ))?;
        Ok(paths)
    }

    fn children(&self, under: &Prefix, after: Option<&str>, limit: usize) -> Result<Vec<String>, StorageError> {
        let prefix = under.path.as_bytes();
        let start = match after {
            None => prefix.to_vec(),
            Some(after) => beyond(prefix, after),
        };
        let mut rows = self.from(Family::of(under.scope), prefix, &start);
        let mut names: Vec<String> = Vec::new();
        while names.len() < limit {
            let Some(key) = rows.key() else { break };
            let rest = path_after(key, prefix.len())?;
            match rest.split_once('/') {
                None => {
                    if after.is_none_or(|after| rest > after) {
                        names.push(rest.to_owned());
                    }
                    rows.next();
                }
                Some((folder, _)) => {
                    let name = format!("{folder}/");
                    rows.seek(beyond(prefix, &name));
                    if after.is_none_or(|after| name.as_str() > after) {
                        names.push(name);
                    }
                }
            }
        }
        rows.status().map_err(StorageError::rocks(READ))?;
        Ok(names)
    }

    fn page_rows(&self, scope: Scope, page: PageId) -> Result<Vec<(Arc<str>, Stored)>, StorageError> {
        let prefix = page_key(scope, page);
        let mut index = self.from(Family::PageIndex, &prefix, &prefix);
        let mut rows = Vec::new();
        while let Some(key) = index.key() {
            let path = path_after(key, prefix.len())?;
            let row = self.value(Family::of(scope), path)?.ok_or(StorageError::Corrupt("an index of a page names no row"))?;
            rows.push((Arc::from(path), row_in(row.into())?));
            index.next();
        }
        index.status().map_err(StorageError::rocks(READ))?;
        Ok(rows)
    }

    fn pages(&self, scope: Scope) -> Arc<[PageSum]> {
        self.at.trees.of(scope).map_or_else(|| vec![PageSum::default(); PAGES].into(), |pages| pages.all())
    }

    fn positions(&self) -> Positions {
        self.at.positions
    }

    fn role(&self) -> Role {
        self.at.role.clone()
    }
}

/// Where the names after `name` begin: behind the whole folder if it is one.
fn beyond(prefix: &[u8], name: &str) -> Vec<u8> {
    let mut start = [prefix, name.as_bytes()].concat();
    if name.ends_with('/') {
        start.pop();
        start.push(b'/' + 1);
    } else {
        start.push(0);
    }
    start
}
