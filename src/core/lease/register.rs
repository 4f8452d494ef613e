//! Registering leases, in the transaction of the request that made what they are for.

use super::Leases;
use super::entry::{Lease, StoredLease};
use crate::barrier::Txn;
use crate::core::keys;
use crate::core::token::entry::write_json;
use crate::core::token::{Identified, Limits, Terms, ttl};
use crate::crypto::entropy::random_base62;
use crate::engine::{EngineError, LeaseSpec, Mount};
use crate::types::{Timestamp, Ttl};

/// A lease that is wanted.
#[derive(Clone, Copy, Debug)]
pub struct NewLease<'a> {
    /// The whole path of the request.
    pub path: &'a str,
    /// The mount that gives something out.
    pub mount: &'a Mount,
    /// What its engine wants.
    pub spec: &'a LeaseSpec,
    /// The token that it ends with.
    pub token: &'a Identified,
}

/// A lease that will exist once its transaction is committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registered {
    /// Its id.
    pub id: String,
    /// From now on.
    pub ttl: Ttl,
    /// Whether it may be renewed.
    pub renewable: bool,
    /// What the client should know.
    pub warnings: Vec<String>,
}

const RANDOM_CHARS: usize = 24;

impl Leases {
    /// Registers a lease.
    ///
    /// # Errors
    /// If the token was at its last use: nobody could hold the lease.
    pub fn register(&self, txn: &mut Txn, new: NewLease<'_>, now: Timestamp) -> Result<Registered, EngineError> {
        let token = &new.token.entry;
        if token.is_revoked {
            return Err(EngineError::invalid(
                "Secret cannot be returned; token had one use left, so leased credentials were immediately revoked.",
            ));
        }
        let terms = Terms { default_secs: new.spec.ttl.0, max_secs: new.spec.max_ttl.0, ..Terms::default() };
        let mut given =
            ttl::grant(Limits::from(new.mount), &terms, new.spec.ttl, now, now).map_err(|past| EngineError::invalid(past.to_string()))?;
        // Nothing that a batch token was given outlives it: nobody would end it earlier (CVE-2020-25816).
        if let Some(end) = token.expires_ms.filter(|end| token.is_batch && *end < given.expires.0) {
            given.expires = Timestamp(end);
            given.ttl = Ttl(end.saturating_sub(now.0) / 1000);
        }
        let id = format!("{}/{}", new.path.trim_end_matches('/'), random_base62(self.ctx.entropy.as_ref(), RANDOM_CHARS));
        let lease = Lease {
            id: id.clone(),
            path: new.path.to_owned(),
            mount_id: new.mount.id.to_string(),
            mount_accessor: new.mount.accessor.clone(),
            token_key: new.token.key.clone(),
            issued_ms: now.0,
            expires_ms: given.expires.0,
            due_ms: given.expires.0,
            terms,
            renewable: new.spec.renewable && !token.is_batch,
            internal: new.spec.internal.clone(),
            ..Lease::default()
        };
        write_json(txn, keys::token_lease(&lease.token_key, &id), &true);
        write_json(txn, keys::due(lease.due_ms, &lease.due_name()), &true);
        let renewable = lease.renewable;
        write_json(txn, keys::lease(&id), &StoredLease::Secret(Box::new(lease)));
        Ok(Registered { id, ttl: given.ttl, renewable, warnings: given.warnings })
    }
}
