//! `kin` agrees with a store that knows its families: with what it did, however calls overlap, and against any one answer that is another.

use std::collections::BTreeMap;

use crate::check::{Valid, kin};
use crate::core::{Format, History, Kind, Op, Rng, Value};

const MOUNT: &str = "auth/m";

/// A token that lives: who made it, and whether it is an entry of its own.
#[derive(Clone)]
struct Life {
    parent: Option<String>,
    is_batch: bool,
}

#[derive(Default)]
struct Store {
    alive: BTreeMap<String, Life>,
    /// The mount lets nobody in any more.
    is_shut: bool,
}

impl Store {
    fn end(&mut self, name: &str) {
        self.is_shut |= name == MOUNT;
        if self.alive.remove(name).is_some() || name == MOUNT {
            self.end_children(name, |_| true);
        }
    }
    fn end_children(&mut self, name: &str, is_meant: impl Fn(&Life) -> bool) {
        let is_child = |life: &Life| life.parent.as_deref() == Some(name) && is_meant(life);
        let children: Vec<String> = self.alive.iter().filter(|(_, life)| is_child(life)).map(|(name, _)| name.clone()).collect();
        children.iter().for_each(|child| self.end(child));
    }
    fn end_alone(&mut self, name: &str) {
        if self.alive.remove(name).is_some() {
            self.end_children(name, |life| life.is_batch);
            let children = self.alive.values_mut().filter(|life| life.parent.as_deref() == Some(name));
            children.for_each(|life| life.parent = None);
        }
    }
}

/// One thing that was done, as a client's invocation and how it ended.
struct Done {
    f: &'static str,
    value: Value,
    kind: Kind,
}

/// Some families and what became of them, in this order.
fn done(rng: &mut Rng) -> Vec<Done> {
    let (mut store, mut names, mut done) = (Store::default(), Vec::<String>::new(), Vec::new());
    for step in 0..6 + rng.index(20) {
        let known = rng.pick(&names).cloned();
        let dice = rng.below(10);
        let (f, value, kind) = match (known, dice) {
            (Some(name), 5..) => {
                let kind = if store.alive.contains_key(&name) { Kind::Ok } else { Kind::Fail };
                ("use", name.into(), kind)
            }
            (Some(name), 3..5) => {
                let way = ["all", "alone", "under"][rng.index(3)];
                let name = if way == "under" || rng.below(6) == 0 { MOUNT.to_owned() } else { name };
                match way {
                    "alone" if name != MOUNT => store.end_alone(&name),
                    "under" => store.end_children(MOUNT, |_| true),
                    _ => store.end(&name),
                }
                let way = if name == MOUNT && way == "alone" { "all" } else { way };
                ("revoke", Value::map([("token", Value::from(name)), ("way", Value::keyword(way))]), Kind::Ok)
            }
            (known, _) => {
                let name = format!("t{step}");
                let maker = known.filter(|name| rng.below(3) > 0 && store.alive.get(name).is_some_and(|life| !life.is_batch));
                let parent = maker.or_else(|| (!store.is_shut && rng.below(3) == 0).then(|| MOUNT.to_owned()));
                let is_batch = parent.as_deref().is_some_and(|parent| parent != MOUNT) && rng.below(3) == 0;
                let kind = Value::keyword(if is_batch { "batch" } else { "service" });
                let from = parent.clone().map_or(Value::Nil, Value::from);
                store.alive.insert(name.clone(), Life { parent, is_batch });
                names.push(name.clone());
                ("create", Value::map([("token", Value::from(name)), ("parent", from), ("type", kind)]), Kind::Ok)
            }
        };
        done.push(Done { f, value, kind });
    }
    done
}

/// As a history, in which each call happened at its place and lasted for up to `reach` places to either side.
fn history(done: &[Done], reach: u64, rng: &mut Rng) -> History {
    let mut lines = Vec::new();
    for (place, done) in done.iter().enumerate() {
        let (at, process) = (place as u64 * 10 + 1000, place as u64);
        let mut reached = || if reach == 0 { 0 } else { rng.below(reach * 10) };
        let (began, ended) = (at - reached(), at + 1 + reached());
        let op = Op::invoke(process, done.f, done.value.clone());
        let is_unknown = reach > 0 && done.f == "revoke" && rng.below(4) == 0;
        let end = match done.kind {
            _ if is_unknown => op.complete(Kind::Info, done.value.clone()),
            Kind::Fail => op.complete(Kind::Fail, done.value.clone()).because(kin::REVOKED),
            kind => op.complete(kind, done.value.clone()),
        };
        lines.extend([(began, 1, op), (ended, 0, end)]);
    }
    lines.sort_by_key(|(at, is_begin, _)| (*at, *is_begin));
    History::from_ops(lines.into_iter().map(|(_, _, op)| op))
}

#[test]
fn what_a_store_did_is_never_called_wrong() {
    let mut rng = Rng::new(4);
    let mut good = 0;
    for _ in 0..20_000 {
        let done = done(&mut rng);
        let reach = rng.below(6);
        let history = history(&done, reach, &mut rng);
        let verdict = kin::check(&history).expect("the lines have their parts");
        assert_ne!(verdict.valid, Valid::False, "{verdict}\n{}", history.to_text(Format::Edn));
        good += usize::from(verdict.is_valid());
    }
    assert!(good > 5_000, "only {good} had anything to judge");
}

#[test]
fn one_answer_that_is_another_is_found() {
    let mut rng = Rng::new(5);
    let mut altered = 0;
    for _ in 0..20_000 {
        let mut done = done(&mut rng);
        let uses: Vec<usize> = (0..done.len()).filter(|place| done[*place].f == "use").collect();
        let Some(place) = rng.pick(&uses).copied() else { continue };
        done[place].kind = if done[place].kind == Kind::Ok { Kind::Fail } else { Kind::Ok };
        altered += 1;
        let history = history(&done, 0, &mut rng);
        let verdict = kin::check(&history).expect("the lines have their parts");
        assert_eq!(verdict.valid, Valid::False, "line {place}: {verdict}\n{}", history.to_text(Format::Edn));
    }
    assert!(altered > 10_000, "only {altered} could be altered");
}
