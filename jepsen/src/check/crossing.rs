//! Tokens, leases, accessors and cubbyholes are of their cluster: refused by a performance secondary, taken by a promoted disaster copy.
//!
//! `try` answers `{:thing id, :home cluster, :cluster c, :mode :performance, :accepted false}`; `:mode` is how `c` follows `home`:
//! `:performance` or `:disaster` (after its promotion). At home everything is accepted.

use std::collections::BTreeSet;

use super::lines::facts;
use super::verdict::Verdict;
use crate::core::{History, Malformed};

/// Checks all attempts.
///
/// # Errors
/// A line lacks a part.
pub fn check(history: &History) -> Result<Verdict, Malformed> {
    let (mut wrong, mut seen, mut at_home, mut abroad) = (Vec::new(), 0, BTreeSet::new(), BTreeSet::new());
    for attempt in facts(history, "try") {
        let (thing, home, cluster) = (attempt.part("thing")?, attempt.text("home")?, attempt.text("cluster")?);
        let is_accepted = attempt.truth("accepted")?;
        let is_due = match (home == cluster, attempt.text("mode")?) {
            (true, _) | (false, "disaster") => true,
            (false, "performance") => false,
            (false, other) => return Err(attempt.malformed(format!("a cluster follows in :performance or :disaster mode, not :{other}"))),
        };
        seen += 1;
        (if home == cluster { &mut at_home } else { &mut abroad }).insert(thing);
        if is_accepted != is_due {
            let text = format!("of {home}, {} at {cluster}", if is_accepted { "accepted" } else { "refused" });
            wrong.push(Verdict::invalid(format!("thing {thing}"), text, vec![attempt.op.clone()]));
        }
    }
    if !wrong.is_empty() {
        return Ok(Verdict::all("crossing", wrong));
    }
    // A thing that works nowhere is refused abroad for no good reason.
    let unproved = abroad.difference(&at_home).count();
    Ok(match (seen, unproved) {
        (0, _) => Verdict::unknown("crossing", "nothing was tried"),
        (_, 0) if abroad.is_empty() => Verdict::unknown("crossing", "nothing was tried away from home"),
        (_, 0) => Verdict::valid("crossing", format!("{seen} attempts were answered as they should be")),
        (_, count) => Verdict::unknown("crossing", format!("{count} things were never shown to work at home")),
    })
}
