//! Making tokens: rows in the caller's transaction.

use super::entry::{TokenEntry, write_entry, write_json};
use super::spec::{Made, TokenSpec};
use super::ttl::{self, Limits, Terms};
use super::{Tokens, id};
use crate::barrier::Txn;
use crate::core::keys;
use crate::core::lease::StoredLease;
use crate::core::policy::sanitize;
use crate::engine::{EngineError, Grant, Mount, TokenKind};
use crate::types::{Timestamp, Ttl};

impl Tokens {
    /// Makes the token that `spec` says. It exists once `txn` is committed.
    ///
    /// # Errors
    /// If its id is taken, a batch token is to be more than one can be, or storage cannot be read.
    pub fn create(&self, txn: &mut Txn, spec: TokenSpec, now: Timestamp) -> Result<Made, EngineError> {
        let is_batch = spec.kind == TokenKind::Batch;
        let mut entry = TokenEntry {
            accessor: if is_batch { String::new() } else { id::accessor(self.ctx.entropy.as_ref()) },
            parent: spec.parent.unwrap_or_default(),
            path: spec.path,
            policies: sanitize(spec.policies),
            meta: spec.meta,
            display_name: spec.display_name,
            num_uses: spec.num_uses,
            is_limited: spec.num_uses > 0,
            is_batch,
            renewable: spec.renewable && !is_batch,
            issued_ms: now.0,
            expires_ms: (spec.ttl.0 > 0).then(|| now.plus(spec.ttl).0),
            creation_ttl_secs: spec.ttl.0,
            terms: spec.terms,
            role: spec.role,
            bound_cidrs: spec.bound_cidrs,
            entity_id: spec.entity_id,
            internal: spec.internal,
            ..TokenEntry::default()
        };
        if entry.expires_ms.is_none() && !entry.is_root() {
            return Err(EngineError::Internal("only root tokens live for ever".to_owned()));
        }
        if is_batch {
            if entry.is_root() {
                return Err(EngineError::invalid("batch tokens cannot be root tokens"));
            }
            entry.terms = Terms::default();
            let token = self.seal_batch(txn, &entry)?;
            let key = self.key_of(txn, &token)?;
            return Ok(Made { token, key, entry, warnings: Vec::new() });
        }
        let token = spec.id.unwrap_or_else(|| id::service_token(self.ctx.entropy.as_ref()));
        let key = self.key_of(txn, &token)?;
        if txn.exists(&keys::token(&key))? && !bug!(105) {
            return Err(EngineError::invalid("cannot create a token with a duplicate ID"));
        }
        write_entry(txn, &key, &entry);
        write_json(txn, keys::token_accessor(&entry.accessor), &key);
        #[cfg(feature = "chaos")]
        if bug!(109) {
            txn.forget_reads();
        }
        if !entry.parent.is_empty() {
            write_json(txn, keys::token_child(&entry.parent, &key), &true);
        }
        #[cfg(feature = "chaos")]
        if bug!(18) {
            self.lease_afterwards(&entry, &key);
            return Ok(Made { token, key, entry, warnings: Vec::new() });
        }
        if let Some(expires) = entry.expires_ms {
            write_json(txn, keys::lease(&entry.lease_id(&key)), &StoredLease::Token { key: key.clone() });
            write_json(txn, keys::due(expires, &format!("token/{key}")), &true);
        }
        Ok(Made { token, key, entry, warnings: Vec::new() })
    }

    /// Planted bug 18: the lease of a token in an entry of its own, some time after the token's.
    #[cfg(feature = "chaos")]
    fn lease_afterwards(&self, entry: &TokenEntry, key: &str) {
        let Some(expires) = entry.expires_ms else { return };
        let (ctx, lease_id, key) = (self.ctx.clone(), entry.lease_id(key), key.to_owned());
        tokio::spawn(async move {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            let written = ctx.write(|txn| {
                write_json(txn, keys::lease(&lease_id), &StoredLease::Token { key: key.clone() });
                write_json(txn, keys::due(expires, &format!("token/{key}")), &true);
                Ok(())
            });
            // Nobody is told: that is the bug.
            let _ = written.await;
        });
    }

    /// Makes the token that a login earned. `path` is the whole path of the login.
    ///
    /// # Errors
    /// As [`Tokens::create`]; also if the grant would make a root token.
    pub fn login(
        &self,
        txn: &mut Txn,
        mount: &Mount,
        path: &str,
        grant: Grant,
        entity_id: &str,
        now: Timestamp,
    ) -> Result<Made, EngineError> {
        let mut policies = sanitize(grant.policies);
        if policies.iter().any(|policy| policy == "root") {
            return Err(EngineError::invalid("auth methods cannot create root tokens"));
        }
        if !grant.no_default_policy {
            policies.push("default".to_owned());
        }
        let is_batch = grant.kind == TokenKind::Batch;
        if is_batch && (grant.num_uses > 0 || grant.period.0 > 0) {
            return Err(EngineError::invalid("batch tokens cannot have a period or a limited number of uses"));
        }
        let terms = Terms {
            default_secs: grant.ttl.0,
            max_secs: grant.max_ttl.0,
            explicit_max_secs: grant.explicit_max_ttl.0,
            period_secs: grant.period.0,
        };
        let given = ttl::grant(Limits::from(mount), &terms, Ttl::ZERO, now, now).map_err(|past| EngineError::invalid(past.to_string()))?;
        let spec = TokenSpec {
            kind: grant.kind,
            path: path.to_owned(),
            display_name: grant.display_name,
            policies,
            meta: grant.metadata,
            num_uses: grant.num_uses,
            ttl: given.ttl,
            terms,
            renewable: grant.renewable,
            bound_cidrs: grant.bound_cidrs,
            entity_id: entity_id.to_owned(),
            internal: grant.internal,
            ..TokenSpec::default()
        };
        let mut made = self.create(txn, spec, now)?;
        made.warnings = given.warnings;
        Ok(made)
    }
}
