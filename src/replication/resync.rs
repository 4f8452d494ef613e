//! Making the shared rows equal to a snapshot of the primary's: compare pages, fetch those that differ, repair. Pure.
//!
//! It may be broken off at any point: every part of a repair is a step towards the snapshot, the next attempt compares anew and
//! fetches only what still differs. The position is set with the last part, so a copy is never taken for more than it is.
//!
//! Not here: the stream (`applier`), reading our own rows (`session`).

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;

use super::link::FromSecondary;
use crate::machine::{Command, Op, PageId, PageSum};
use crate::types::limits::{BATCH_OPS_MAX, FRAME_BYTES_MAX};
use crate::types::{Generation, Key, Position};

/// Pages that are asked for at one time.
const WINDOW: usize = 128;

/// What a row adds to a command besides path and value, at most.
const ROW_OVERHEAD_BYTES: usize = 32;

/// How far it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Pages that differed and are equal now.
    pub pages_done: usize,
    /// Pages that differ; zero while comparing.
    pub pages_total: usize,
    /// Rows written or removed.
    pub rows: u64,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq)]
pub enum Need {
    /// Read the sums of our own pages.
    OwnSums,
    /// Read our own rows of a page, before its rows come in.
    OwnRows(PageId),
    /// Send this.
    Send(FromSecondary),
    /// Propose this. Nothing more is proposed before it is settled.
    Propose(Command),
}

/// A message that a primary in its right mind does not send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("rows of a page came that was not asked for")]
pub struct NotAsked;

/// One comparison with one snapshot.
#[derive(Clone, Debug)]
pub struct Resync {
    snapshot: Position,
    generation: Generation,
    /// Fetched before all others, and so proposed together.
    first: Arc<[PageId]>,
    to_fetch: VecDeque<PageId>,
    /// Asked for; the first one's rows come next.
    asked: VecDeque<PageId>,
    is_compared: bool,
    /// Our rows of the page that comes in now: what is left of them at the end is not on the primary.
    own: Option<BTreeMap<Arc<str>, Bytes>>,
    parts: VecDeque<Vec<Op>>,
    part: Vec<Op>,
    part_bytes: usize,
    is_proposing: bool,
    is_last_proposed: bool,
    progress: Progress,
}

impl Resync {
    /// Begins a comparison with the snapshot at `snapshot`; pages in `first` are made equal before all others, with one proposal if they
    /// are small.
    pub fn begin(snapshot: Position, generation: Generation, first: Arc<[PageId]>, out: &mut Vec<Need>) -> Self {
        out.push(Need::OwnSums);
        Self {
            snapshot,
            generation,
            first,
            to_fetch: VecDeque::new(),
            asked: VecDeque::new(),
            is_compared: false,
            own: None,
            parts: VecDeque::new(),
            part: Vec::new(),
            part_bytes: 0,
            is_proposing: false,
            is_last_proposed: false,
            progress: Progress::default(),
        }
    }

    /// Our own sums were read.
    pub fn own_sums(&mut self, pages: Vec<PageSum>, out: &mut Vec<Need>) {
        out.push(Need::Send(FromSecondary::ComparePages { pages }));
    }

    /// The primary named the pages that differ.
    pub fn differing(&mut self, mut pages: Vec<PageId>, out: &mut Vec<Need>) {
        self.is_compared = true;
        pages.sort_by_key(|page| !self.first.contains(page));
        self.progress.pages_total = pages.len();
        self.to_fetch = pages.into();
        self.go_on(out);
    }

    /// Whether our own rows of `page` must be read before [`Self::rows`].
    pub fn wants_own(&self, page: PageId) -> bool {
        self.own.is_none() && self.asked.front() == Some(&page)
    }

    /// Our own rows of the page that comes in were read.
    pub fn own_rows(&mut self, rows: impl IntoIterator<Item = (Arc<str>, Bytes)>) {
        self.own = Some(rows.into_iter().collect());
    }

    /// Rows of a page came in.
    ///
    /// # Errors
    /// If it is not the page that was asked for.
    pub fn rows(&mut self, page: PageId, rows: Vec<(String, Bytes)>, is_last: bool, out: &mut Vec<Need>) -> Result<(), NotAsked> {
        if self.asked.front() != Some(&page) {
            return Err(NotAsked);
        }
        let mut own = self.own.take().ok_or(NotAsked)?;
        for (path, value) in rows {
            let ours = own.remove(path.as_str());
            if ours.as_ref() != Some(&value) && !(bug!(86) && ours.is_some()) {
                self.gather(Op::Put { key: Key::shared(path), value });
            }
        }
        if is_last {
            self.asked.pop_front();
            self.progress.pages_done += 1;
            for path in own.into_keys().filter(|_| !bug!(44)) {
                self.gather(Op::Delete { key: Key::shared(path) });
            }
        } else {
            self.own = Some(own);
        }
        self.go_on(out);
        Ok(())
    }

    /// What was proposed is committed. True: that was the last, the copy stands at the snapshot.
    pub fn committed(&mut self, out: &mut Vec<Need>) -> bool {
        self.is_proposing = false;
        if self.is_last_proposed {
            return true;
        }
        self.go_on(out);
        false
    }

    /// How far it is.
    pub fn progress(&self) -> Progress {
        self.progress
    }

    /// Rows that wait to be proposed, about, in bytes.
    pub fn waiting_bytes(&self) -> usize {
        self.parts.len() * FRAME_BYTES_MAX + self.part_bytes
    }

    fn gather(&mut self, op: Op) {
        let bytes = op.key().path.len() + op.value().map_or(0, Bytes::len) + ROW_OVERHEAD_BYTES;
        if !self.part.is_empty() && (self.part_bytes + bytes > FRAME_BYTES_MAX || self.part.len() == BATCH_OPS_MAX) {
            self.parts.push_back(std::mem::take(&mut self.part));
            self.part_bytes = 0;
            if bug!(119) {
                return;
            }
        }
        self.part_bytes += bytes;
        self.part.push(op);
        self.progress.rows += 1;
    }

    fn go_on(&mut self, out: &mut Vec<Need>) {
        if self.asked.is_empty() && !self.to_fetch.is_empty() {
            let next = self.to_fetch.len().min(WINDOW);
            self.asked = self.to_fetch.drain(..next).collect();
            out.push(Need::Send(FromSecondary::FetchPages { pages: self.asked.iter().copied().collect() }));
        }
        if self.is_proposing || !self.is_compared {
            return;
        }
        let is_all_here = self.asked.is_empty() && self.to_fetch.is_empty();
        let (ops, done) = match self.parts.pop_front() {
            Some(ops) => (ops, bug!(94).then_some(self.snapshot)),
            None if is_all_here => (std::mem::take(&mut self.part), Some(self.snapshot)),
            None => return,
        };
        if done.is_some() {
            self.part_bytes = 0;
            self.is_last_proposed = true;
        }
        self.is_proposing = true;
        out.push(Need::Propose(Command::Repair { ops, done, generation: self.generation }));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::machine::{item_hash, page_of};

    type Rows = BTreeMap<String, Bytes>;

    fn sums(rows: &Rows) -> BTreeMap<PageId, PageSum> {
        let mut sums: BTreeMap<PageId, PageSum> = BTreeMap::new();
        for (path, value) in rows {
            sums.entry(page_of(path)).or_default().add(item_hash(path, value));
        }
        sums
    }
    fn page_of_rows(rows: &Rows, page: PageId) -> Vec<(String, Bytes)> {
        rows.iter().filter(|(path, _)| page_of(path) == page).map(|(path, value)| (path.clone(), value.clone())).collect()
    }

    /// Runs a comparison of `ours` with `theirs` to the end, or until `stop_after` proposals; gives how many pages were fetched.
    fn run(ours: &mut Rows, theirs: &Rows, part: usize, stop_after: usize) -> (usize, bool) {
        let mut needs = Vec::new();
        let mut resync = Resync::begin(Position::default(), Generation(1), Arc::default(), &mut needs);
        let mut fetched = 0;
        let mut proposals = 0;
        let mut done = false;
        while let Some(need) = (!needs.is_empty()).then(|| needs.remove(0)) {
            match need {
                Need::OwnSums => resync.own_sums(Vec::new(), &mut needs),
                Need::OwnRows(_) => unreachable!("the caller asks wants_own"),
                Need::Send(FromSecondary::ComparePages { .. }) => {
                    let (mine, other) = (sums(ours), sums(theirs));
                    let mut pages: Vec<PageId> = mine.keys().chain(other.keys()).copied().collect();
                    pages.sort_unstable();
                    pages.dedup();
                    pages.retain(|page| mine.get(page).copied().unwrap_or_default() != other.get(page).copied().unwrap_or_default());
                    resync.differing(pages, &mut needs);
                }
                Need::Send(FromSecondary::FetchPages { pages }) => {
                    for page in pages {
                        fetched += 1;
                        let rows = page_of_rows(theirs, page);
                        assert!(resync.wants_own(page));
                        resync.own_rows(page_of_rows(ours, page).into_iter().map(|(path, value)| (Arc::from(path), value)));
                        for chunk in rows.chunks(part) {
                            resync.rows(page, chunk.to_vec(), false, &mut needs).unwrap();
                        }
                        resync.rows(page, Vec::new(), true, &mut needs).unwrap();
                    }
                }
                Need::Send(_) => unreachable!("nothing else is sent"),
                Need::Propose(Command::Repair { ops, done: at, .. }) => {
                    if proposals == stop_after {
                        return (fetched, false);
                    }
                    proposals += 1;
                    for op in ops {
                        match op {
                            Op::Put { key, value } => ours.insert(key.path.to_string(), value),
                            Op::Delete { key } => ours.remove(&*key.path),
                        };
                    }
                    done = resync.committed(&mut needs);
                    assert_eq!(done, at.is_some());
                }
                Need::Propose(other) => panic!("{other:?}"),
            }
        }
        (fetched, done)
    }

    fn some_rows() -> impl Strategy<Value = Rows> {
        prop::collection::btree_map("[a-d]{1,3}", prop::collection::vec(0..3u8, 0..3).prop_map(Bytes::from), 0..40)
    }

    proptest! {
        #[test]
        fn any_copy_becomes_equal_to_any_snapshot(mut ours in some_rows(), theirs in some_rows(), part in 1..5usize) {
            let (_, done) = run(&mut ours, &theirs, part, usize::MAX);
            prop_assert!(done);
            prop_assert_eq!(&ours, &theirs);
            prop_assert_eq!(run(&mut ours, &theirs, part, usize::MAX), (0, true));
        }
    }

    #[test]
    fn a_broken_comparison_goes_on_with_what_still_differs() {
        let value = Bytes::from(vec![7; FRAME_BYTES_MAX / 2]);
        let theirs: Rows = (0..20).map(|n| (format!("k{n}"), value.clone())).collect();
        let mut ours = Rows::new();
        let (all, done) = run(&mut ours, &theirs, 9, 3);
        assert!(!done && !ours.is_empty());
        let (rest, done) = run(&mut ours, &theirs, 9, usize::MAX);
        assert!(done && rest < all);
        assert_eq!(ours, theirs);
    }

    #[test]
    fn what_opens_the_other_rows_comes_before_them_and_at_once() {
        let mut needs = Vec::new();
        let mut resync = Resync::begin(Position::default(), Generation(1), Arc::from([PageId(9), PageId(7)]), &mut needs);
        resync.differing((1..=9).map(PageId).collect(), &mut needs);
        let Some(Need::Send(FromSecondary::FetchPages { pages })) = needs.pop() else { panic!("{needs:?}") };
        assert_eq!(pages[..3], [PageId(7), PageId(9), PageId(1)]);
        let value = Bytes::from(vec![7; FRAME_BYTES_MAX / 4]);
        for page in pages {
            resync.own_rows([]);
            resync.rows(page, vec![(page.0.to_string(), value.clone())], true, &mut needs).unwrap();
        }
        let Some(Need::Propose(Command::Repair { ops, .. })) = needs.pop() else { panic!("{needs:?}") };
        let paths: Vec<&str> = ops.iter().map(|op| &*op.key().path).collect();
        assert_eq!(paths, ["7", "9", "1"]);
    }

    #[test]
    fn rows_that_nobody_asked_for_are_told() {
        let mut needs = Vec::new();
        let mut resync = Resync::begin(Position::default(), Generation(1), Arc::default(), &mut needs);
        assert_eq!(resync.rows(PageId(1), Vec::new(), true, &mut needs), Err(NotAsked));
    }

    #[test]
    fn no_part_is_larger_than_a_frame() {
        let mut needs = Vec::new();
        let mut resync = Resync::begin(Position::default(), Generation(1), Arc::default(), &mut needs);
        resync.differing(vec![PageId(1)], &mut needs);
        resync.own_rows([]);
        let rows = (0..BATCH_OPS_MAX + 1).map(|n| (format!("{n}"), Bytes::new())).collect();
        resync.rows(PageId(1), rows, true, &mut needs).unwrap();
        let Some(Need::Propose(Command::Repair { ops, done: None, .. })) = needs.pop() else { panic!("{needs:?}") };
        assert_eq!(ops.len(), BATCH_OPS_MAX);
        resync.committed(&mut needs);
        let Some(Need::Propose(Command::Repair { ops, done: Some(_), .. })) = needs.pop() else { panic!("{needs:?}") };
        assert_eq!(ops.len(), 1);
        assert!(resync.committed(&mut needs));
    }
}
