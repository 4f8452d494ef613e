//! Good histories of ordinary length stay good; altered in one place they turn red, or an order that is checked for itself proves them good.

use std::collections::HashMap;

use super::{MODEL, explains, make};
use crate::check::register::{Decision, decide};
use crate::check::wgl::{Found, Limits, search};
use crate::core::Rng;

#[test]
fn a_good_history_is_good_and_an_altered_one_is_red_or_provably_good() {
    let mut rng = Rng::new(7);
    let mut red: HashMap<make::Change, (u32, u32)> = HashMap::new();
    for number in 0..1500 {
        let history = make::good(&mut rng, 60, 5);
        assert!(matches!(decide(&history), Decision::Linearizable { .. }), "history {number} is good\n{}", make::show(&history));
        let mut altered = history.clone();
        let Some(change) = make::alter(&mut rng, &mut altered) else { continue };
        let is_red = match (decide(&altered), search(&MODEL, &altered, Limits::default())) {
            (Decision::Linearizable { .. }, Found::Order(order)) => {
                assert!(explains(&altered, &order), "history {number}: {order:?} explains nothing");
                false
            }
            (Decision::Broken(_), Found::Stuck { .. }) => true,
            (swept, found) => panic!("history {number}, {change:?}: {swept:?} and {found:?}\n{}", make::show(&altered)),
        };
        let counts = red.entry(change).or_default();
        counts.0 += u32::from(is_red);
        counts.1 += 1;
    }
    println!("red of altered: {red:?}");
    for (change, share) in [(make::Change::Swap, 0.75), (make::Change::Drop, 0.15), (make::Change::Alter, 0.65), (make::Change::Move, 0.5)]
    {
        let (red, all) = red[&change];
        assert!(f64::from(red) >= share * f64::from(all), "{change:?}: only {red} of {all} turned red");
    }
}
