//! A plain register whose values are written again and again: here two ways to one state are not told apart by the state, as they are
//! where every value is unique. All permutations again.

use crate::check::wgl::{Entry, Found, Limits, Model, Register, RegisterStep, search};
use crate::core::{Rng, Value};

fn random(rng: &mut Rng) -> Vec<Entry<RegisterStep>> {
    let count = 1 + rng.index(7);
    let mut places: Vec<usize> = (0..2 * count).collect();
    // Near together, so that some are one after the other.
    for at in 0..places.len() {
        let other = (at + rng.index(4)).min(places.len() - 1);
        places.swap(at, other);
    }
    let mut value = || Value::Int(rng.below(3) as i64);
    let mut steps: Vec<RegisterStep> = Vec::new();
    for number in 0..count {
        steps.push(match number % 3 {
            0 => RegisterStep::Write(value()),
            1 => RegisterStep::Read(value()),
            _ => RegisterStep::Cas(value(), value()),
        });
    }
    let mut entries = Vec::new();
    for (source, step) in steps.into_iter().enumerate() {
        let (one, other) = (places[2 * source], places[2 * source + 1]);
        let is_unknown = !matches!(step, RegisterStep::Read(_)) && rng.chance(0.4);
        let ended = if is_unknown { usize::MAX } else { one.max(other) };
        entries.push(Entry { began: one.min(other), ended, step, source });
    }
    entries
}

fn is_linearizable(entries: &[Entry<RegisterStep>], done: u32, holds: i64) -> bool {
    let left = |place: &usize| done & (1 << place) == 0;
    if (0..entries.len()).filter(left).all(|place| entries[place].ended == usize::MAX) {
        return true;
    }
    (0..entries.len()).filter(left).any(|place| {
        let is_next = (0..entries.len()).filter(left).all(|other| other == place || entries[other].ended > entries[place].began);
        let next = match &entries[place].step {
            RegisterStep::Read(value) if super::number(value) == holds => holds,
            RegisterStep::Write(value) => super::number(value),
            RegisterStep::Cas(old, new) if super::number(old) == holds => super::number(new),
            _ => return false,
        };
        is_next && is_linearizable(entries, done | (1 << place), next)
    })
}

#[test]
fn the_search_agrees_with_all_permutations_where_values_repeat() {
    let mut rng = Rng::new(11);
    let model = Register { initial: Value::Int(0) };
    let (mut good, mut bad) = (0_u64, 0_u64);
    let count = super::histories() / 4;
    for number in 0..count {
        let entries = random(&mut rng);
        let expected = is_linearizable(&entries, 0, 0);
        let ours = match search(&model, &entries, Limits::default()) {
            Found::Order(order) => {
                let end = order.iter().try_fold(model.initial(), |holds, place| model.step(&holds, &entries[*place].step));
                assert!(end.is_some(), "history {number}: {order:?} is no order of {entries:?}");
                true
            }
            Found::Stuck { .. } => false,
            Found::GaveUp { .. } => panic!("history {number}: the search gave up"),
        };
        assert_eq!(ours, expected, "history {number}: {entries:?}");
        *(if expected { &mut good } else { &mut bad }) += 1;
    }
    assert!(good > count / 5 && bad > count / 5, "{good} good, {bad} bad: one-sided");
}
