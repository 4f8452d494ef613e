//! The trees over the rows: in memory, shared by the moments, and on disk.
//!
//! In memory a tree's nodes are shared by the moments, so a commit copies half a kilobyte for a page it touches and never 2 MiB,
//! whoever is reading.
//!
//! | key in `tree` | value |
//! | --- | --- |
//! | scope, branch | the sums of 256 pages; no row if all of them are empty |
//! | `0x7F`, number | what one write changed since the branches were written: scope, page, sum of each page |
//!
//! Written one by one, at random places, sums would be a third of all that a write puts into the database. So a write adds one row
//! at the end, and after [`FOLD_BYTES`] of these the branches are written anew, in the same batch that removes them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::families::{Database, Family};
use crate::machine::{PAGES, PageId, PageSum};
use crate::storage::StorageError;
use crate::types::Scope;

/// Sums that are copied together when one of them changes, and groups of them that one branch of the tree holds.
const LEAF: usize = 16;
const BRANCH: usize = 16;
const BRANCHES: usize = PAGES / LEAF / BRANCH;

/// Greater than every scope: changes come after the branches.
const CHANGES: u8 = 0x7F;
/// Scope, page, sum.
const CHANGE_BYTES: usize = 3 + size_of::<PageSum>();

/// As much as the branches themselves: so what is written is at most twice what changed. Tests see it happen.
pub(super) const FOLD_BYTES: u64 = if cfg!(test) { 2048 } else { 4 * 1024 * 1024 };

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
        Self(std::iter::repeat_n(branch, BRANCHES).collect())
    }
    pub(super) fn get(&self, page: PageId) -> PageSum {
        let (branch, leaf, at) = place(page);
        self.0[branch][leaf][at]
    }
    fn set(&mut self, page: PageId, sum: PageSum) {
        let (branch, leaf, at) = place(page);
        Arc::make_mut(&mut Arc::make_mut(&mut self.0[branch])[leaf])[at] = sum;
    }
    pub(super) fn all(&self) -> Arc<[PageSum]> {
        self.0.iter().flat_map(|branch| branch.iter().flat_map(|leaf| leaf.iter().copied())).collect()
    }
}

/// The trees of one moment.
#[derive(Clone)]
pub(super) struct Trees {
    shared: Arc<Pages>,
    local: Arc<Pages>,
    /// The number of the next row of changes, and the bytes of those that are not folded yet.
    next: u64,
    unfolded: u64,
}

/// A row of the family `tree` to write, or to remove.
pub(super) type TreeRow = (Vec<u8>, Option<Vec<u8>>);

impl Trees {
    /// Reads the trees that an opened database stands at.
    pub(super) fn load(database: &Database) -> Result<Self, StorageError> {
        let corrupt = || StorageError::Corrupt("a page of the tree");
        let mut trees = Self { shared: Arc::new(Pages::empty()), local: Arc::new(Pages::empty()), next: 0, unfolded: 0 };
        let mut rows = database.db.raw_iterator_cf(Family::Tree.handle(&database.db));
        rows.seek_to_first();
        while let Some((key, row)) = rows.item() {
            match *key {
                [CHANGES, ref number @ ..] => {
                    trees.next = u64::from_be_bytes(number.try_into().map_err(|_| corrupt())?) + 1;
                    trees.unfolded += row.len() as u64;
                    for change in row.chunks(CHANGE_BYTES) {
                        let [scope, high, low, sum @ ..] = change else { return Err(corrupt()) };
                        let sum = PageSum(sum.try_into().map_err(|_| corrupt())?);
                        trees.set(Scope::from_u8(*scope).ok_or_else(corrupt)?, PageId(u16::from_be_bytes([*high, *low])), sum);
                    }
                }
                [scope, branch] => {
                    let scope = Scope::from_u8(scope).ok_or_else(corrupt)?;
                    let (sums, rest) = row.as_chunks::<{ size_of::<PageSum>() }>();
                    if sums.len() != LEAF * BRANCH || !rest.is_empty() {
                        return Err(corrupt());
                    }
                    for (at, sum) in (0_u16..).zip(sums) {
                        trees.set(scope, PageId(u16::from_be_bytes([branch, 0]) + at), PageSum(*sum));
                    }
                }
                _ => return Err(corrupt()),
            }
            rows.next();
        }
        rows.status().map_err(StorageError::rocks("read the tree"))?;
        Ok(trees)
    }

    /// The tree over `scope`; there is none over a node's own rows.
    pub(super) fn of(&self, scope: Scope) -> Option<&Pages> {
        match scope {
            Scope::Shared => Some(&self.shared),
            Scope::Local => Some(&self.local),
            Scope::Node => None,
        }
    }

    /// Changes a page; nobody who holds an earlier moment sees it.
    pub(super) fn set(&mut self, scope: Scope, page: PageId, sum: PageSum) {
        match scope {
            Scope::Shared => Arc::make_mut(&mut self.shared).set(page, sum),
            Scope::Local => Arc::make_mut(&mut self.local).set(page, sum),
            Scope::Node => {}
        }
    }

    /// No row is left, in memory or on disk.
    pub(super) fn clear(&mut self) {
        *self = Self { shared: Arc::new(Pages::empty()), local: Arc::new(Pages::empty()), unfolded: 0, ..*self };
    }

    /// The row for what one write changed.
    pub(super) fn changes(&mut self, changed: &BTreeMap<(Scope, PageId), PageSum>) -> TreeRow {
        let mut row = Vec::with_capacity(changed.len() * CHANGE_BYTES);
        for ((scope, page), sum) in changed {
            row.push(*scope as u8);
            row.extend_from_slice(&page.0.to_be_bytes());
            row.extend_from_slice(&sum.0);
        }
        let key = changes_key(self.next);
        self.next += 1;
        self.unfolded += row.len() as u64;
        (key, Some(row))
    }

    /// If there are many changes by now: all branches, and the range of changes that they make needless.
    pub(super) fn fold(&mut self) -> Option<(Vec<TreeRow>, [Vec<u8>; 2])> {
        if self.unfolded < FOLD_BYTES {
            return None;
        }
        self.unfolded = 0;
        let branches = [(Scope::Shared, &self.shared), (Scope::Local, &self.local)].into_iter().flat_map(|(scope, pages)| {
            (0..=u8::MAX).zip(&pages.0).map(move |(number, branch)| {
                let sums = branch.iter().flat_map(|leaf| leaf.iter());
                let is_empty = sums.clone().all(|sum| *sum == PageSum::default());
                (vec![scope as u8, number], (!is_empty).then(|| sums.flat_map(|sum| sum.0).collect()))
            })
        });
        Some((branches.collect(), [changes_key(0), changes_key(self.next)]))
    }
}

fn changes_key(number: u64) -> Vec<u8> {
    let mut key = vec![CHANGES];
    key.extend_from_slice(&number.to_be_bytes());
    key
}
