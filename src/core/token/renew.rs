//! Renewing tokens.

use super::entry::{read_json, write_entry, write_json};
use super::role::TokenRole;
use super::ttl::{self, Limits};
use super::{Identified, Tokens};
use crate::barrier::Txn;
use crate::core::keys;
use crate::engine::EngineError;
use crate::types::{Timestamp, Ttl};

impl Tokens {
    /// Lets a live token live longer, within `limits` of its mount and its own terms. Gives warnings.
    ///
    /// # Errors
    /// If it cannot be renewed, with a text for the client.
    pub fn renew(
        &self,
        txn: &mut Txn,
        token: &mut Identified,
        increment: Ttl,
        limits: Limits,
        now: Timestamp,
    ) -> Result<Vec<String>, EngineError> {
        let Identified { entry, key } = token;
        if entry.is_batch {
            return Err(EngineError::invalid("batch tokens cannot be renewed"));
        }
        let Some(expires) = entry.expires_ms else {
            // A root token without an end.
            return Err(EngineError::invalid("lease is not renewable"));
        };
        if !entry.renewable {
            return Err(EngineError::invalid("lease is not renewable"));
        }
        if !entry.role.is_empty() {
            let role: TokenRole = read_json(txn, &keys::token_role(&entry.role))?
                .ok_or_else(|| EngineError::invalid(format!("original token role {:?} could not be found, not renewing", entry.role)))?;
            if role.period_secs > 0 {
                entry.terms.period_secs = role.period_secs;
            }
            if role.explicit_max_secs > 0 {
                entry.terms.explicit_max_secs = role.explicit_max_secs;
            }
        }
        let given = ttl::grant(limits, &entry.terms, increment, Timestamp(entry.issued_ms), now)
            .map_err(|past| EngineError::invalid(past.to_string()))?;
        let what = format!("token/{key}");
        if !bug!(52) {
            txn.delete(keys::due(expires, &what));
        }
        write_json(txn, keys::due(given.expires.0, &what), &true);
        entry.expires_ms = Some(given.expires.0);
        entry.renewed_ms = Some(now.0);
        write_entry(txn, key, entry);
        Ok(given.warnings)
    }
}
