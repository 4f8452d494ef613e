//! Ending leases: of one, or of all below a path.

use super::entry::{Lease, StoredLease};
use super::lookup::{Found, find};
use super::{Leases, metrics};
use crate::barrier::{BarrierError, Txn};
use crate::core::token::entry::write_json;
use crate::core::{WriteError, keys};
use crate::engine::EngineError;
use crate::types::limits::CONFLICT_RETRIES_MAX;
use crate::types::{Key, Prefix, Scope};

/// Leases that one transaction ends.
const PAGE: usize = 100;

/// What to do about an engine that fails to revoke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// Stop: the lease stands.
    Stop,
    /// Forget the lease; what it was for lives on outside.
    Forget,
}

impl Leases {
    /// Ends the lease called `id`, if there is one: a token's ends the token.
    ///
    /// # Errors
    /// If its engine fails.
    pub(super) async fn revoke(&self, txn: &mut Txn, id: &str) -> Result<(), EngineError> {
        match find(txn, id)? {
            None => Ok(()),
            Some(Found::Token(key, _)) => Ok(self.tokens.revoke(txn, &key, self.ctx.now())?),
            Some(Found::Secret(lease)) => {
                self.mounts.revoke(&lease, txn).await?;
                Self::remove(txn, &lease);
                metrics::revoked();
                Ok(())
            }
        }
    }

    /// Removes all rows of `lease`.
    pub(super) fn remove(txn: &mut Txn, lease: &Lease) {
        txn.delete(keys::lease(&lease.id));
        txn.delete(keys::due(lease.due_ms, &lease.due_name()));
        txn.delete(keys::token_lease(&lease.token_key, &lease.id));
        txn.delete(keys::irrevocable_lease(&lease.id));
    }

    /// Ends the lease whose id is `prefix`, and all below the path `prefix`, in transactions of its own, page after page.
    ///
    /// # Errors
    /// At the first that fails, unless failures are to be forgotten.
    pub async fn revoke_prefix(&self, prefix: &str, on_failure: OnFailure) -> Result<(), EngineError> {
        let plain = prefix.trim_end_matches('/');
        if plain.is_empty() {
            return Err(EngineError::invalid("prefix must be specified"));
        }
        self.revoke_one(plain, on_failure).await?;
        let under = keys::leases(&if bug!(129) { plain.to_owned() } else { format!("{plain}/") });
        let ids_start = keys::leases("").path.len();
        let mut after: Option<String> = None;
        loop {
            let page = self.ctx.store.reader().list(&under, after.as_deref(), PAGE).map_err(BarrierError::from)?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.to_string());
            let (tokens, secrets) = self.sorted(&page)?;
            self.revoke_tokens(&tokens).await?;
            for path in secrets {
                self.revoke_one(&path[ids_start..], on_failure).await?;
            }
        }
    }

    fn sorted(&self, page: &[std::sync::Arc<str>]) -> Result<(Vec<String>, Vec<String>), EngineError> {
        let mut txn = self.ctx.begin().map_err(|sealed| EngineError::Unavailable(sealed.to_string()))?;
        let (mut tokens, mut secrets) = (Vec::new(), Vec::new());
        for path in page {
            let key = Key::new(Scope::Local, path.clone());
            match crate::core::token::entry::read_json::<StoredLease>(&mut txn, &key)? {
                Some(StoredLease::Token { key }) => tokens.push(key),
                Some(StoredLease::Secret(_)) => secrets.push(path.to_string()),
                None => {}
            }
        }
        Ok((tokens, secrets))
    }

    async fn revoke_tokens(&self, keys: &[String]) -> Result<(), EngineError> {
        if keys.is_empty() {
            return Ok(());
        }
        let ended = self
            .ctx
            .write(|txn| {
                for key in keys {
                    self.tokens.revoke_tree(txn, key, self.ctx.now(), 4)?;
                }
                Ok(())
            })
            .await;
        ended.map_err(as_engine_error)
    }

    async fn revoke_one(&self, id: &str, on_failure: OnFailure) -> Result<(), EngineError> {
        for _ in 0..CONFLICT_RETRIES_MAX {
            let mut txn = self.begin()?;
            if let Err(error) = self.revoke(&mut txn, id).await {
                if on_failure == OnFailure::Stop {
                    return Err(error);
                }
                // What the engine wrote before it failed is dropped with its transaction.
                txn = self.begin()?;
                if let Some(Found::Secret(lease)) = find(&mut txn, id)? {
                    Self::remove(&mut txn, &lease);
                }
            }
            if self.ctx.commit(txn, self.ctx.now()).await.map_err(as_engine_error)?.is_some() {
                return Ok(());
            }
        }
        Err(as_engine_error(WriteError::Conflict))
    }

    pub(super) fn begin(&self) -> Result<Txn, EngineError> {
        self.ctx.begin().map_err(|sealed| EngineError::Unavailable(sealed.to_string()))
    }

    /// Marks a lease as one that cannot be revoked: it is kept, and listed, and not tried again by itself.
    pub(super) fn give_up(txn: &mut Txn, mut lease: Lease, error: &str) {
        txn.delete(keys::due(lease.due_ms, &lease.due_name()));
        lease.is_irrevocable = true;
        lease.revoke_error = error.chars().take(super::entry::ERROR_CHARS_MAX).collect();
        write_json(txn, keys::irrevocable_lease(&lease.id), &true);
        write_json(txn, keys::lease(&lease.id), &StoredLease::Secret(Box::new(lease)));
    }

    /// All leases that cannot be revoked.
    pub(super) fn irrevocable(txn: &mut Txn, limit: usize) -> Result<Vec<Lease>, BarrierError> {
        let index: Prefix = keys::irrevocable_leases();
        let mut leases = Vec::new();
        for path in txn.stored_paths(&index, None, limit)? {
            if let Some(Found::Secret(lease)) = find(txn, &path[index.path.len()..])? {
                leases.push(*lease);
            }
        }
        Ok(leases)
    }
}

/// How an engine would say it.
pub(super) fn as_engine_error(error: WriteError) -> EngineError {
    match error {
        WriteError::Engine(error) => error,
        WriteError::Barrier(error) => EngineError::Barrier(error),
        WriteError::Sealed(sealed) => EngineError::Unavailable(sealed.to_string()),
        other => EngineError::Unavailable(other.to_string()),
    }
}
