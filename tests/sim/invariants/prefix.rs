//! A secondary's history is a first part of a primary's: every position that it reaches, some primary has reached before.

use std::collections::BTreeSet;

use coffer::machine::{Outcome, Role};

use super::{Commit, Invariant};

/// Positions that clusters reached by themselves.
#[derive(Default)]
pub struct SecondariesFollow(BTreeSet<(u64, [u8; 32])>);

impl Invariant for SecondariesFollow {
    fn name(&self) -> &'static str {
        "a secondary's history is a prefix of its primary's"
    }
    fn commits(&mut self, commit: &Commit<'_>) -> Result<(), String> {
        for (applied, _, role) in commit.with_roles() {
            if !matches!(applied.outcome, Outcome::Committed(_)) {
                continue;
            }
            let position = applied.positions.performance;
            let place = (position.wal.0, position.history.0);
            match &role {
                // Not before it is filled: it counts from zero meanwhile.
                Role::Secondary { filling: true, .. } => {}
                Role::Secondary { .. } if position.wal.0 > 0 && !self.0.contains(&place) => {
                    return Err(format!("no primary was ever at {position:?}"));
                }
                _ => drop(self.0.insert(place)),
            }
        }
        Ok(())
    }
}
