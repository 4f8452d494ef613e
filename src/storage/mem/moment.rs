//! One moment of a state in memory, and what an entry makes of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::machine::{Applied, KeyUses, Outcome, PAGES, PageId, PageSum, Positions, Role, Stored, page_of};
use crate::storage::{Meta, Reader, StorageError};
use crate::types::{Key, Position, Prefix, Revision, Scope, WalIndex};

/// Everything there is at one moment.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Moment {
    pub rows: BTreeMap<Key, Stored>,
    /// Those that are not zero: few, so that a moment is cheap to keep.
    pub pages: BTreeMap<(Scope, PageId), PageSum>,
    pub records: BTreeMap<WalIndex, (Bytes, Position)>,
    /// What the first kept record follows.
    pub records_after: Position,
    pub positions: Positions,
    pub key_uses: KeyUses,
    pub role: Role,
    pub meta: BTreeMap<String, Vec<u8>>,
}

impl Moment {
    pub fn new() -> Self {
        Self {
            rows: BTreeMap::new(),
            pages: BTreeMap::new(),
            records: BTreeMap::new(),
            records_after: Position::default(),
            positions: Positions::default(),
            key_uses: KeyUses::default(),
            role: Role::Alone,
            meta: BTreeMap::new(),
        }
    }

    /// All of one commit.
    pub fn take(&mut self, applied: &[Applied], meta: &Meta) {
        applied.iter().for_each(|applied| self.apply(applied));
        self.meta.extend(meta.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.clone())));
    }

    fn apply(&mut self, applied: &Applied) {
        if !matches!(applied.outcome, Outcome::Committed(_)) {
            return;
        }
        if applied.wipe {
            self.rows.retain(|key, _| key.scope == Scope::Node);
            self.pages.clear();
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
        for (id, sum) in &applied.pages {
            if *sum == PageSum::default() {
                self.pages.remove(id);
            } else {
                self.pages.insert(*id, *sum);
            }
        }
        if applied.forget_records {
            self.records.clear();
            self.records_after = applied.positions.performance;
        }
        for (wal, bytes) in &applied.records {
            self.keep(*wal, bytes.clone());
        }
        self.positions = applied.positions;
        self.key_uses = applied.key_uses;
        if let Some(role) = &applied.role {
            self.role = role.clone();
        }
    }

    /// Keeps the record that follows those kept so far.
    pub fn keep(&mut self, wal: WalIndex, record: Bytes) {
        let last = self.records.last_key_value().map_or(self.records_after, |(_, (_, position))| *position);
        let position = last.then(&record);
        self.records.insert(wal, (record, position));
    }

    /// Removes the oldest records up to and including `upto`.
    pub fn trim(&mut self, upto: WalIndex) {
        if let Some((_, position)) = self.records.get(&upto) {
            self.records_after = *position;
            self.records = self.records.split_off(&upto.next());
        }
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
        let mut pages = vec![PageSum::default(); PAGES];
        for ((_, page), sum) in self.pages.range((scope, PageId(0))..=(scope, PageId(u16::MAX))) {
            pages[usize::from(page.0)] = *sum;
        }
        pages.into()
    }

    fn positions(&self) -> Positions {
        self.positions
    }

    fn role(&self) -> Role {
        self.role.clone()
    }
}
