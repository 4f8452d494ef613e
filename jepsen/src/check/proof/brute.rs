//! All permutations: every order that real time allows is tried, without memory or shortcuts, by rules written here a second time.

use super::{MODEL, explains, histories, make, number};
use crate::check::register::{Decision, decide};
use crate::check::versioned::Step;
use crate::check::wgl::{Entry, Found, Limits, search};
use crate::core::Rng;

/// Version and value after a step, if the step is allowed.
pub(super) fn apply((version, value): (i64, i64), step: &Step) -> Option<(i64, i64)> {
    match step {
        Step::Read { version: seen, value: read } if *seen == version && number(read) == value => Some((version, value)),
        Step::Refused { expected } if *expected != version => Some((version, value)),
        Step::Cas { expected, .. } if *expected != version => None,
        Step::Write { version: made, value: new } | Step::Cas { version: made, value: new, .. } => {
            (made.unwrap_or(version + 1) == version + 1).then(|| (version + 1, number(new)))
        }
        _ => None,
    }
}

fn is_linearizable(entries: &[Entry<Step>], done: u32, state: (i64, i64)) -> bool {
    let left = |place: &usize| done & (1 << place) == 0;
    let must = |place: &usize| entries[*place].ended != usize::MAX;
    if (0..entries.len()).filter(left).all(|place| !must(&place)) {
        return true;
    }
    (0..entries.len()).filter(left).any(|place| {
        let is_next = (0..entries.len()).filter(left).all(|other| other == place || entries[other].ended > entries[place].began);
        is_next && apply(state, &entries[place].step).is_some_and(|next| is_linearizable(entries, done | (1 << place), next))
    })
}

#[test]
fn sweep_and_search_agree_with_all_permutations() {
    let mut rng = Rng::new(20_260_401);
    let (mut good, mut bad, mut with_info, mut with_refusal) = (0_u64, 0_u64, 0_u64, 0_u64);
    let count = histories();
    for number in 0..count {
        let entries = make::small(&mut rng);
        let expected = is_linearizable(&entries, 0, (0, 0));
        let swept = match decide(&entries) {
            Decision::Linearizable { .. } => true,
            Decision::Broken(_) => false,
            Decision::Unknown => panic!("history {number}: the search gave up\n{}", make::show(&entries)),
        };
        assert_eq!(swept, expected, "history {number}: the sweep is wrong\n{}", make::show(&entries));
        let searched = match search(&MODEL, &entries, Limits::default()) {
            Found::Order(order) => {
                assert!(explains(&entries, &order), "history {number}: {order:?} explains nothing\n{}", make::show(&entries));
                true
            }
            Found::Stuck { at, .. } => {
                // The shortest prefix: without the line at `at` there is an order.
                let mut prefix: Vec<_> = entries.iter().filter(|entry| entry.began < at).cloned().collect();
                assert!(
                    !is_linearizable(&cut(&prefix, at + 1), 0, (0, 0)),
                    "history {number}: the prefix has an order\n{}",
                    make::show(&entries)
                );
                prefix = cut(&prefix, at);
                assert!(is_linearizable(&prefix, 0, (0, 0)), "history {number}: a shorter prefix has none\n{}", make::show(&entries));
                false
            }
            Found::GaveUp { .. } => panic!("history {number}: the search gave up"),
        };
        assert_eq!(searched, expected, "history {number}: the search is wrong\n{}", make::show(&entries));
        *(if expected { &mut good } else { &mut bad }) += 1;
        with_info += u64::from(entries.iter().any(|entry| entry.ended == usize::MAX));
        with_refusal += u64::from(entries.iter().any(|entry| matches!(entry.step, Step::Refused { .. })));
    }
    println!("{count} histories: {good} good, {bad} bad, {with_info} with an unknown outcome, {with_refusal} with a refused CAS");
    // Nothing is proved by histories that are all alike.
    assert!([good, bad, with_info, with_refusal].iter().all(|part| *part > count / 5), "one-sided histories");
}

/// What ends at or after this place has not ended.
fn cut(entries: &[Entry<Step>], place: usize) -> Vec<Entry<Step>> {
    let open = |entry: &Entry<Step>| Entry { ended: if entry.ended < place { entry.ended } else { usize::MAX }, ..entry.clone() };
    entries.iter().map(open).collect()
}
