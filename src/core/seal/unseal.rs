//! Unsealing: shares in, keys out. Node by node; nothing is forwarded.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde::Deserialize;

use super::super::Keys;
use super::collector::{Collected, Collector, parse_share};
use super::stored::UnsealKey;
use super::{Seal, SealError, SealStatus};
use crate::barrier::KeyringError;
use crate::crypto::entropy;
use crate::types::Secret;

/// Shares that combine, but to another key. Says no more than that.
pub(in super::super) const WRONG_SHARES: &str = "Unseal failed, invalid key";

/// `POST sys/unseal`.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub struct UnsealRequest {
    /// One share.
    pub key: Option<String>,
    /// Forget the shares given so far.
    pub reset: bool,
    /// Seal migration: refused.
    pub migrate: bool,
}

impl fmt::Debug for UnsealRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UnsealRequest(***)")
    }
}

/// One share of an operation that was begun: `sys/generate-root/update`, `sys/rekey/update`.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub struct ShareRequest {
    /// The share.
    pub key: Option<String>,
    /// Names the operation.
    pub nonce: String,
}

impl fmt::Debug for ShareRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ShareRequest(***)")
    }
}

impl ShareRequest {
    pub(super) fn share(&self) -> Result<Secret<Vec<u8>>, SealError> {
        let key = self.key.as_deref().filter(|key| !key.is_empty());
        parse_share(key.ok_or_else(|| SealError::invalid("'key' must be specified in request body as JSON"))?).map_err(SealError::Invalid)
    }
}

impl Seal {
    /// `sys/unseal`: takes one share, and unseals or joins with the last.
    ///
    /// # Errors
    /// If the share is none, or the shares are wrong: they are forgotten then.
    pub async fn unseal(self: &Arc<Self>, request: UnsealRequest) -> Result<SealStatus, SealError> {
        if request.reset {
            if !self.ctx.is_sealed() {
                return Err(SealError::invalid("vault is unsealed"));
            }
            self.forget_shares();
            return self.status();
        }
        if request.migrate {
            return Err(SealError::invalid("can't perform a seal migration, no migration seal found"));
        }
        let key = request.key.as_deref().filter(|key| !key.is_empty());
        let key = key.ok_or_else(|| SealError::invalid("'key' must be specified in request body as JSON, or 'reset' set to true"))?;
        let share = parse_share(key).map_err(SealError::Invalid)?;

        let _turn = self.turn.lock().await;
        if !self.ctx.is_sealed() {
            return self.status();
        }
        if self.ctx.raft.status().borrow().is_removed {
            return Err(SealError::invalid("this node was removed from its cluster: erase its data before it joins again"));
        }
        if !self.has_keyring() {
            self.look_at_seal_again().await;
        }
        let config = self.seal_config()?.ok_or_else(|| SealError::invalid("Vault is not initialized"))?;
        let collected = {
            let mut progress = self.progress();
            if progress.unseal.nonce().is_empty() {
                progress.unseal = Collector::new(entropy::random_uuid(self.ctx.entropy.as_ref()));
            }
            let collected = progress.unseal.add(share, config.secret_threshold);
            if matches!(collected, Collected::Combined(_) | Collected::Unfit(_)) {
                progress.unseal = Collector::default();
            }
            collected
        };
        match collected {
            Collected::More => tracing::info!(threshold = config.secret_threshold, "an unseal share was given"),
            Collected::Duplicate => tracing::warn!("an unseal share was given twice"),
            Collected::Unfit(error) => return Err(SealError::Invalid(format!("invalid key: failed to compute combined key: {error}"))),
            Collected::Combined(combined) => {
                let unseal_key = UnsealKey::new(combined).ok_or_else(|| SealError::invalid(WRONG_SHARES))?;
                let join = self.progress().join.clone();
                match join {
                    Some(join) if !self.has_joined() => self.finish_join(join, unseal_key).await?,
                    _ => self.unseal_with(&unseal_key)?,
                }
                if !self.ctx.is_sealed() {
                    self.settle().await;
                }
            }
        }
        self.status()
    }

    /// Opens root key and keyring.
    pub(in super::super) fn unseal_with(&self, unseal_key: &UnsealKey) -> Result<(), SealError> {
        let root = self.open_root_key(unseal_key)?.ok_or_else(|| SealError::invalid(WRONG_SHARES))?;
        let keyring = match self.open_keyring(&root)? {
            Some(Ok(keyring)) => keyring,
            Some(Err(KeyringError::WrongRootKey)) => return Err(SealError::failed("the stored keyring belongs to another root key")),
            Some(Err(error)) => return Err(SealError::Failed(error.to_string())),
            None => return Err(SealError::failed("the keyring is not here yet")),
        };
        let taking = self.taking();
        self.ctx.set_keys(Keys { root, keyring: Arc::new(keyring) });
        self.unseals.fetch_add(1, Ordering::Relaxed);
        if !bug!(175) {
            self.progress().join = None;
        }
        // A rotation may have been applied between reading and taking the keyring.
        self.follow_while(&taking);
        drop(taking);
        tracing::info!("unsealed");
        self.announce();
        Ok(())
    }
}
