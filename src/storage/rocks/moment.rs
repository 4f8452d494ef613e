//! What is kept in memory of one moment: pages of the trees, positions, role, which records are kept. Immutable once published.
//!
//! Pages lie in a tree whose nodes moments share, so a commit copies half a kilobyte for a page it touches and never 2 MiB, whoever
//! is reading.

use std::sync::Arc;

use super::families::{self, Database, Family, Shared, path_in};
use crate::machine::{KeyUses, PAGES, PageId, PageSum, Positions, Role, decode_role};
use crate::storage::{RecordsKept, StorageError};
use crate::types::{Position, Scope, Timestamp, WalIndex};

/// Sums that are copied together when one of them changes, and groups of them that one node of the tree holds.
const LEAF: usize = 16;
const BRANCH: usize = 16;

type Leaf = [PageSum; LEAF];

/// The pages of one scope's tree.
#[derive(Clone)]
pub(super) struct Pages(Vec<Arc<[Arc<Leaf>; BRANCH]>>);

/// Which branch, which leaf of it, and which sum of that.
fn place(page: PageId) -> (usize, usize, usize) {
    let page = usize::from(page.0);
    (page / LEAF / BRANCH, page / LEAF % BRANCH, page % LEAF)
}

impl Pages {
    pub(super) fn empty() -> Self {
        // One branch in all places: it is copied when a page of it is set.
        let leaf = Arc::new([PageSum::default(); LEAF]);
        let branch = Arc::new(std::array::from_fn(|_| leaf.clone()));
        Self(std::iter::repeat_n(branch, PAGES / LEAF / BRANCH).collect())
    }
    pub(super) fn get(&self, page: PageId) -> PageSum {
        let (branch, leaf, at) = place(page);
        self.0[branch][leaf][at]
    }
    pub(super) fn set(&mut self, page: PageId, sum: PageSum) {
        let (branch, leaf, at) = place(page);
        Arc::make_mut(&mut Arc::make_mut(&mut self.0[branch])[leaf])[at] = sum;
    }
    pub(super) fn all(&self) -> Arc<[PageSum]> {
        self.0.iter().flat_map(|branch| branch.iter().flat_map(|leaf| leaf.iter().copied())).collect()
    }
}

/// One moment of the state.
#[derive(Clone)]
pub(super) struct Moment {
    pub(super) database: Shared,
    pub(super) shared_pages: Arc<Pages>,
    pub(super) local_pages: Arc<Pages>,
    pub(super) positions: Positions,
    pub(super) key_uses: KeyUses,
    pub(super) role: Role,
    pub(super) kept: RecordsKept,
    /// What the first kept record follows.
    pub(super) records_after: Position,
    /// The position after the last kept record, or `records_after`.
    pub(super) records_upto: Position,
}

/// The names of our own meta rows.
pub(super) const POSITIONS: &[u8] = b"s/positions";
pub(super) const KEY_USES: &[u8] = b"s/key-uses";
pub(super) const ROLE: &[u8] = b"s/role";
pub(super) const RECORDS_AFTER: &[u8] = b"s/records-after";
pub(super) const RECORDS_BYTES: &[u8] = b"s/records-bytes";

impl Moment {
    /// Reads the moment that an opened database stands at.
    pub(super) fn load(database: Shared) -> Result<Self, StorageError> {
        let positions = match database.get(Family::Meta, POSITIONS)? {
            Some(bytes) => positions_in(&bytes)?,
            None => Positions::default(),
        };
        let key_uses = match database.get(Family::Meta, KEY_USES)? {
            Some(bytes) => KeyUses::decode(&bytes).ok_or(StorageError::Corrupt("the uses of keys"))?,
            None => KeyUses::default(),
        };
        let role = match database.get(Family::Meta, ROLE)? {
            Some(bytes) => decode_role(&bytes).map_err(|_| StorageError::Corrupt("the role"))?,
            None => Role::Alone,
        };
        let records_after = match database.get(Family::Meta, RECORDS_AFTER)? {
            Some(bytes) => families::position_in(&bytes)?,
            None => Position::default(),
        };
        let bytes = match database.get(Family::Meta, RECORDS_BYTES)? {
            Some(bytes) => families::wal_in(&bytes)?.0,
            None => 0,
        };
        let (kept, records_upto) = ends_of_records(&database, records_after, bytes)?;
        let (shared_pages, local_pages) = load_pages(&database)?;
        Ok(Self {
            database,
            shared_pages: shared_pages.into(),
            local_pages: local_pages.into(),
            positions,
            key_uses,
            role,
            kept,
            records_after,
            records_upto,
        })
    }

    /// The tree over `scope`; there is none over a node's own rows.
    pub(super) fn pages(&self, scope: Scope) -> Option<&Pages> {
        match scope {
            Scope::Shared => Some(&self.shared_pages),
            Scope::Local => Some(&self.local_pages),
            Scope::Node => None,
        }
    }

    /// Changes a page; nobody who holds an earlier moment sees it.
    pub(super) fn set_page(&mut self, scope: Scope, page: PageId, sum: PageSum) {
        match scope {
            Scope::Shared => Arc::make_mut(&mut self.shared_pages).set(page, sum),
            Scope::Local => Arc::make_mut(&mut self.local_pages).set(page, sum),
            Scope::Node => {}
        }
    }
}

fn ends_of_records(database: &Database, after: Position, bytes: u64) -> Result<(RecordsKept, Position), StorageError> {
    let broken = || StorageError::rocks("read the kept records");
    let mut records = database.db.raw_iterator_cf(Family::Wal.handle(&database.db));
    // Trimmed records leave a range behind that a search from the very start would have to cross.
    records.seek(families::wal_key(after.wal.next()));
    let first = records.key().map(families::wal_in).transpose()?;
    records.status().map_err(broken())?;
    records.seek_to_last();
    let last = match records.item() {
        Some((key, row)) if first.is_some() => {
            let wal = families::wal_in(key)?;
            Some(Position { wal, history: families::record_in(row.to_vec())?.0 })
        }
        _ => None,
    };
    records.status().map_err(broken())?;
    Ok(match (first, last) {
        (Some(first), Some(last)) => (RecordsKept { first, last: last.wal, bytes }, last),
        _ => (RecordsKept { first: WalIndex(0), last: WalIndex(0), bytes: 0 }, after),
    })
}

fn load_pages(database: &Database) -> Result<(Pages, Pages), StorageError> {
    let (mut shared, mut local) = (Pages::empty(), Pages::empty());
    let mut rows = database.db.raw_iterator_cf(Family::Tree.handle(&database.db));
    rows.seek_to_first();
    while let Some((key, sum)) = rows.item() {
        match families::page_in(key, sum)? {
            (Scope::Shared, page, sum) => shared.set(page, sum),
            (Scope::Local, page, sum) => local.set(page, sum),
            (Scope::Node, ..) => return Err(StorageError::Corrupt("a page of the tree")),
        }
        rows.next();
    }
    rows.status().map_err(StorageError::rocks("read the tree"))?;
    Ok((shared, local))
}

/// Positions in 56 bytes.
pub(super) fn positions_out(positions: &Positions) -> Vec<u8> {
    let mut out = families::position_out(positions.performance).to_vec();
    out.extend_from_slice(&positions.dr.0.to_be_bytes());
    out.extend_from_slice(&positions.performance_at.0.to_be_bytes());
    out
}

fn positions_in(bytes: &[u8]) -> Result<Positions, StorageError> {
    if bytes.len() != 56 {
        return Err(StorageError::Corrupt("the positions"));
    }
    Ok(Positions {
        performance: families::position_in(&bytes[..40])?,
        dr: families::wal_in(&bytes[40..48])?,
        performance_at: Timestamp(families::wal_in(&bytes[48..])?.0),
    })
}

/// The path behind a prefix of a key.
pub(super) fn path_after(key: &[u8], prefix: usize) -> Result<&str, StorageError> {
    path_in(key.get(prefix..).unwrap_or_default())
}
