//! Tokens: what proves who is calling.
//!
//! A token is kept by its HMAC only; everything that makes, uses or ends one happens inside the caller's transaction, so that
//! token, lease and secret commit together or not at all.
//!
//! Ending a token has two steps. It is *marked* in the request's own transaction, together with its descendants, and is dead from
//! that commit on. What it left behind is swept later, in a transaction that begins after the mark: whoever made a child or a lease
//! meanwhile had read the token without its mark, so that its write is in conflict.
//!
//! Not here: what a token may do (`core::policy`), when it is swept (`core::lease::Expirer`).

mod batch;
mod client_id;
mod create;
mod engine;
pub(in crate::core) mod engine_roles;
pub(in crate::core) mod entry;
mod error;
mod id;
mod identify;
mod lookup;
mod renew;
mod request;
pub(in crate::core) mod revoke;
mod role;
mod salts;
mod spec;
#[cfg(test)]
pub(in crate::core) mod testing;
#[cfg(test)]
mod tests;
pub(in crate::core) mod ttl;

use std::sync::Arc;

pub use client_id::client_id;
pub use engine::TokenEngine;
pub use entry::TokenEntry;
pub use error::TokenError;
pub use identify::Identified;
pub use role::TokenRole;
pub use spec::{Made, TokenSpec};
pub use ttl::{Limits, Renewal, Terms};

use super::{Context, WriteError};
use crate::types::{Key, Scope};
use salts::Salts;

/// All tokens of this cluster.
#[derive(Debug)]
pub struct Tokens {
    ctx: Arc<Context>,
    salts: Salts,
}

impl Tokens {
    /// Reads nothing yet.
    pub fn new(ctx: Arc<Context>) -> Self {
        Self { ctx, salts: Salts::default() }
    }

    /// Makes what tokens are hashed, encrypted and signed with, as far as it is not there yet and this cluster may write it: for the
    /// active node, when it starts.
    ///
    /// # Errors
    /// See [`WriteError`].
    pub async fn ensure(&self) -> Result<(), WriteError> {
        self.ctx
            .write(|txn| {
                let role = txn.reader().role();
                if role.may_write(Scope::Local) {
                    self.salt(txn)?;
                    self.batch_key(txn)?;
                }
                if role.may_write(Scope::Shared) {
                    super::wrapping::ensure_key(txn)?;
                }
                Ok(())
            })
            .await
    }

    /// These keys were written: drops what was read from them.
    pub fn forget(&self, changed: &[Key]) {
        if changed.iter().any(|key| *key == super::keys::token_salt() || *key == super::keys::batch_token_key()) {
            self.salts.forget();
        }
    }

    /// Everything may have changed.
    pub fn forget_all(&self) {
        self.salts.forget();
    }
}
