//! Ending tokens: the mark, in the caller's transaction. What a token leaves behind is swept later (`core::lease`).

use super::Tokens;
use super::entry::{TokenEntry, read_entry, write_entry, write_json};
use crate::barrier::{BarrierError, Txn};
use crate::core::keys;
use crate::types::{Prefix, Timestamp};

/// Most tokens of one tree that one transaction marks: five rows each, well below what a batch may hold. The sweep goes on with
/// the rest of a larger tree.
const MARKED_MAX: usize = 400;

impl Tokens {
    /// Ends the token with the stored form `key` and its descendants. Does nothing if there is none.
    ///
    /// # Errors
    /// If storage cannot be read.
    pub fn revoke(&self, txn: &mut Txn, key: &str, now: Timestamp) -> Result<(), BarrierError> {
        self.revoke_tree(txn, key, now, MARKED_MAX)
    }

    /// As [`Tokens::revoke`], marking at most `budget` tokens now; the sweep of the lowest ones marked goes on with the rest.
    pub(in crate::core) fn revoke_tree(&self, txn: &mut Txn, key: &str, now: Timestamp, mut budget: usize) -> Result<(), BarrierError> {
        let first = key;
        let mut waiting = vec![key.to_owned()];
        while let Some(key) = waiting.pop() {
            let Some(mut entry) = read_entry(txn, &key)?.filter(|entry| !entry.is_revoked) else { continue };
            Self::mark(txn, &key, &mut entry, now);
            budget -= 1;
            if budget == 0 {
                return Ok(());
            }
            let room = budget.saturating_sub(waiting.len());
            let ends_children = !entry.is_limited && !bug!(21);
            if room > 0 && ends_children && !(bug!(67) && key != first) {
                waiting.extend(children(txn, &keys::token_children(&key), room)?);
            }
        }
        Ok(())
    }

    /// Ends the token with the stored form `key` alone: its children become orphans. Does nothing if there is none.
    ///
    /// # Errors
    /// If storage cannot be read.
    pub fn revoke_orphan(&self, txn: &mut Txn, key: &str, now: Timestamp) -> Result<(), BarrierError> {
        let Some(mut entry) = read_entry(txn, key)?.filter(|entry| !entry.is_revoked) else { return Ok(()) };
        if bug!(80) {
            return self.revoke(txn, key, now);
        }
        entry.spares_children = true;
        Self::mark(txn, key, &mut entry, now);
        for child in children(txn, &keys::token_children(key), MARKED_MAX)? {
            orphan(txn, key, &child)?;
        }
        Ok(())
    }

    /// Marks one token as ended and takes it out of the indexes that clients see; it is due for the sweep.
    pub(in crate::core) fn mark(txn: &mut Txn, key: &str, entry: &mut TokenEntry, now: Timestamp) {
        entry.is_revoked = true;
        write_entry(txn, key, entry);
        if !bug!(113) {
            txn.delete(keys::token_accessor(&entry.accessor));
        }
        if let Some(expires) = entry.expires_ms {
            txn.delete(keys::lease(&entry.lease_id(key)));
            txn.delete(keys::due(expires, &format!("token/{key}")));
        }
        write_json(txn, keys::due(now.0, &format!("token/{key}")), &true);
    }
}

/// Takes `child` from its parent.
pub(in crate::core) fn orphan(txn: &mut Txn, parent: &str, child: &str) -> Result<(), BarrierError> {
    txn.delete(keys::token_child(parent, child));
    if let Some(mut entry) = read_entry(txn, child)? {
        entry.parent.clear();
        write_entry(txn, child, &entry);
    }
    Ok(())
}

/// Names below `index`, as they stand.
pub(in crate::core) fn children(txn: &Txn, index: &Prefix, limit: usize) -> Result<Vec<String>, BarrierError> {
    txn.children(index, None, limit)
}
