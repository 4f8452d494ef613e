//! The state in memory: for tests and simulation. Same contract as on disk, nothing durable.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bytes::Bytes;

use super::{Meta, Physical, Reader, RecordsKept, StorageError};
use crate::machine::{Applied, KeyUses, Outcome, PAGES, PageId, PageSum, Positions, Role, Stored, page_of};
use crate::types::{Key, Position, Prefix, Revision, Scope, WalIndex};

#[derive(Clone)]
struct Moment {
    rows: BTreeMap<Key, Stored>,
    pages: BTreeMap<Scope, Arc<[PageSum]>>,
    records: BTreeMap<WalIndex, (Bytes, Position)>,
    /// What the first kept record follows.
    records_after: Position,
    positions: Positions,
    key_uses: KeyUses,
    role: Role,
    meta: BTreeMap<&'static str, Vec<u8>>,
}

impl Moment {
    fn empty_pages() -> BTreeMap<Scope, Arc<[PageSum]>> {
        [Scope::Shared, Scope::Local].into_iter().map(|scope| (scope, Arc::from(vec![PageSum::default(); PAGES]))).collect()
    }

    fn new() -> Self {
        Self {
            rows: BTreeMap::new(),
            pages: Self::empty_pages(),
            records: BTreeMap::new(),
            records_after: Position::default(),
            positions: Positions::default(),
            key_uses: KeyUses::default(),
            role: Role::Alone,
            meta: BTreeMap::new(),
        }
    }

    fn apply(&mut self, applied: &Applied) {
        if !matches!(applied.outcome, Outcome::Committed(_)) {
            return;
        }
        if applied.wipe {
            self.rows.retain(|key, _| key.scope == Scope::Node);
            self.pages = Self::empty_pages();
        }
        for row in &applied.rows {
            match &row.value {
                Some(value) => {
                    self.rows.insert(row.key.clone(), Stored { revision: Revision(applied.at.0), value: value.clone() });
                }
                None => {
                    self.rows.remove(&row.key);
                }
            }
        }
        for ((scope, page), sum) in &applied.pages {
            if let Some(pages) = self.pages.get_mut(scope) {
                Arc::make_mut(pages)[usize::from(page.0)] = *sum;
            }
        }
        if applied.forget_records {
            self.records.clear();
            self.records_after = applied.positions.performance;
        }
        let mut position = self.records.last_key_value().map_or(self.records_after, |(_, (_, position))| *position);
        for (wal, bytes) in &applied.records {
            position = position.then(bytes);
            self.records.insert(*wal, (bytes.clone(), position));
        }
        self.positions = applied.positions;
        self.key_uses = applied.key_uses;
        if let Some(role) = &applied.role {
            self.role = role.clone();
        }
    }
}

/// A state in memory.
pub struct MemStore(RwLock<Arc<Moment>>);

impl Default for MemStore {
    fn default() -> Self {
        Self::new()
    }
}

impl MemStore {
    /// An empty state.
    pub fn new() -> Self {
        Self(RwLock::new(Arc::new(Moment::new())))
    }

    fn now(&self) -> RwLockReadGuard<'_, Arc<Moment>> {
        self.0.read().expect("no holder of this lock panics")
    }

    fn change(&self) -> RwLockWriteGuard<'_, Arc<Moment>> {
        self.0.write().expect("no holder of this lock panics")
    }
}

impl Reader for Moment {
    fn get(&self, key: &Key) -> Result<Option<Stored>, StorageError> {
        Ok(self.rows.get(key).cloned())
    }

    fn list(&self, under: &Prefix, after: Option<&str>, limit: usize) -> Result<Vec<Arc<str>>, StorageError> {
        let start = Key::new(under.scope, under.path.as_str());
        let paths = self.rows.range(start..).map(|(key, _)| key).take_while(|key| under.contains(key)).map(|key| key.path.clone());
        Ok(paths.filter(|path| after.is_none_or(|after| &**path > after)).take(limit).collect())
    }

    fn children(&self, under: &Prefix, after: Option<&str>, limit: usize) -> Result<Vec<String>, StorageError> {
        let mut names: Vec<String> = Vec::new();
        for path in self.list(under, None, usize::MAX)? {
            let rest = &path[under.path.len()..];
            let name = rest.split_once('/').map_or_else(|| rest.to_owned(), |(folder, _)| format!("{folder}/"));
            names.push(name);
        }
        names.sort_unstable();
        names.dedup();
        Ok(names.into_iter().filter(|name| after.is_none_or(|after| name.as_str() > after)).take(limit).collect())
    }

    fn page_rows(&self, scope: Scope, page: PageId) -> Result<Vec<(Arc<str>, Stored)>, StorageError> {
        let rows = self.rows.iter().filter(|(key, _)| key.scope == scope && page_of(&key.path) == page);
        Ok(rows.map(|(key, stored)| (key.path.clone(), stored.clone())).collect())
    }

    fn pages(&self, scope: Scope) -> Arc<[PageSum]> {
        self.pages.get(&scope).cloned().unwrap_or_else(|| Arc::from(vec![PageSum::default(); PAGES]))
    }

    fn positions(&self) -> Positions {
        self.positions
    }

    fn role(&self) -> Role {
        self.role.clone()
    }
}

impl Physical for MemStore {
    fn reader(&self) -> Arc<dyn Reader> {
        self.now().clone()
    }
    fn get(&self, key: &Key) -> Result<Option<Stored>, StorageError> {
        self.now().get(key)
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
        self.now().pages.get(&scope).map_or_else(PageSum::default, |pages| pages[usize::from(page.0)])
    }
    fn meta(&self, name: &str) -> Result<Option<Vec<u8>>, StorageError> {
        Ok(self.now().meta.get(name).cloned())
    }
    fn commit(&self, applied: &[Applied], meta: &Meta) -> Result<(), StorageError> {
        let mut moment = self.change();
        let next = Arc::make_mut(&mut moment);
        applied.iter().for_each(|applied| next.apply(applied));
        next.meta.extend(meta.iter().cloned());
        Ok(())
    }
    fn flush(&self) -> Result<(), StorageError> {
        Ok(())
    }
    fn records(&self, after: WalIndex, bytes_max: usize) -> Result<Option<Vec<Bytes>>, StorageError> {
        if self.position_at(after)?.is_none() {
            return Ok(None);
        }
        let moment = self.now();
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
        let moment = self.now();
        if wal == moment.records_after.wal {
            return Ok(Some(moment.records_after));
        }
        Ok(moment.records.get(&wal).map(|(_, position)| *position))
    }
    fn records_kept(&self) -> RecordsKept {
        let moment = self.now();
        let first = moment.records.first_key_value().map_or(WalIndex(0), |(wal, _)| *wal);
        let last = moment.records.last_key_value().map_or(WalIndex(0), |(wal, _)| *wal);
        RecordsKept { first, last, bytes: moment.records.values().map(|(record, _)| record.len() as u64).sum() }
    }
    fn trim_records(&self, upto: WalIndex) -> Result<(), StorageError> {
        let mut moment = self.change();
        let next = Arc::make_mut(&mut moment);
        if let Some((_, position)) = next.records.get(&upto) {
            next.records_after = *position;
            next.records = next.records.split_off(&upto.next());
        }
        Ok(())
    }
    fn checkpoint(&self, _: &Path) -> Result<(), StorageError> {
        Err(StorageError::Corrupt("a state in memory has no files"))
    }
    fn install(&self, _: &Path) -> Result<(), StorageError> {
        Err(StorageError::Corrupt("a state in memory has no files"))
    }
}
