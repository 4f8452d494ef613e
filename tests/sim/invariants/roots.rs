//! Page sums are those of the rows; and clusters at equal positions hold equal shared rows.

use std::collections::BTreeMap;

use coffer::machine::{Outcome, PageId, PageSum, Role, item_hash, page_of};
use coffer::storage::{MemStore, Physical};
use coffer::types::{Prefix, Scope};

use super::{Commit, Invariant};

/// The sum of a state's shared pages, by position.
#[derive(Default)]
pub struct EqualPositionsEqualRoots {
    sums: BTreeMap<(u64, [u8; 32]), PageSum>,
    /// From which entries of a cluster on its rows are being compared with a primary's, ahead of or behind their position, or no longer
    /// are. Whoever installs a state in the midst of that goes on from there.
    repairing: BTreeMap<(usize, u64), bool>,
    commits: u64,
}

/// Every so many commits, all pages are added up anew from the rows.
const RECOUNT_EVERY: u64 = 200;

impl Invariant for EqualPositionsEqualRoots {
    fn name(&self) -> &'static str {
        "equal positions have equal roots"
    }
    fn commits(&mut self, commit: &Commit<'_>) -> Result<(), String> {
        let mut sum = total(commit.store);
        let (mut before, mut was_wiped): (BTreeMap<PageId, PageSum>, bool) = (BTreeMap::new(), false);
        for (applied, _, role) in commit.with_roles() {
            if !matches!(applied.outcome, Outcome::Committed(_)) {
                continue;
            }
            if applied.wipe {
                (sum, before, was_wiped) = (PageSum::default(), BTreeMap::new(), true);
            }
            for ((scope, page), now) in applied.pages.iter().filter(|((scope, _), _)| *scope == Scope::Shared) {
                let was = if was_wiped { PageSum::default() } else { commit.store.page(*scope, *page) };
                sum.subtract(before.insert(*page, *now).unwrap_or(was).0);
                sum.add(now.0);
            }
            let changes_shared = !applied.pages.keys().all(|(scope, _)| *scope != Scope::Shared);
            // A repair changes rows before it says where they stand.
            if applied.forget_records || (changes_shared && applied.records.is_empty()) {
                self.repairing.insert((commit.cluster, applied.at.0), !applied.forget_records);
            }
            let so_far = self.repairing.range((commit.cluster, 0)..=(commit.cluster, applied.at.0)).next_back();
            let position = applied.positions.performance;
            if so_far.is_some_and(|(_, is_repairing)| *is_repairing)
                || matches!(role, Role::Secondary { filling: true, .. })
                || position.wal.0 == 0
            {
                continue;
            }
            let known = *self.sums.entry((position.wal.0, position.history.0)).or_insert(sum);
            if known != sum {
                return Err(format!("other shared rows than elsewhere at {position:?}"));
            }
        }
        self.commits += 1;
        if self.commits.is_multiple_of(RECOUNT_EVERY) { recount(commit.store) } else { Ok(()) }
    }
}

fn total(store: &MemStore) -> PageSum {
    let mut total = PageSum::default();
    store.sums(Scope::Shared).into_iter().for_each(|(_, sum)| total.add(sum.0));
    total
}

/// Whether the pages of `store` are what its rows add up to.
///
/// # Errors
/// With the page that is not.
pub fn recount(store: &MemStore) -> Result<(), String> {
    for scope in [Scope::Shared, Scope::Local] {
        let mut counted: BTreeMap<PageId, PageSum> = BTreeMap::new();
        let reader = store.reader();
        for path in reader.list(&Prefix::new(scope, ""), None, usize::MAX).map_err(|error| error.to_string())? {
            let row = reader.get(&coffer::types::Key::new(scope, path.clone())).map_err(|error| error.to_string())?;
            let row = row.ok_or("a row that is listed is not there")?;
            counted.entry(page_of(&path)).or_default().add(item_hash(&path, &row.value));
        }
        counted.retain(|_, sum| *sum != PageSum::default());
        if counted != store.sums(scope).into_iter().collect() {
            return Err(format!("the pages of {scope:?} are not what its rows add up to"));
        }
    }
    Ok(())
}
