//! What every store must do: one suite, run against [`MemStore`] and [`RocksStore`]; below it, what only a store on disk can show.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;

use super::{MemStore, Physical, PhysicalView, Reader, RocksOptions, RocksStore};
use crate::machine::{Batch, Command, KeyTerm, KeyUse, Op, Outcome, PageSum, Role, Stage, item_hash, page_of};
use crate::types::{Generation, Index, Key, Position, Prefix, Revision, Scope, SetId, Timestamp, WalIndex};

/// A store with a log in front of it.
struct Driven<'s> {
    store: &'s dyn Physical,
    at: u64,
}

impl<'s> Driven<'s> {
    fn new(store: &'s dyn Physical) -> Self {
        Self { store, at: 0 }
    }
    fn run_all(&mut self, commands: &[Command]) -> Vec<Outcome> {
        let view = PhysicalView(self.store);
        let mut stage = Stage::new(&view);
        for command in commands {
            self.at += 1;
            stage.apply(Index(self.at), command).unwrap();
        }
        let applied = stage.into_applied();
        self.store.commit(&applied, &vec![("applied", self.at.to_be_bytes().to_vec())]).unwrap();
        applied.into_iter().map(|applied| applied.outcome).collect()
    }
    fn run(&mut self, command: Command) -> Outcome {
        self.run_all(&[command]).remove(0)
    }
    fn write(&mut self, ops: Vec<Op>) -> Outcome {
        self.run(write(ops))
    }
    fn put(&mut self, key: Key, value: &'static str) {
        assert!(matches!(self.write(vec![put(key, value)]), Outcome::Committed(_)));
    }
}

fn put(key: Key, value: &'static str) -> Op {
    Op::Put { key, value: Bytes::from_static(value.as_bytes()) }
}
fn delete(key: Key) -> Op {
    Op::Delete { key }
}
fn write(ops: Vec<Op>) -> Command {
    Command::Write(Batch { ops, at: Timestamp(7), ..Batch::default() })
}
fn secondary(filling: bool) -> Role {
    Role::Secondary { set: SetId::new("set"), generation: Generation(1), filling }
}
fn value_at(reader: &dyn Reader, key: &Key) -> Option<(u64, Vec<u8>)> {
    reader.get(key).unwrap().map(|stored| (stored.revision.0, stored.value.to_vec()))
}
fn listed(reader: &dyn Reader, path: &str, after: Option<&str>, limit: usize) -> Vec<String> {
    reader.list(&Prefix::new(Scope::Shared, path), after, limit).unwrap().iter().map(|path| (**path).to_owned()).collect()
}
fn children(reader: &dyn Reader, path: &str, after: Option<&str>, limit: usize) -> Vec<String> {
    reader.children(&Prefix::new(Scope::Shared, path), after, limit).unwrap()
}

fn rows_are_kept_with_their_revision(store: &dyn Physical) {
    let mut driven = Driven::new(store);
    let key = Key::shared("m/a");
    driven.put(key.clone(), "1");
    driven.put(key.clone(), "2");
    driven.put(Key::local("m/a"), "local");
    assert_eq!(value_at(&*store.reader(), &key), Some((2, b"2".to_vec())));
    assert_eq!(store.get(&key).unwrap().unwrap().revision, Revision(2));
    assert_eq!(value_at(&*store.reader(), &Key::local("m/a")), Some((3, b"local".to_vec())));
    assert_eq!(value_at(&*store.reader(), &Key::node("m/a")), None);
    driven.write(vec![delete(key.clone())]);
    assert_eq!(store.get(&key).unwrap(), None);
    assert_eq!(store.meta("applied").unwrap(), Some(4u64.to_be_bytes().to_vec()));
    assert_eq!(store.meta("other").unwrap(), None);
}

fn listings_are_in_order_and_paged(store: &dyn Physical) {
    let mut driven = Driven::new(store);
    for path in ["m/b", "m/a", "m/a/x", "m/a/y/z", "m/a-b", "m/a.b/c", "n/a", "m2/a", "m/c/d"] {
        driven.put(Key::shared(path), "v");
    }
    driven.put(Key::local("m/local"), "v");
    let reader = store.reader();
    assert_eq!(listed(&*reader, "m/", None, 99), ["m/a", "m/a-b", "m/a.b/c", "m/a/x", "m/a/y/z", "m/b", "m/c/d"]);
    assert_eq!(listed(&*reader, "m/", Some("m/a-b"), 2), ["m/a.b/c", "m/a/x"]);
    assert_eq!(listed(&*reader, "m/", Some("a"), 1), ["m/a"]);
    assert_eq!(listed(&*reader, "m/", Some("z"), 9), [""; 0]);
    assert_eq!(listed(&*reader, "", None, 99).len(), 9);
    assert_eq!(children(&*reader, "m/", None, 99), ["a", "a-b", "a.b/", "a/", "b", "c/"]);
    assert_eq!(children(&*reader, "m/", Some("a"), 2), ["a-b", "a.b/"]);
    assert_eq!(children(&*reader, "m/", Some("a/"), 9), ["b", "c/"]);
    assert_eq!(children(&*reader, "m/", Some("a/x"), 9), ["b", "c/"]);
    assert_eq!(children(&*reader, "", None, 9), ["m/", "m2/", "n/"]);
    assert_eq!(children(&*reader, "m/a/", None, 9), ["x", "y/"]);
    assert_eq!(children(&*reader, "m/", None, 0), [""; 0]);
    let mut all: Vec<String> = Vec::new();
    loop {
        let page = children(&*reader, "m/", all.last().map(String::as_str), 1);
        if page.is_empty() {
            break;
        }
        all.extend(page);
    }
    assert_eq!(all, children(&*reader, "m/", None, 99));
}

fn a_reader_holds_its_moment(store: &dyn Physical) {
    let mut driven = Driven::new(store);
    driven.put(Key::shared("a"), "1");
    let before = store.reader();
    let (pages, positions) = (before.pages(Scope::Shared), before.positions());
    driven.put(Key::shared("a"), "2");
    driven.put(Key::shared("b"), "2");
    driven.run(Command::Adopt { role: secondary(true), ops: Vec::new(), encrypted: KeyUse::default() });
    assert_eq!(value_at(&*before, &Key::shared("a")), Some((1, b"1".to_vec())));
    assert_eq!(value_at(&*before, &Key::shared("b")), None);
    assert_eq!(before.pages(Scope::Shared), pages);
    assert_eq!(before.positions(), positions);
    assert_eq!(before.role(), Role::Alone);
    assert_eq!(before.page_rows(Scope::Shared, page_of("a")).unwrap().len(), 1);
    assert_eq!(store.reader().role(), secondary(true));
}

fn wiping_leaves_the_nodes_own_rows(store: &dyn Physical) {
    let mut driven = Driven::new(store);
    driven.put(Key::shared("a"), "1");
    driven.put(Key::local("a"), "1");
    driven.put(Key::node("a"), "1");
    let seal = Key::shared("sys/seal-config");
    driven.run_all(&[
        write(vec![put(Key::shared("b"), "1")]),
        Command::Adopt { role: secondary(true), ops: vec![put(seal.clone(), "s")], encrypted: KeyUse::default() },
    ]);
    let reader = store.reader();
    assert_eq!(listed(&*reader, "", None, 9), ["sys/seal-config"]);
    assert_eq!(value_at(&*reader, &Key::local("a")), None);
    assert_eq!(value_at(&*reader, &Key::node("a")), Some((3, b"1".to_vec())));
    assert_eq!(reader.pages(Scope::Local).iter().filter(|sum| **sum != PageSum::default()).count(), 0);
    assert_eq!(store.page(Scope::Shared, page_of(&seal.path)).0, item_hash(&seal.path, b"s"));
    assert!(reader.page_rows(Scope::Shared, page_of("a")).unwrap().is_empty());
    assert_eq!(store.positions().performance, Position::default());
    assert_eq!(store.records(WalIndex(0), 100).unwrap(), Some(Vec::new()));
    assert_eq!(store.records_kept().last, WalIndex(0));
}

fn uses_of_keys_are_counted(store: &dyn Physical) {
    let mut driven = Driven::new(store);
    let used = |term, values| {
        let encrypted = KeyUse { term: KeyTerm(term), values };
        Command::Write(Batch { ops: vec![put(Key::local("a"), "1")], encrypted, ..Batch::default() })
    };
    driven.run_all(&[used(1, 2), used(1, 3)]);
    driven.run(used(2, 1));
    assert_eq!([1, 2].map(|term| store.key_uses().of(KeyTerm(term))), [5, 1]);
    driven.run(Command::Adopt { role: secondary(true), ops: Vec::new(), encrypted: KeyUse { term: KeyTerm(2), values: 7 } });
    assert_eq!([1, 2].map(|term| store.key_uses().of(KeyTerm(term))), [0, 7]);
}

fn records_follow_each_other_until_they_are_trimmed(store: &dyn Physical) {
    let mut driven = Driven::new(store);
    assert_eq!(store.position_at(WalIndex(0)).unwrap(), Some(Position::default()));
    for _ in 0..5 {
        driven.put(Key::shared("a"), "1");
        driven.put(Key::local("a"), "1");
    }
    let kept = store.records_kept();
    assert_eq!((kept.first, kept.last), (WalIndex(1), WalIndex(5)));
    let all = store.records(WalIndex(0), usize::MAX).unwrap().unwrap();
    assert_eq!(all.len(), 5);
    assert_eq!(all.iter().map(|record| record.len() as u64).sum::<u64>(), kept.bytes);
    let mut position = Position::default();
    for record in &all {
        position = position.then(record);
        assert_eq!(store.position_at(position.wal).unwrap(), Some(position));
    }
    assert_eq!(position, store.positions().performance);
    assert_eq!(store.positions().dr, WalIndex(10));
    assert_eq!(store.records(WalIndex(2), 1).unwrap().unwrap(), all[2..3]);
    assert_eq!(store.records(WalIndex(2), all[0].len() * 2).unwrap().unwrap(), all[2..4]);
    assert_eq!(store.records(WalIndex(5), 1).unwrap(), Some(Vec::new()));
    assert_eq!(store.records(WalIndex(6), 1).unwrap(), None);

    store.trim_records(WalIndex(9)).unwrap();
    assert_eq!(store.records_kept(), kept);
    store.trim_records(WalIndex(3)).unwrap();
    assert_eq!(store.records(WalIndex(2), 1).unwrap(), None);
    assert_eq!(store.position_at(WalIndex(2)).unwrap(), None);
    assert_eq!(store.records(WalIndex(3), usize::MAX).unwrap().unwrap(), all[3..]);
    assert_eq!(store.position_at(WalIndex(3)).unwrap().unwrap().wal, WalIndex(3));
    let trimmed = store.records_kept();
    assert_eq!((trimmed.first, trimmed.last), (WalIndex(4), WalIndex(5)));
    assert_eq!(trimmed.bytes, all[3..].iter().map(|record| record.len() as u64).sum::<u64>());
    store.trim_records(WalIndex(5)).unwrap();
    assert_eq!(store.records_kept().bytes, 0);
    assert_eq!(store.records(WalIndex(5), 9).unwrap(), Some(Vec::new()));
    driven.put(Key::shared("a"), "1");
    assert_eq!(store.records(WalIndex(5), 9).unwrap().unwrap().len(), 1);
    assert_eq!(store.position_at(WalIndex(6)).unwrap(), Some(store.positions().performance));
}

fn a_refused_entry_changes_nothing(store: &dyn Physical) {
    let mut driven = Driven::new(store);
    driven.run(Command::Adopt { role: secondary(true), ops: Vec::new(), encrypted: KeyUse::default() });
    let outcomes = driven.run_all(&[
        write(vec![put(Key::local("a"), "1")]),
        Command::Repair { ops: vec![put(Key::shared("r"), "1")], done: Some(Position::default()), generation: Generation(1) },
        write(vec![put(Key::local("a"), "2"), put(Key::shared("a"), "1")]),
        write(vec![put(Key::local("b"), "1")]),
    ]);
    let committed: Vec<bool> = outcomes.iter().map(|outcome| matches!(outcome, Outcome::Committed(_))).collect();
    assert_eq!(committed, [false, true, false, true]);
    assert_eq!(value_at(&*store.reader(), &Key::local("a")), None);
    assert_eq!(value_at(&*store.reader(), &Key::local("b")), Some((5, b"1".to_vec())));
    assert_eq!(store.meta("applied").unwrap(), Some(5u64.to_be_bytes().to_vec()));
}

fn check_pages(store: &dyn Physical) {
    for scope in [Scope::Shared, Scope::Local] {
        let reader = store.reader();
        let mut expected: BTreeMap<u16, (PageSum, BTreeSet<Arc<str>>)> = BTreeMap::new();
        for path in reader.list(&Prefix::new(scope, ""), None, usize::MAX).unwrap() {
            let stored = reader.get(&Key::new(scope, path.clone())).unwrap().unwrap();
            let (sum, paths) = expected.entry(page_of(&path).0).or_default();
            sum.add(item_hash(&path, &stored.value));
            paths.insert(path);
        }
        for (page, sum) in reader.pages(scope).iter().enumerate() {
            let page = u16::try_from(page).unwrap();
            let (rows_sum, paths) = expected.remove(&page).unwrap_or_default();
            assert_eq!(*sum, rows_sum, "page {page} of {scope:?}");
            if !paths.is_empty() {
                let rows = reader.page_rows(scope, crate::machine::PageId(page)).unwrap();
                assert_eq!(rows.iter().map(|(path, _)| path.clone()).collect::<BTreeSet<_>>(), paths);
                assert!(rows.is_sorted_by(|a, b| a.0 < b.0));
            }
        }
    }
}

/// Numbers that stand for entries: small enough that rows meet again.
fn entries() -> impl Strategy<Value = Vec<(u8, u8, u8)>> {
    prop::collection::vec((0..40u8, 0..12u8, 0..3u8), 1..60)
}

fn pages_cover_the_rows(store: &dyn Physical, entries: &[(u8, u8, u8)]) {
    let mut driven = Driven::new(store);
    for (what, name, scope) in entries {
        let key = Key::new(Scope::ALL[usize::from(*scope)], format!("m/{name}"));
        let command = match what {
            0 => Command::Adopt { role: secondary(true), ops: vec![put(key, "adopted")], encrypted: KeyUse::default() },
            1 => Command::SetRole { role: Role::Alone, batch: Batch::default() },
            2..12 => write(vec![delete(key)]),
            12..20 => write(vec![put(key.clone(), "x"), delete(key.clone()), put(key, "z")]),
            what => write(vec![Op::Put { key, value: vec![*what; 3].into() }]),
        };
        driven.run(command);
    }
    check_pages(store);
}

macro_rules! contract {
    ($store:ident, $make:expr) => {
        mod $store {
            use super::*;

            contract!(@each $make, rows_are_kept_with_their_revision, listings_are_in_order_and_paged, a_reader_holds_its_moment,
                wiping_leaves_the_nodes_own_rows, records_follow_each_other_until_they_are_trimmed, uses_of_keys_are_counted, a_refused_entry_changes_nothing);

            proptest! {
                #![proptest_config(ProptestConfig::with_cases(8))]
                #[test]
                fn pages_cover_the_rows(entries in entries()) {
                    let (store, _folder) = $make;
                    super::pages_cover_the_rows(&store, &entries);
                }
            }
        }
    };
    (@each $make:expr, $($name:ident),*) => {
        $(#[test]
        fn $name() {
            let (store, _folder) = $make;
            super::$name(&store);
        })*
    };
}

contract!(mem, (MemStore::new(), ()));
contract!(rocks, on_disk());

fn on_disk() -> (RocksStore, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    (open(folder.path()), folder)
}

fn open(folder: &Path) -> RocksStore {
    RocksStore::open(RocksOptions { cache_bytes: 1 << 20, unflushed_bytes_max: 8 << 20, ..RocksOptions::new(folder) }).unwrap()
}

/// Crashes between the steps of pointing to a state.
#[cfg(feature = "chaos")]
#[test]
fn a_state_opens_after_a_crash_at_any_step_of_pointing_to_it() {
    use crate::chaos::{Verdict, hook, unhook};
    for point in ["pointer-rename.before", "pointer-rename.after"] {
        let folder = tempfile::tempdir().unwrap();
        drop(open(folder.path()));
        hook(move |name| if name == point { Verdict::Fail } else { Verdict::Pass });
        let broken_off = RocksStore::open(RocksOptions::new(folder.path()));
        unhook();
        assert!(broken_off.is_err(), "{point}");
        drop(open(folder.path()));
    }
}

/// What a crash would leave of an open state's folder.
fn crashed(folder: &Path) -> tempfile::TempDir {
    loop {
        let copied = tempfile::tempdir().unwrap();
        for name in files(folder).keys() {
            let to = copied.path().join(name);
            std::fs::create_dir_all(to.parent().unwrap()).unwrap();
            match std::fs::copy(folder.join(name), to) {
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => panic!("{error}"),
            }
        }
        // RocksDB compacts in the background: files that were copied while it did are not of one moment.
        if files(folder) == files(copied.path()) {
            return copied;
        }
    }
}

/// The files of a state and their lengths, but its lock and what it logs for people.
fn files(folder: &Path) -> BTreeMap<PathBuf, u64> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = PathBuf::from(path.file_name().unwrap());
        let Ok(about) = std::fs::metadata(&path) else { continue };
        if about.is_dir() {
            found.extend(files(&path).into_iter().map(|(below, len)| (name.join(below), len)));
        } else if name != Path::new("LOCK") && !name.to_string_lossy().starts_with("LOG") {
            found.insert(name, about.len());
        }
    }
    found
}

fn fingerprint(store: &dyn Physical) -> impl PartialEq + std::fmt::Debug + use<> {
    let reader = store.reader();
    let rows: Vec<_> = Scope::ALL
        .into_iter()
        .flat_map(|scope| {
            reader.list(&Prefix::new(scope, ""), None, usize::MAX).unwrap().into_iter().map(move |path| Key::new(scope, path))
        })
        .map(|key| (key.clone(), reader.get(&key).unwrap()))
        .collect();
    let pages =
        [Scope::Shared, Scope::Local].map(|scope| blake3::hash(&reader.pages(scope).iter().flat_map(|sum| sum.0).collect::<Vec<u8>>()));
    (
        rows,
        pages,
        reader.positions(),
        reader.role(),
        store.records_kept(),
        store.meta("applied").unwrap(),
        store.records(WalIndex(0), 1 << 20).unwrap(),
    )
}

fn some_history(driven: &mut Driven<'_>, from: usize, upto: usize) {
    for n in from..upto {
        let key = Key::new(Scope::ALL[n % 3], format!("m/{}", n % 7));
        driven.write(vec![Op::Put { key, value: vec![0; n].into() }, delete(Key::shared(format!("m/{}", n % 5)))]);
    }
}

#[test]
fn a_state_is_the_same_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    some_history(&mut Driven::new(&store), 0, 30);
    store.trim_records(WalIndex(4)).unwrap();
    store.flush().unwrap();
    let before = fingerprint(&store);
    drop(store);
    let store = open(folder.path());
    assert_eq!(fingerprint(&store), before);
    check_pages(&store);
    let mut driven = Driven { store: &store, at: 30 };
    driven.put(Key::shared("more"), "v");
    assert_eq!(store.position_at(store.positions().performance.wal).unwrap(), Some(store.positions().performance));
}

#[test]
fn a_copy_that_was_compared_goes_on_from_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let mut driven = Driven::new(&store);
    driven.run(Command::Adopt { role: secondary(true), ops: Vec::new(), encrypted: Default::default() });
    let theirs = Position { wal: WalIndex(40), history: crate::types::HistoryHash([7; 32]) };
    driven.run(Command::Repair { ops: vec![put(Key::shared("r"), "1")], done: Some(theirs), generation: Generation(1) });
    store.flush().unwrap();
    drop(store);
    let store = open(folder.path());
    assert_eq!(store.position_at(theirs.wal).unwrap(), Some(theirs));
    assert_eq!(store.records(theirs.wal, 1000).unwrap(), Some(Vec::new()));
    assert_eq!(store.records(WalIndex(39), 1000).unwrap(), None);
}

#[test]
fn sums_are_the_same_however_often_they_were_folded() {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..12 {
        let store = open(folder.path());
        let mut driven = Driven { store: &store, at: round * 40 };
        some_history(&mut driven, round as usize * 20, round as usize * 20 + 20);
        if round % 3 == 2 {
            driven
                .write((0..7).flat_map(|n| [Scope::Shared, Scope::Local].map(|scope| delete(Key::new(scope, format!("m/{n}"))))).collect());
        }
        if round == 7 {
            driven.run(Command::Adopt { role: secondary(true), ops: Vec::new(), encrypted: Default::default() });
            driven.run(Command::SetRole { role: Role::Alone, batch: Batch::default() });
        }
        let before = fingerprint(&store);
        store.flush().unwrap();
        drop(store);
        let store = open(folder.path());
        assert_eq!(fingerprint(&store), before);
        check_pages(&store);
    }
}

#[test]
fn a_crash_leaves_all_families_at_the_moment_of_the_last_flush() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let mut driven = Driven::new(&store);
    some_history(&mut driven, 0, 20);
    store.flush().unwrap();
    let flushed = fingerprint(&store);
    some_history(&mut driven, 20, 40);
    let copied = crashed(folder.path());
    let crashed = open(copied.path());
    assert_eq!(fingerprint(&crashed), flushed);
    // The log replays what was lost, and both are the same again.
    some_history(&mut Driven { store: &crashed, at: 20 }, 20, 40);
    assert_eq!(fingerprint(&crashed), fingerprint(&store));
}

#[test]
fn a_checkpoint_is_installed_whole_and_old_readers_keep_theirs() {
    let scratch = tempfile::tempdir().unwrap();
    let (source, _source_folder) = on_disk();
    let mut driven = Driven::new(&source);
    some_history(&mut driven, 0, 20);
    let staged = scratch.path().join("staged");
    source.checkpoint(&staged).unwrap();
    assert!(source.checkpoint(&staged).is_err());
    let taken = fingerprint(&source);
    some_history(&mut driven, 20, 25);

    let target_folder = tempfile::tempdir().unwrap();
    let target = open(target_folder.path());
    Driven::new(&target).put(Key::shared("old"), "v");
    let old = target.reader();
    target.install(&staged).unwrap();
    assert_eq!(fingerprint(&target), taken);
    assert_eq!(value_at(&*old, &Key::shared("old")), Some((1, b"v".to_vec())));
    drop(old);
    assert!(target.install(&staged).is_err());
    some_history(&mut Driven { store: &target, at: 20 }, 20, 25);
    assert_eq!(fingerprint(&target), fingerprint(&source));
    drop(target);
    let target = open(target_folder.path());
    assert_eq!(fingerprint(&target), fingerprint(&source));
    assert_eq!(std::fs::read_dir(target_folder.path()).unwrap().filter(|entry| entry.as_ref().unwrap().path().is_dir()).count(), 1);
}

#[test]
fn a_state_is_open_once() {
    let (_store, folder) = on_disk();
    assert!(RocksStore::open(RocksOptions::new(folder.path())).is_err());
}
