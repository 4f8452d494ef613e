//! Another search, of another author, gives the same answers.

use todc_utils::linearizability::WGLChecker;
use todc_utils::linearizability::history::{Action, History};
use todc_utils::specifications::Specification;

use super::{MODEL, brute, make};
use crate::check::versioned::Step;
use crate::check::wgl::{Found, Limits, search};
use crate::core::Rng;

/// A step, and whether it is known to have happened. One that is not answers after all others, where it may do nothing.
#[derive(Clone, Debug)]
struct Operation {
    step: Step,
    is_optional: bool,
}

struct Register;

impl Specification for Register {
    type State = (i64, i64);
    type Operation = Operation;

    fn init() -> (i64, i64) {
        (0, 0)
    }
    fn apply(operation: &Operation, state: &(i64, i64)) -> (bool, (i64, i64)) {
        match brute::apply(*state, &operation.step) {
            Some(next) => (true, next),
            None => (operation.is_optional, *state),
        }
    }
}

#[test]
fn the_search_agrees_with_todc() {
    let mut rng = Rng::new(99);
    let (mut good, mut bad) = (0, 0);
    for number in 0..3000 {
        let mut entries = make::good(&mut rng, 14, 4);
        for _ in 0..rng.below(2) {
            make::alter(&mut rng, &mut entries);
        }
        let mut lines: Vec<(usize, usize, bool)> = Vec::new();
        for (place, entry) in entries.iter().enumerate() {
            lines.push((entry.began, place, true));
            lines.push((entry.ended, place, false));
        }
        lines.sort_unstable();
        let actions = lines.into_iter().map(|(_, place, is_call)| {
            let operation = Operation { step: entries[place].step.clone(), is_optional: entries[place].ended == usize::MAX };
            (place, if is_call { Action::Call(operation) } else { Action::Response(operation) })
        });
        let actions: Vec<_> = actions.collect();
        if actions.is_empty() {
            continue;
        }
        let theirs = WGLChecker::<Register>::is_linearizable(History::from_actions(actions));
        let ours = matches!(search(&MODEL, &entries, Limits::default()), Found::Order(_));
        assert_eq!(ours, theirs, "history {number}\n{}", make::show(&entries));
        *(if ours { &mut good } else { &mut bad }) += 1;
    }
    assert!(good > 500 && bad > 500, "{good} good, {bad} bad: one-sided");
}
