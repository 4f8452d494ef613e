//! Renewing leases.

use super::Leases;
use super::entry::{Lease, StoredLease};
use crate::barrier::Txn;
use crate::core::keys;
use crate::core::token::entry::write_json;
use crate::core::token::ttl;
use crate::engine::EngineError;
use crate::types::{Timestamp, Ttl};

impl Leases {
    /// Lets a lease live longer. Gives the lease as it is then, and warnings.
    ///
    /// # Errors
    /// If it cannot be renewed, with a text for the client.
    pub(super) fn renew(
        &self,
        txn: &mut Txn,
        mut lease: Lease,
        increment: Ttl,
        now: Timestamp,
    ) -> Result<(Lease, Vec<String>), EngineError> {
        if lease.is_irrevocable {
            return Err(EngineError::invalid("lease is expired and has failed previous revocation attempts"));
        }
        if lease.expires_ms <= now.0 {
            return Err(EngineError::invalid("lease expired"));
        }
        if !lease.renewable {
            return Err(EngineError::invalid("lease is not renewable"));
        }
        let limits = self.mounts.limits(&lease.path).ok_or_else(|| EngineError::invalid("lease not found"))?;
        let given = ttl::grant(limits, &lease.terms, increment, Timestamp(lease.issued_ms), now)
            .map_err(|past| EngineError::invalid(past.to_string()))?;
        txn.delete(keys::due(lease.due_ms, &lease.due_name()));
        lease.expires_ms = given.expires.0;
        lease.due_ms = given.expires.0;
        lease.renewed_ms = Some(now.0);
        write_json(txn, keys::due(lease.due_ms, &lease.due_name()), &true);
        write_json(txn, keys::lease(&lease.id), &StoredLease::Secret(Box::new(lease.clone())));
        Ok((lease, given.warnings))
    }
}
