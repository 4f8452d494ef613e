//! Who knows that he was replaced, writes no more: an entry with shared rows that a fenced primary applies is acknowledged, and lost.

use coffer::machine::{Outcome, Role};
use coffer::types::Scope;

use super::{Commit, Invariant};

/// Looks at the role that each entry is applied in.
#[derive(Default)]
pub struct FencedPrimariesRest;

impl Invariant for FencedPrimariesRest {
    fn name(&self) -> &'static str {
        "a primary that was replaced takes no shared writes"
    }
    fn commits(&mut self, commit: &Commit<'_>) -> Result<(), String> {
        for (applied, role, _) in commit.with_roles().filter(|(applied, ..)| matches!(applied.outcome, Outcome::Committed(_))) {
            let shared = applied.rows.iter().find(|row| row.key.scope == Scope::Shared);
            if let (Role::Primary { generation, fenced_by: Some(by), .. }, Some(row)) = (&role, shared) {
                return Err(format!("{:?} was written in generation {generation}, and {by} is known", row.key));
            }
        }
        Ok(())
    }
}
