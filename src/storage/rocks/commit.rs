//! What entries changed, as one atomic write and the moment after it.

use std::collections::BTreeMap;

use bytes::Bytes;
use rocksdb::WriteBatch;

use super::families::{END, Family, index_key, meta_key, position_out, record_out, wal_key};
use super::moment::{KEY_USES, Moment, POSITIONS, RECORDS_AFTER, RECORDS_BYTES, ROLE, positions_out};
use super::pages::TreeRow;
use crate::machine::{Applied, Outcome, PageId, PageSum, RowWrite, encode_role, page_of};
use crate::storage::{Meta, RecordsKept};
use crate::types::{Position, Revision, Scope};

/// What a row takes in a batch beside its value: keys of two families, lengths, its page's sum. An estimate.
const ROW_OVERHEAD: usize = 300;
/// What a batch holds besides rows and records. An estimate.
const BATCH_OVERHEAD: usize = 512;

/// About how large the batch of these entries will be, so that it need not grow.
pub(super) fn room_for(applied: &[Applied]) -> usize {
    let rows = applied.iter().flat_map(|applied| &applied.rows).map(|row| row.value.as_ref().map_or(0, Bytes::len) + ROW_OVERHEAD);
    let records = applied.iter().flat_map(|applied| &applied.records).map(|(_, record)| record.len() + ROW_OVERHEAD);
    rows.chain(records).sum::<usize>() + BATCH_OVERHEAD
}

/// Gathers the writes of entries on top of a moment.
pub(super) struct Gathered {
    batch: WriteBatch,
    next: Moment,
    pages: BTreeMap<(Scope, PageId), PageSum>,
}

impl Gathered {
    /// Nothing gathered yet on top of `now`, with room for a batch of `room` bytes.
    pub(super) fn on(now: &Moment, room: usize) -> Self {
        Self { batch: WriteBatch::with_capacity_bytes(room), next: now.clone(), pages: BTreeMap::new() }
    }

    /// The write, and the moment that it leads to.
    pub(super) fn finish(mut self) -> (WriteBatch, Moment) {
        self.write_pages();
        self.put(Family::Meta, POSITIONS, positions_out(&self.next.positions));
        self.put(Family::Meta, KEY_USES, self.next.key_uses.encode());
        self.put(Family::Meta, RECORDS_BYTES, self.next.kept.bytes.to_be_bytes());
        (self.batch, self.next)
    }

    /// One entry.
    pub(super) fn add(&mut self, applied: &Applied) {
        self.next.at = Revision(applied.at.0);
        if !matches!(applied.outcome, Outcome::Committed(_)) {
            return;
        }
        if applied.wipe {
            self.wipe();
        }
        for row in &applied.rows {
            self.row(row, self.next.at);
        }
        for ((scope, page), sum) in &applied.pages {
            self.pages.insert((*scope, *page), *sum);
            self.next.trees.set(*scope, *page, *sum);
        }
        if applied.forget_records {
            self.forget_records(applied.positions.performance);
        }
        for (wal, record) in &applied.records {
            self.next.records_upto = Position { wal: *wal, history: self.next.records_upto.history.then(record) };
            self.put(Family::Wal, wal_key(*wal), record_out(self.next.records_upto.history, record));
            let kept = &mut self.next.kept;
            let first = if kept.last.0 == 0 { *wal } else { kept.first };
            *kept = RecordsKept { first, last: *wal, bytes: kept.bytes + record.len() as u64 };
        }
        self.next.positions = applied.positions;
        self.next.key_uses = applied.key_uses;
        if let Some(role) = &applied.role {
            self.put(Family::Meta, ROLE, encode_role(role));
            self.next.role = role.clone();
        }
    }

    /// Bytes of the layer above.
    pub(super) fn meta(&mut self, meta: &Meta) {
        for (name, bytes) in meta {
            self.put(Family::Meta, meta_key(name), bytes);
        }
    }

    /// Removes records: those up to and with `upto`, of `bytes` bytes together.
    pub(super) fn trim(&mut self, upto: Position, bytes: u64) {
        let kept = &mut self.next.kept;
        let from = wal_key(kept.first);
        *kept = if upto.wal >= kept.last {
            RecordsKept::default()
        } else {
            RecordsKept { first: upto.wal.next(), bytes: kept.bytes.saturating_sub(bytes), ..*kept }
        };
        self.delete_range(Family::Wal, from, wal_key(upto.wal.next()));
        self.put(Family::Meta, RECORDS_AFTER, position_out(upto));
        self.next.records_after = upto;
    }

    fn write_pages(&mut self) {
        if self.pages.is_empty() {
            return;
        }
        let changes = self.next.trees.changes(&self.pages);
        self.tree_row(changes);
        if let Some((branches, [from, to])) = self.next.trees.fold() {
            self.delete_range(Family::Tree, from, to);
            branches.into_iter().for_each(|row| self.tree_row(row));
        }
    }

    fn tree_row(&mut self, (key, row): TreeRow) {
        match row {
            Some(row) => self.put(Family::Tree, key, row),
            None => self.delete(Family::Tree, key),
        }
    }

    fn wipe(&mut self) {
        if !bug!(149) {
            self.next.database.recent.forget();
        }
        for family in [Family::Shared, Family::Local, Family::Tree, Family::PageIndex] {
            self.delete_range(family, [], END);
        }
        self.next.trees.clear();
        self.pages.clear();
    }

    fn forget_records(&mut self, after: Position) {
        self.delete_range(Family::Wal, [], END);
        if !bug!(156) {
            self.put(Family::Meta, RECORDS_AFTER, position_out(after));
        }
        self.next.kept = RecordsKept::default();
        self.next.records_after = after;
        self.next.records_upto = after;
    }

    /// The index of pages names each row once: it is written when the row comes and when it goes, not when its value changes.
    fn row(&mut self, row: &RowWrite, at: Revision) {
        let (scope, path) = (row.key.scope, &*row.key.path);
        let index = (scope != Scope::Node && row.existed != row.value.is_some()).then(|| index_key(scope, page_of(path), path));
        match &row.value {
            Some(value) => {
                let bytes = self.next.database.recent.written(&row.key, at, value);
                self.put(Family::of(scope), path, bytes);
                if let Some(index) = index {
                    self.put(Family::PageIndex, index, []);
                }
            }
            None => {
                self.next.database.recent.removed(&row.key, at);
                self.delete(Family::of(scope), path);
                if let Some(index) = index {
                    self.delete(Family::PageIndex, index);
                }
            }
        }
    }

    fn put(&mut self, family: Family, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        self.batch.put_cf(family.handle(&self.next.database.db), key, value);
    }
    fn delete(&mut self, family: Family, key: impl AsRef<[u8]>) {
        self.batch.delete_cf(family.handle(&self.next.database.db), key);
    }
    fn delete_range(&mut self, family: Family, from: impl AsRef<[u8]>, to: impl AsRef<[u8]>) {
        self.batch.delete_range_cf(family.handle(&self.next.database.db), from.as_ref(), to.as_ref());
    }
}
