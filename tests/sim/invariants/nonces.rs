//! A nonce is used once with a key: two values under one would betray each other.

use std::collections::BTreeMap;

use super::{Commit, Invariant};

/// Version, key term, nonce: the first bytes of a stored value.
const HEAD_BYTES: usize = 29;
/// What an encrypted value begins with; rows that are not encrypted are text.
const ENVELOPE: u8 = 1;

/// Every nonce, and the value that it was used for.
#[derive(Default)]
pub struct NoncesAreUsedOnce(BTreeMap<Vec<u8>, blake3::Hash>);

impl Invariant for NoncesAreUsedOnce {
    fn name(&self) -> &'static str {
        "a nonce is used once"
    }
    fn commits(&mut self, commit: &Commit<'_>) -> Result<(), String> {
        for row in commit.applied.iter().flat_map(|applied| &applied.rows) {
            let Some(value) = row.value.as_deref().filter(|value| value.len() > HEAD_BYTES && value[0] == ENVELOPE) else { continue };
            let hash = blake3::hash(value);
            // The nonce alone: clusters of a set share their keys, and a clash between any two keys is as unlikely.
            if *self.0.entry(value[5..HEAD_BYTES].to_vec()).or_insert(hash) != hash {
                return Err(format!("the nonce of {} was used before", row.key.path));
            }
        }
        Ok(())
    }
}
