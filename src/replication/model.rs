//! Changes of role, exhaustively: two clusters, a few writes, and every order in which an operator's calls, messages, commits and
//! cuts of the line can happen, each state visited once.
//!
//! State machine, shipper and applier are the product's own. What drives them (`session`, `follower`) and the operator's calls
//! (`core::replication`) are restated here without time, as small as they can be. From every state that is reached, doing what is left
//! to do must end with one primary and equal copies.

mod line;

use std::collections::{HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

use line::Line;

use super::applier::{Applier, ApplyEvent, Phase};
use super::link::{FromPrimary, FromSecondary};
use super::shipper::{ShipEvent, Shipper};
use crate::machine::{Batch, Command, Op, Outcome, Role, Stage};
use crate::storage::{MemStore, Physical, PhysicalView};
use crate::types::{Generation, Index, Key, Position, Scope, SetId};

/// What may happen next, to the cluster with this number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    /// A client writes a shared row.
    Write(usize),
    /// A demotion begins: no more shared writes.
    Fence(usize),
    /// It ends, whether secondaries have all or not.
    Demote(usize),
    Promote(usize),
    /// It is pointed to the other one.
    Follow(usize),
    /// It opens its link.
    Connect(usize),
    /// Its next message reaches the primary.
    Hear(usize),
    /// The primary's next message reaches it.
    Tell(usize),
    /// What it proposed is committed.
    Commit(usize),
    /// The same, when the link that it came from is gone.
    Stray(usize),
    /// It is not, as another leader did not have it.
    Lose(usize),
    /// Its link breaks.
    Cut(usize),
}

struct Side {
    store: MemStore,
    index: u64,
    /// It remembers a primary: the other one.
    follows: bool,
    /// It knows the other one as its secondary.
    admits: bool,
    line: Option<Line>,
    stray: Option<Command>,
}

/// How much of each may still happen.
#[derive(Clone, Copy, Debug)]
struct Left {
    writes: usize,
    demotions: usize,
    promotions: usize,
    cuts: usize,
}

#[derive(Clone)]
struct World {
    sides: [Side; 2],
    acknowledged: Vec<String>,
    left: Left,
    /// The operator promotes only what has everything, when the other one is demoted; else whatever and whenever.
    in_order: bool,
}

impl Clone for Side {
    fn clone(&self) -> Self {
        let (line, stray) = (self.line.clone(), self.stray.clone());
        Self { store: self.store.crash(usize::MAX), index: self.index, follows: self.follows, admits: self.admits, line, stray }
    }
}

fn primary(generation: u64, fenced_by: Option<u64>) -> Role {
    Role::Primary { set: SetId::new("set"), generation: Generation(generation), fenced_by: fenced_by.map(Generation) }
}
fn secondary(generation: u64) -> Role {
    Role::Secondary { set: SetId::new("set"), generation: Generation(generation), filling: false }
}

impl Side {
    fn new() -> Self {
        Self { store: MemStore::new(), index: 0, follows: false, admits: false, line: None, stray: None }
    }
    fn role(&self) -> Role {
        self.store.role()
    }
    fn at(&self) -> Position {
        self.store.positions().performance
    }
    fn writes(&self) -> bool {
        self.role().may_write(Scope::Shared)
    }
    /// Whether it serves a secondary that it knows.
    fn serves(&self) -> bool {
        self.admits && (self.role().is_primary() || !self.follows)
    }
    fn cut(&mut self) {
        if let Some(line) = self.line.take() {
            self.stray = line.proposal.or(self.stray.take());
        }
    }
}

impl World {
    /// A primary and its secondary, both empty.
    fn new(in_order: bool, left: Left) -> Self {
        let mut world = Self { sides: [Side::new(), Side::new()], acknowledged: Vec::new(), left, in_order };
        world.set_role(0, primary(1, None));
        world.set_role(1, secondary(1));
        (world.sides[0].admits, world.sides[1].follows) = (true, true);
        world
    }

    fn apply(&mut self, at: usize, command: &Command) -> Outcome {
        let side = &mut self.sides[at];
        let before = side.role();
        side.index += 1;
        let view = PhysicalView(&side.store);
        let mut stage = Stage::new(&view);
        let outcome = stage.apply(Index(side.index), command).unwrap().outcome.clone();
        side.store.commit(&stage.into_applied(), &Vec::new()).unwrap();
        if before.is_primary() != side.role().is_primary() {
            self.sides.iter_mut().for_each(Side::cut);
        }
        let now = self.sides[at].at();
        self.ship(1 - at, ShipEvent::Grew(now));
        outcome
    }

    fn set_role(&mut self, at: usize, role: Role) {
        let outcome = self.apply(at, &Command::SetRole { role, batch: Batch::default() });
        assert!(matches!(outcome, Outcome::Committed(_)), "{outcome:?}");
    }

    fn can(&self, act: Act) -> bool {
        let (Act::Write(at)
        | Act::Fence(at)
        | Act::Demote(at)
        | Act::Promote(at)
        | Act::Follow(at)
        | Act::Connect(at)
        | Act::Hear(at)
        | Act::Tell(at)
        | Act::Commit(at)
        | Act::Stray(at)
        | Act::Lose(at)
        | Act::Cut(at)) = act;
        let (side, other, line) = (&self.sides[at], &self.sides[1 - at], self.sides[at].line.as_ref());
        let is_demoting = matches!(side.role(), Role::Primary { generation, fenced_by, .. } if fenced_by == Some(generation));
        // A log keeps the order: what an earlier link proposed comes first, or never. A new link waits for that too.
        if side.stray.is_some() && !matches!(act, Act::Hear(_) | Act::Tell(_) | Act::Stray(_) | Act::Lose(_) | Act::Cut(_)) {
            return false;
        }
        match act {
            Act::Write(_) => self.left.writes > 0 && side.writes(),
            Act::Fence(_) => self.left.demotions > 0 && side.role().is_primary() && !is_demoting,
            Act::Demote(_) => is_demoting,
            Act::Promote(_) => {
                let is_latest = other.role().generation() <= side.role().generation();
                let has_all = other.role().is_secondary() && other.at().wal <= side.at().wal && is_latest;
                self.left.promotions > 0 && side.role().is_secondary() && (has_all || !self.in_order)
            }
            Act::Follow(_) => side.role().is_secondary() && other.writes() && !(side.follows && other.admits),
            Act::Connect(_) => side.role().is_secondary() && side.follows && line.is_none() && other.serves(),
            Act::Hear(_) => line.is_some_and(|line| !line.up.is_empty() && !line.is_ending),
            Act::Tell(_) => line.is_some_and(|line| !line.down.is_empty() || line.is_ending),
            Act::Commit(_) => line.is_some_and(|line| line.proposal.is_some()),
            Act::Stray(_) | Act::Lose(_) => side.stray.is_some(),
            Act::Cut(_) => self.left.cuts > 0 && line.is_some(),
        }
    }

    fn does(&mut self, act: Act) {
        match act {
            Act::Write(at) => {
                self.left.writes -= 1;
                // The last takes away what the one before it wrote.
                let (path, is_last) = (format!("m/{}", self.left.writes.max(1)), self.left.writes == 0);
                let key = Key::shared(path.as_str());
                let op = if is_last { Op::Delete { key } } else { Op::Put { key, value: format!("of {at}").into_bytes().into() } };
                let outcome = self.apply(at, &Command::Write(Batch { ops: vec![op], ..Batch::default() }));
                assert!(matches!(outcome, Outcome::Committed(_)), "{outcome:?}");
                self.acknowledged.retain(|known| *known != path);
                if !is_last {
                    self.acknowledged.push(path);
                }
            }
            Act::Fence(at) => {
                self.left.demotions -= 1;
                let generation = self.sides[at].role().generation().0;
                self.set_role(at, primary(generation, Some(generation)));
            }
            Act::Demote(at) => {
                let generation = self.sides[at].role().generation().0;
                self.sides[at].follows = false;
                self.set_role(at, secondary(generation));
            }
            Act::Promote(at) => {
                self.left.promotions -= 1;
                let generation = self.sides[at].role().generation().0;
                (self.sides[at].follows, self.sides[at].admits) = (false, false);
                self.set_role(at, primary(generation + 1, None));
            }
            Act::Follow(at) => {
                self.sides.iter_mut().for_each(Side::cut);
                self.sides[1 - at].admits = true;
                (self.sides[at].follows, self.sides[at].admits) = (true, false);
            }
            Act::Connect(at) => {
                let other = &self.sides[1 - at];
                let shipper = Shipper::new(other.role().generation(), other.at());
                let (up, down) = (VecDeque::new(), VecDeque::new());
                let applier = Applier::default();
                self.sides[at].line = Some(Line { shipper, applier, up, down, proposal: None, snapshot: None, is_ending: false });
                self.follow(at, ApplyEvent::Connected);
            }
            Act::Hear(at) => {
                let said = self.sides[at].line.as_mut().and_then(|line| line.up.pop_front()).unwrap();
                self.ship(at, ShipEvent::Said(said));
            }
            Act::Tell(at) => {
                let ours = self.sides[at].role().generation();
                match self.sides[at].line.as_mut().and_then(|line| line.down.pop_front()) {
                    // It has ended, or is a stale primary's.
                    None => self.sides[at].cut(),
                    Some(FromPrimary::Heartbeat { generation, .. }) if generation < ours => self.sides[at].cut(),
                    Some(said) => self.follow(at, ApplyEvent::Said(said)),
                }
            }
            Act::Commit(at) => {
                let command = self.sides[at].line.as_mut().and_then(|line| line.proposal.take()).unwrap();
                let event = match self.apply(at, &command) {
                    Outcome::Committed(positions) => ApplyEvent::Committed(positions.performance),
                    Outcome::Refused(refusal) => ApplyEvent::Refused(refusal),
                    Outcome::Conflict(key) => ApplyEvent::Lost(format!("{key:?}")),
                };
                self.follow(at, event);
            }
            Act::Stray(at) => {
                let command = self.sides[at].stray.take().unwrap();
                self.apply(at, &command);
            }
            Act::Lose(at) => self.sides[at].stray = None,
            Act::Cut(at) => {
                self.left.cuts -= 1;
                self.sides[at].cut();
            }
        }
    }

    /// All that may happen now.
    fn acts(&self) -> Vec<Act> {
        let all = [Act::Write, Act::Fence, Act::Demote, Act::Promote, Act::Follow, Act::Connect];
        let more = [Act::Hear, Act::Tell, Act::Commit, Act::Stray, Act::Lose, Act::Cut];
        let all = all.into_iter().chain(more).flat_map(|act| [act(0), act(1)]);
        all.filter(|act| self.can(*act)).collect()
    }

    /// What must hold in every state.
    fn check(&self) -> Result<(), String> {
        let [one, two] = &self.sides;
        let sums = |side: &Side| side.store.sums(Scope::Shared);
        if one.at() == two.at() && sums(one) != sums(two) && !self.is_comparing() {
            return Err("equal positions, other rows".to_owned());
        }
        if !self.in_order {
            return Ok(());
        }
        if one.writes() && two.writes() {
            return Err("two clusters take shared writes".to_owned());
        }
        let lacks =
            |side: &Side| self.acknowledged.iter().find(|path| side.store.get(&Key::shared(path.as_str())).unwrap().is_none()).cloned();
        match self.sides.iter().filter(|side| side.writes()).find_map(lacks) {
            Some(path) => Err(format!("the primary lacks {path}, which was acknowledged")),
            None => Ok(()),
        }
    }

    fn is_comparing(&self) -> bool {
        let compares = |line: &Line| matches!(line.applier.phase(), Phase::Comparing | Phase::Fetching(_));
        self.sides.iter().any(|side| side.line.as_ref().is_some_and(compares))
    }

    /// Does what is left to do: what a cluster that was demoted still ships arrives, then roles are put in order.
    fn settle(mut self) -> Result<(), String> {
        self.left = Left { writes: 0, demotions: 9, promotions: 9, cuts: 0 };
        self.drain()?;
        for _ in 0..300 {
            let [one, two] = &self.sides;
            let rank = |side: &Side| (side.role().generation(), side.at().wal);
            let lesser = usize::from(rank(one) >= rank(two));
            let has_none = !one.writes() && !two.writes();
            let has_two = one.role().is_primary() && two.role().is_primary();
            let first = [Act::Demote, Act::Stray, Act::Commit, Act::Follow].into_iter().flat_map(|act| [act(0), act(1)]);
            let last = [Act::Tell, Act::Hear, Act::Connect].into_iter().flat_map(|act| [act(0), act(1)]);
            let roles = [(has_two, Act::Fence(lesser)), (has_none, Act::Promote(1 - lesser)), (has_none, Act::Promote(lesser))];
            let roles = roles.into_iter().filter(|(is_due, _)| *is_due).map(|(_, act)| act);
            match first.chain(roles).chain(last).find(|act| self.can(*act)) {
                Some(act) => self.does(act),
                None => break,
            }
            self.check()?;
        }
        let [one, two] = &self.sides;
        let is_well = one.writes() != two.writes() && one.at() == two.at();
        if is_well {
            Ok(())
        } else {
            Err(format!("it ends with {:?} at {:?} and {:?} at {:?}", one.role(), one.at(), two.role(), two.at()))
        }
    }

    /// Where nobody is primary any more, and one still knows the other as its secondary: that gets all, whatever was under way.
    fn drain(&mut self) -> Result<(), String> {
        let due = (0..2).find(|at| self.sides[*at].follows && self.sides[1 - at].serves());
        let Some(at) = due.filter(|_| !self.sides.iter().any(|side| side.role().is_primary())) else { return Ok(()) };
        for _ in 0..300 {
            let acts = [Act::Stray, Act::Commit, Act::Tell, Act::Hear, Act::Connect].into_iter().flat_map(|act| [act(0), act(1)]);
            let Some(act) = acts.into_iter().find(|act| self.can(*act)) else { break };
            self.does(act);
        }
        let (side, other) = (&self.sides[at], &self.sides[1 - at]);
        let is_stale = other.role().generation() < side.role().generation();
        if side.at() == other.at() || is_stale { Ok(()) } else { Err(format!("{:?} is not shipped all of {:?}", side.at(), other.at())) }
    }

    /// Equal for states from which the same can happen.
    fn key(&self) -> u64 {
        let mut key = DefaultHasher::new();
        format!("{:?} {:?}", self.left, self.acknowledged).hash(&mut key);
        for side in &self.sides {
            format!("{:?} {:?} {} {} {:?}", side.role(), side.store.positions(), side.follows, side.admits, side.stray).hash(&mut key);
            side.store.sums(Scope::Shared).hash(&mut key);
            let Some(line) = &side.line else { continue };
            let at = line.snapshot.as_ref().map(|reader| reader.positions());
            // What compares holds sums by the thousand: how far it is says enough.
            let applier = if self.is_comparing() { format!("{:?}", line.applier.phase()) } else { format!("{:?}", line.applier) };
            let said = |message: &FromSecondary| match message {
                FromSecondary::ComparePages { .. } => "compare".to_owned(),
                other => format!("{other:?}"),
            };
            let up: Vec<String> = line.up.iter().map(said).collect();
            format!("{:?} {applier} {up:?} {:?} {:?} {at:?} {}", line.shipper, line.down, line.proposal, line.is_ending).hash(&mut key);
        }
        key.finish()
    }
}

/// Visits every state once, nearest first; the first that is wrong is told with the shortest way to it.
fn explore(in_order: bool, left: Left) -> usize {
    let mut seen = HashSet::new();
    let mut frontier = VecDeque::from([(World::new(in_order, left), Vec::new())]);
    while let Some((world, way)) = frontier.pop_front() {
        let held = world.check().and_then(|()| world.clone().settle());
        held.unwrap_or_else(|wrong| panic!("{wrong}, after {way:?}"));
        for act in world.acts() {
            let mut next = world.clone();
            next.does(act);
            if seen.insert(next.key()) {
                frontier.push_back((next, way.iter().copied().chain([act]).collect()));
            }
        }
    }
    seen.len()
}

#[test]
fn clusters_that_change_places_in_order_lose_nothing_in_any_interleaving() {
    let states = explore(true, Left { writes: 3, demotions: 2, promotions: 2, cuts: 1 });
    assert!(states > 1000, "only {states} states were reached");
}

#[test]
fn promotions_out_of_order_end_with_one_history_in_any_interleaving() {
    let states = explore(false, Left { writes: 3, demotions: 1, promotions: 2, cuts: 1 });
    assert!(states > 1000, "only {states} states were reached");
}
