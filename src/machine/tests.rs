//! The tables of `apply`: role and command in, outcome out; and the golden bytes of the codec.

use std::collections::BTreeMap;
use std::convert::Infallible;

use bytes::Bytes;

use super::*;
use crate::types::{Generation, HistoryHash, Index, Key, Position, Revision, Scope, SetId, Timestamp, WalIndex};

/// A state that entries are applied to, one by one.
#[derive(Clone, Default)]
struct State {
    role: Role,
    positions: Positions,
    key_uses: KeyUses,
    rows: BTreeMap<Key, Stored>,
    pages: BTreeMap<(Scope, PageId), PageSum>,
    at: u64,
}

impl View for State {
    type Error = Infallible;

    fn role(&self) -> Role {
        self.role.clone()
    }
    fn positions(&self) -> Positions {
        self.positions
    }
    fn key_uses(&self) -> KeyUses {
        self.key_uses
    }
    fn stored(&self, key: &Key) -> Result<Option<Stored>, Infallible> {
        Ok(self.rows.get(key).cloned())
    }
    fn page(&self, scope: Scope, page: PageId) -> PageSum {
        self.pages.get(&(scope, page)).copied().unwrap_or_default()
    }
}

impl State {
    fn with(role: Role) -> Self {
        Self { role, at: 7, ..Self::default() }
    }

    fn run(&mut self, command: &Command) -> Applied {
        self.at += 1;
        let applied = apply(self, Index(self.at), command).unwrap();
        if applied.wipe {
            self.rows.retain(|key, _| key.scope == Scope::Node);
            self.pages.clear();
        }
        for row in &applied.rows {
            match &row.value {
                Some(value) => self.rows.insert(row.key.clone(), Stored { revision: Revision(self.at), value: value.clone() }),
                None => self.rows.remove(&row.key),
            };
        }
        self.pages.extend(applied.pages.iter());
        self.positions = applied.positions;
        self.key_uses = applied.key_uses;
        if let Some(role) = &applied.role {
            self.role = role.clone();
        }
        applied
    }
}

/// What a row of a table expects.
#[derive(Debug, PartialEq)]
enum Expected {
    Committed,
    Conflict(&'static str),
    Refused(Refusal),
}

const ALONE: Role = Role::Alone;

fn set() -> SetId {
    SetId::new("set-1")
}
fn primary() -> Role {
    Role::Primary { set: set(), generation: Generation(3), fenced_by: None }
}
fn fenced() -> Role {
    Role::Primary { set: set(), generation: Generation(3), fenced_by: Some(Generation(4)) }
}
fn secondary() -> Role {
    Role::Secondary { set: set(), generation: Generation(3), filling: false }
}
fn filling() -> Role {
    Role::Secondary { set: set(), generation: Generation(3), filling: true }
}

fn put(key: Key) -> Op {
    Op::Put { key, value: Bytes::from_static(b"ciphertext") }
}
fn key_of(scope: Scope) -> Key {
    Key::new(scope, "m/a")
}
fn batch(guards: Vec<Guard>, ops: Vec<Op>) -> Batch {
    Batch { guards, ops, at: Timestamp(1000), encrypted: KeyUse::default() }
}
fn write(scope: Scope) -> Command {
    Command::Write(batch(Vec::new(), vec![put(key_of(scope))]))
}
fn guarded(path: &'static str, since: Option<u64>) -> Command {
    let guard = Guard::Unchanged { key: Key::shared(path), since: since.map(Revision) };
    Command::Write(batch(vec![guard], vec![put(Key::shared("m/new"))]))
}
fn record(wal: u64, key: Key) -> Bytes {
    encode_record(&Record { wal: WalIndex(wal), at: Timestamp(500), ops: vec![put(key)] })
}
fn ship(generation: u64, after: Position, records: Vec<Bytes>) -> Command {
    Command::Ship { generation: Generation(generation), after, records }
}
fn adopt(role: Role) -> Command {
    Command::Adopt {
        role,
        ops: vec![put(Key::shared("sys/keyring")), put(Key::node("sys/cluster/ca"))],
        encrypted: KeyUse { term: KeyTerm(2), values: 1 },
    }
}
fn repair(generation: u64, scope: Scope, done: Option<Position>) -> Command {
    Command::Repair { ops: vec![put(key_of(scope))], done, generation: Generation(generation) }
}
fn old_generation() -> Expected {
    Expected::Refused(Refusal::OldGeneration { theirs: Generation(2), ours: Generation(3) })
}
fn not_ours(scope: Scope) -> Expected {
    Expected::Refused(Refusal::NotOurs(key_of(scope)))
}

#[track_caller]
fn check(role: &Role, command: Command, expected: Expected) {
    let mut state = State::with(role.clone());
    let applied = state.run(&command);
    let outcome = match &applied.outcome {
        Outcome::Committed(positions) => {
            assert_eq!(*positions, applied.positions);
            Expected::Committed
        }
        Outcome::Conflict(key) => Expected::Conflict(if &*key.path == "m/a" { "m/a" } else { "another" }),
        Outcome::Refused(refusal) => Expected::Refused(refusal.clone()),
    };
    assert_eq!(outcome, expected, "{command:?} as {role:?}");
    if expected != Expected::Committed {
        let changes = (applied.rows.len(), applied.pages.len(), applied.records.len(), applied.role, applied.wipe, applied.forget_records);
        assert_eq!(changes, (0, 0, 0, None, false, false), "a refused command changes nothing");
        assert_eq!(applied.positions, Positions::default());
    }
}

#[test]
fn a_role_says_which_scopes_this_cluster_may_write() {
    use Expected::Committed;
    for scope in Scope::ALL {
        check(&ALONE, write(scope), Committed);
        check(&primary(), write(scope), Committed);
    }
    check(&fenced(), write(Scope::Shared), Expected::Refused(Refusal::Fenced(Generation(4))));
    check(&fenced(), write(Scope::Local), Committed);
    check(&secondary(), write(Scope::Shared), not_ours(Scope::Shared));
    check(&secondary(), write(Scope::Local), Committed);
    check(&secondary(), write(Scope::Node), Committed);
    check(&filling(), write(Scope::Shared), not_ours(Scope::Shared));
    check(&filling(), write(Scope::Local), not_ours(Scope::Local));
    check(&filling(), write(Scope::Node), Committed);
}

#[test]
fn a_batch_with_one_unlawful_write_is_refused_whole() {
    let ops = vec![put(key_of(Scope::Local)), put(key_of(Scope::Shared))];
    check(&secondary(), Command::Write(batch(Vec::new(), ops)), not_ours(Scope::Shared));
}

#[test]
fn a_guard_holds_only_at_the_revision_that_was_read() {
    #[track_caller]
    fn check(command: Command, holds: bool) {
        let mut state = State::with(ALONE);
        state.run(&write(Scope::Shared));
        let applied = state.run(&command);
        assert_eq!(matches!(applied.outcome, Outcome::Committed(_)), holds, "{command:?}");
        assert_eq!(matches!(applied.outcome, Outcome::Conflict(_)), !holds);
        assert_eq!(state.rows.contains_key(&Key::shared("m/new")), holds);
        assert_eq!(state.positions.performance.wal, WalIndex(if holds { 2 } else { 1 }));
    }
    check(guarded("m/a", Some(8)), true);
    check(guarded("m/a", Some(7)), false);
    check(guarded("m/a", Some(9)), false);
    check(guarded("m/a", None), false);
    check(guarded("m/none", None), true);
    check(guarded("m/none", Some(8)), false);
}

#[test]
fn a_conflict_is_told_before_a_refusal() {
    check(&secondary(), guarded("m/a", Some(1)), Expected::Conflict("m/a"));
}

#[test]
fn only_a_filled_secondary_replays_records() {
    let frame = || ship(3, Position::default(), vec![record(1, key_of(Scope::Shared))]);
    check(&secondary(), frame(), Expected::Committed);
    for role in [ALONE, primary(), fenced(), filling()] {
        check(&role, frame(), Expected::Refused(Refusal::NotSecondary));
    }
}

#[test]
fn records_follow_without_a_gap_and_from_no_older_primary() {
    use Expected::{Committed, Refused};
    let first = record(1, key_of(Scope::Shared));
    let second = record(2, key_of(Scope::Shared));
    let start = Position::default();
    check(&secondary(), ship(3, start, vec![first.clone(), second.clone()]), Committed);
    check(&secondary(), ship(3, start, Vec::new()), Committed);
    check(&secondary(), ship(4, start, vec![first.clone()]), Committed);
    check(&secondary(), ship(2, start, vec![first.clone()]), old_generation());
    check(&secondary(), ship(3, start.then(&first), vec![second.clone()]), Refused(Refusal::OutOfOrder));
    check(
        &secondary(),
        ship(3, Position { wal: WalIndex(0), history: HistoryHash([1; 32]) }, vec![first.clone()]),
        Refused(Refusal::OutOfOrder),
    );
    check(&secondary(), ship(3, start, vec![second.clone()]), Refused(Refusal::OutOfOrder));
    check(&secondary(), ship(3, start, vec![first.clone(), first.clone()]), Refused(Refusal::OutOfOrder));
    check(&secondary(), ship(3, start, vec![first.clone(), record(3, key_of(Scope::Shared))]), Refused(Refusal::OutOfOrder));
    check(&secondary(), ship(3, start, vec![record(1, key_of(Scope::Local))]), Refused(Refusal::BadRecord));
    check(&secondary(), ship(3, start, vec![first.clone(), record(2, key_of(Scope::Node))]), Refused(Refusal::BadRecord));
    check(&secondary(), ship(3, start, vec![Bytes::from_static(b"\xff\xff")]), Refused(Refusal::BadRecord));
}

#[test]
fn a_frame_that_was_replayed_once_is_refused_the_second_time() {
    let mut state = State::with(secondary());
    let frame = ship(3, Position::default(), vec![record(1, key_of(Scope::Shared))]);
    assert!(matches!(state.run(&frame).outcome, Outcome::Committed(_)));
    assert_eq!(state.run(&frame).outcome, Outcome::Refused(Refusal::OutOfOrder));
}

#[test]
fn a_promotion_begins_a_generation_that_there_was_not() {
    let promote = |generation| Command::SetRole {
        role: Role::Primary { set: set(), generation: Generation(generation), fenced_by: None },
        batch: batch(Vec::new(), Vec::new()),
    };
    let not_later = |theirs| Expected::Refused(Refusal::NotLater { theirs: Generation(theirs), ours: Generation(3) });
    check(&secondary(), promote(4), Expected::Committed);
    check(&secondary(), promote(3), not_later(3));
    check(&secondary(), promote(2), not_later(2));
    // A frame without records tells a generation.
    let mut state = State::with(secondary());
    state.run(&ship(4, Position::default(), Vec::new()));
    assert_eq!(state.run(&promote(4)).outcome, Outcome::Refused(Refusal::NotLater { theirs: Generation(4), ours: Generation(4) }));
}

#[test]
fn a_secondary_remembers_the_highest_generation() {
    let mut state = State::with(secondary());
    let first = record(1, key_of(Scope::Shared));
    state.run(&ship(5, Position::default(), vec![first.clone()]));
    assert_eq!(state.role.generation(), Generation(5));
    let late = state.run(&ship(4, state.positions.performance, vec![record(2, key_of(Scope::Shared))]));
    assert_eq!(late.outcome, Outcome::Refused(Refusal::OldGeneration { theirs: Generation(4), ours: Generation(5) }));
}

#[test]
fn primary_and_secondary_end_with_the_same_rows_tree_and_position() {
    let mut source = State::with(primary());
    let mut copy = State::with(secondary());
    for n in 0..20 {
        let key = Key::shared(format!("m/{}", n % 7));
        let ops = vec![put(Key::local(format!("l/{n}"))), put(key.clone()), Op::Delete { key: Key::shared(format!("m/{}", n % 3)) }];
        let applied = source.run(&Command::Write(batch(Vec::new(), ops)));
        let records: Vec<Bytes> = applied.records.into_iter().map(|(_, record)| record).collect();
        copy.run(&ship(3, copy.positions.performance, records));
    }
    assert_eq!(copy.positions.performance, source.positions.performance);
    assert_eq!(copy.positions.performance_at, Timestamp(1000));
    let shared = |state: &State| -> Vec<(Key, Ciphertext)> {
        state.rows.iter().filter(|(key, _)| key.scope == Scope::Shared).map(|(key, stored)| (key.clone(), stored.value.clone())).collect()
    };
    let tree = |state: &State| -> Vec<_> {
        state.pages.iter().filter(|(id, sum)| id.0 == Scope::Shared && **sum != PageSum::default()).map(|(id, sum)| (*id, *sum)).collect()
    };
    assert_eq!(shared(&copy), shared(&source));
    assert_eq!(tree(&copy), tree(&source));
    assert!(!shared(&copy).is_empty());
}

#[test]
fn local_writes_count_for_disaster_recovery_alone() {
    #[track_caller]
    fn check(scope: Scope, performance: u64, dr: u64) {
        let mut state = State::with(ALONE);
        state.run(&write(scope));
        assert_eq!((state.positions.performance.wal, state.positions.dr), (WalIndex(performance), WalIndex(dr)));
    }
    check(Scope::Shared, 1, 1);
    check(Scope::Local, 0, 1);
    check(Scope::Node, 0, 0);
}

#[test]
fn adopting_wipes_all_but_the_nodes_own_rows() {
    check(&ALONE, adopt(filling()), Expected::Committed);
    check(&primary(), adopt(filling()), Expected::Committed);
    check(&secondary(), adopt(filling()), Expected::Committed);
    check(&ALONE, adopt(secondary()), Expected::Refused(Refusal::NotSecondary));
    check(&ALONE, adopt(primary()), Expected::Refused(Refusal::NotSecondary));

    let mut state = State::with(ALONE);
    Scope::ALL.into_iter().for_each(|scope| drop(state.run(&write(scope))));
    let applied = state.run(&adopt(filling()));
    assert!(applied.wipe && applied.forget_records);
    assert_eq!(state.role, filling());
    assert_eq!(state.positions.performance, Position::default());
    assert_eq!(state.positions.dr, WalIndex(2));
    let left: Vec<String> = state.rows.keys().map(|key| format!("{key:?}")).collect();
    assert_eq!(left, ["Shared:sys/keyring", "Node:m/a", "Node:sys/cluster/ca"]);
    let keyring_page = state.page(Scope::Shared, page_of("sys/keyring"));
    assert_eq!(keyring_page.0, item_hash("sys/keyring", b"ciphertext"));
    assert_eq!(state.pages.len(), 1);
}

#[test]
fn a_repair_ends_the_filling_with_its_last_part() {
    let done = Position { wal: WalIndex(40), history: HistoryHash([7; 32]) };
    check(&secondary(), repair(3, Scope::Shared, None), Expected::Committed);
    check(&secondary(), repair(3, Scope::Shared, Some(done)), Expected::Committed);
    check(&filling(), repair(4, Scope::Shared, Some(done)), Expected::Committed);
    check(&secondary(), repair(2, Scope::Shared, None), old_generation());
    check(&secondary(), repair(3, Scope::Local, None), Expected::Refused(Refusal::BadRecord));
    check(&secondary(), repair(3, Scope::Node, None), Expected::Refused(Refusal::BadRecord));
    for role in [ALONE, primary(), fenced()] {
        check(&role, repair(3, Scope::Shared, Some(done)), Expected::Refused(Refusal::NotSecondary));
    }

    let mut state = State::with(filling());
    state.run(&repair(4, Scope::Shared, None));
    assert_eq!(state.role, filling());
    assert_eq!(state.positions.performance, Position::default());
    let applied = state.run(&repair(4, Scope::Shared, Some(done)));
    assert!(applied.forget_records);
    assert_eq!(state.role, Role::Secondary { set: set(), generation: Generation(4), filling: false });
    assert_eq!(state.positions.performance, done);
    let follows = state.run(&ship(4, done, vec![record(41, key_of(Scope::Shared))]));
    assert!(matches!(follows.outcome, Outcome::Committed(_)));
}

#[test]
fn a_change_of_role_rests_on_its_guards_and_writes_what_the_old_role_may() {
    let role_key = Key::node("sys/replication/performance/role");
    let change = |since: Option<u64>, op: Op| {
        let guard = Guard::Unchanged { key: role_key.clone(), since: since.map(Revision) };
        Command::SetRole { role: primary(), batch: batch(vec![guard], vec![op]) }
    };
    check(&ALONE, change(None, put(role_key.clone())), Expected::Committed);
    check(&ALONE, change(Some(1), put(role_key.clone())), Expected::Conflict("another"));
    check(&secondary(), change(None, put(key_of(Scope::Shared))), not_ours(Scope::Shared));
    let mut state = State::with(ALONE);
    state.run(&change(None, put(role_key.clone())));
    assert_eq!(state.role, primary());
}

#[test]
fn a_batch_may_write_one_key_twice_and_the_tree_knows_the_last() {
    let key = key_of(Scope::Shared);
    let ops = vec![put(key.clone()), Op::Delete { key: key.clone() }, Op::Put { key: key.clone(), value: Bytes::from_static(b"last") }];
    let mut state = State::with(ALONE);
    state.run(&Command::Write(batch(Vec::new(), ops)));
    assert_eq!(state.page(Scope::Shared, page_of("m/a")).0, item_hash("m/a", b"last"));
    state.run(&Command::Write(batch(Vec::new(), vec![Op::Delete { key }])));
    assert_eq!(state.page(Scope::Shared, page_of("m/a")), PageSum::default());
}

fn used(scope: Scope, term: u32, values: u64) -> Batch {
    Batch { ops: vec![put(key_of(scope))], encrypted: KeyUse { term: KeyTerm(term), values }, ..Batch::default() }
}

/// What a cluster that runs these ends with: how many values the keys 1, 2 and 3 encrypted.
#[track_caller]
fn check_uses(role: Role, commands: &[Command], expected: [u64; 3]) {
    let mut state = State::with(role);
    for command in commands {
        state.run(command);
    }
    assert_eq!([1, 2, 3].map(|term| state.key_uses.of(KeyTerm(term))), expected);
}

#[test]
fn what_was_encrypted_is_counted_with_what_is_committed() {
    let write = |scope, term, values| Command::Write(used(scope, term, values));
    let set_role = Command::SetRole { role: primary(), batch: used(Scope::Node, 2, 4) };
    check_uses(ALONE, &[write(Scope::Shared, 1, 2), write(Scope::Local, 1, 3), set_role], [5, 4, 0]);
    // Refused, and in conflict: as if nothing had been.
    check_uses(secondary(), &[write(Scope::Shared, 1, 2), write(Scope::Local, 1, 3)], [3, 0, 0]);
    let mut late = used(Scope::Shared, 1, 7);
    late.guards.push(Guard::Unchanged { key: key_of(Scope::Shared), since: Some(Revision(1)) });
    check_uses(ALONE, &[write(Scope::Shared, 1, 2), Command::Write(late)], [2, 0, 0]);
    // The primary encrypted and counted what a secondary receives.
    check_uses(secondary(), &[ship(3, Position::default(), vec![record(1, key_of(Scope::Shared))])], [0, 0, 0]);
    // With a primary's keys, the count is that of those keys.
    check_uses(ALONE, &[write(Scope::Shared, 2, 9), adopt(filling())], [0, 1, 0]);
}

#[test]
fn staged_entries_see_each_other_as_if_applied_one_by_one() {
    let commands = [
        write(Scope::Shared),
        guarded("m/a", Some(8)),
        adopt(filling()),
        repair(3, Scope::Shared, Some(Position::default())),
        write(Scope::Local),
        write(Scope::Shared),
        Command::Write(used(Scope::Local, 1, 3)),
        Command::Write(used(Scope::Local, 1, 4)),
    ];
    let mut one_by_one = State::with(ALONE);
    let expected: Vec<Applied> = commands.iter().map(|command| one_by_one.run(command)).collect();
    let base = State::with(ALONE);
    let mut stage = Stage::new(&base);
    for (at, command) in (8..).zip(&commands) {
        stage.apply(Index(at), command).unwrap();
    }
    assert_eq!(stage.into_applied(), expected);
}

/// The stored bytes stand still: a change here is a change of the format.
#[track_caller]
fn check_golden(name: &str, bytes: &[u8]) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, hex::encode(bytes) + "\n").unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap();
    assert_eq!(hex::encode(bytes), golden.trim(), "{name}");
}

#[test]
fn commands_keep_their_stored_bytes() {
    let position = Position { wal: WalIndex(41), history: HistoryHash([9; 32]) };
    let guards = vec![
        Guard::Unchanged { key: Key::local("l/1"), since: Some(Revision(300)) },
        Guard::Unchanged { key: Key::node("n"), since: None },
    ];
    let ops = vec![put(Key::shared("m/ä")), Op::Delete { key: Key::local("l/1") }, Op::Put { key: Key::node("n"), value: Bytes::new() }];
    let commands = [
        ("command-write.hex", Command::Write(batch(guards.clone(), ops.clone()))),
        ("command-write-counted.hex", Command::Write(used(Scope::Shared, 3, 300))),
        ("command-adopt-counted.hex", adopt(filling())),
        ("command-ship.hex", ship(3, position, vec![record(42, key_of(Scope::Shared))])),
        ("command-set-role-alone.hex", Command::SetRole { role: ALONE, batch: batch(guards.clone(), Vec::new()) }),
        ("command-set-role-fenced.hex", Command::SetRole { role: fenced(), batch: batch(guards, Vec::new()) }),
        ("command-adopt.hex", Command::Adopt { role: filling(), ops, encrypted: KeyUse::default() }),
        ("command-repair.hex", repair(3, Scope::Shared, Some(position))),
        ("command-repair-part.hex", repair(3, Scope::Shared, None)),
    ];
    for (name, command) in commands {
        let bytes = encode_command(&command);
        check_golden(name, &bytes);
        assert_eq!(decode_command(&bytes).unwrap(), command, "{name}");
    }
}

#[test]
fn records_and_roles_keep_their_stored_bytes() {
    let wanted = Record {
        wal: WalIndex(42),
        at: Timestamp(1_770_798_543_511),
        ops: vec![put(Key::shared("m/a")), Op::Delete { key: Key::shared("m/b") }],
    };
    let bytes = encode_record(&wanted);
    check_golden("record.hex", &bytes);
    assert_eq!(decode_record(&bytes).unwrap(), wanted);
    for (name, role) in
        [("role-alone.hex", ALONE), ("role-primary.hex", primary()), ("role-fenced.hex", fenced()), ("role-filling.hex", filling())]
    {
        let bytes = encode_role(&role);
        check_golden(name, &bytes);
        assert_eq!(decode_role(&bytes).unwrap(), role);
    }
}

#[test]
fn bytes_that_are_no_command_are_told_from_one() {
    assert!(decode_command(&Bytes::from_static(b"")).is_err());
    assert!(decode_command(&Bytes::from_static(b"\xff\xff\xff")).is_err());
    let write = encode_command(&write(Scope::Shared));
    for cut in 1..write.len() {
        // Never a panic; a cut that happens to be well-formed may decode.
        let _ = decode_command(&write.slice(..cut));
    }
}

#[test]
fn what_a_token_is_stays_in_its_cluster() {
    let mut state = State::with(primary());
    let key = Key::local("sys/token/id/abc");
    let applied = state.run(&Command::Write(batch(Vec::new(), vec![put(key.clone()), put(key_of(Scope::Shared))])));
    let shipped: Vec<Record> = applied.records.iter().map(|(_, bytes)| decode_record(bytes).unwrap()).collect();
    assert!(shipped.iter().flat_map(|record| &record.ops).all(|op| op.key().scope == Scope::Shared), "{shipped:?}");
    assert!(state.rows.contains_key(&key));
}

#[test]
fn an_entry_that_is_applied_again_is_in_conflict_with_itself() {
    let mut state = State::with(ALONE);
    let key = key_of(Scope::Shared);
    let guard = Guard::Unchanged { key: key.clone(), since: None };
    let command = Command::Write(batch(vec![guard], vec![put(key)]));
    let first = state.run(&command);
    state.at -= 1;
    assert!(matches!(state.run(&command).outcome, Outcome::Conflict(_)));
    assert_eq!(state.positions, first.positions);
}

#[test]
fn a_frame_is_replayed_in_its_order_and_once() {
    let mut state = State::with(secondary());
    let value = |text: &'static str| Op::Put { key: key_of(Scope::Shared), value: Bytes::from_static(text.as_bytes()) };
    let records = [value("old"), value("new")].into_iter().zip(1..);
    let records = records.map(|(op, wal)| encode_record(&Record { wal: WalIndex(wal), at: Timestamp(1), ops: vec![op] }));
    state.run(&ship(3, Position::default(), records.collect()));
    assert_eq!(&state.rows[&key_of(Scope::Shared)].value[..], b"new");
}
