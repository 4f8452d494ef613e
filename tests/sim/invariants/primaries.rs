//! Of the clusters of a set, at most one is primary in a generation (docs/replication.md: generations and fencing).

use std::collections::BTreeMap;

use coffer::machine::Role;

use super::{Commit, Invariant};

/// Which cluster each generation of each set belongs to.
#[derive(Default)]
pub struct OnePrimaryAGeneration(BTreeMap<(String, u64), usize>);

impl Invariant for OnePrimaryAGeneration {
    fn name(&self) -> &'static str {
        "one primary a generation"
    }
    fn commits(&mut self, commit: &Commit<'_>) -> Result<(), String> {
        for role in commit.applied.iter().filter_map(|applied| applied.role.as_ref()) {
            let Role::Primary { set, generation, .. } = role else { continue };
            let known = *self.0.entry((set.as_str().to_owned(), generation.0)).or_insert(commit.cluster);
            if known != commit.cluster {
                return Err(format!("clusters {known} and {} are primary in generation {generation}", commit.cluster));
            }
        }
        Ok(())
    }
}
