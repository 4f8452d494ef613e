//! State machine safety: an entry that was applied at an index is the one that every node applies there, with the same changes
//! (Raft, figure 3; and `machine::apply` is a function of state, index and command).

use std::collections::BTreeMap;

use coffer::machine::Applied;

use super::{Commit, Invariant};
use crate::net::HostId;
use crate::trace;

/// What each entry of each cluster did, and who applied it first.
#[derive(Default)]
pub struct SameEntriesSameChanges(BTreeMap<(usize, u64), (blake3::Hash, HostId)>);

fn digest(applied: &Applied) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(format!("{:?} {:?} {:?} {:?}", applied.outcome, applied.role, applied.wipe, applied.positions).as_bytes());
    for row in &applied.rows {
        hasher.update(&[row.key.scope as u8]);
        hasher.update(row.key.path.as_bytes());
        hasher.update(row.value.as_deref().unwrap_or(b"removed"));
    }
    for ((scope, page), sum) in &applied.pages {
        hasher.update(&[*scope as u8]);
        hasher.update(&page.0.to_be_bytes());
        hasher.update(&sum.0);
    }
    for (_, record) in &applied.records {
        hasher.update(record);
    }
    hasher.finalize()
}

impl Invariant for SameEntriesSameChanges {
    fn name(&self) -> &'static str {
        "the same entries make the same changes"
    }
    fn commits(&mut self, commit: &Commit<'_>) -> Result<(), String> {
        for applied in commit.applied {
            let digest = digest(applied);
            let (known, first) = self.0.entry((commit.cluster, applied.at.0)).or_insert((digest, commit.host));
            if *known != digest {
                return Err(format!("entry {} is another one, or does something else, than on {}", applied.at, trace::name(*first)));
            }
        }
        Ok(())
    }
}
