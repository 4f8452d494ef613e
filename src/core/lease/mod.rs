//! Leases: what ends by itself, and what must be told when it does.
//!
//! A lease is a row, written in the transaction of the request that it belongs to, and a *due* row that orders it by its end.
//! Nothing is loaded into memory: [`Expirer`] reads what is due, page by page, on the active node only. A token's lease is its own
//! entry; its lease row only points there.
//!
//! Not here: how an engine revokes what it gave out (behind [`RevokeLease`]).

mod engine;
mod entry;
mod expirer;
mod lookup;
mod metrics;
mod register;
mod renew;
mod revoke;
mod sweep;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::Notify;

pub use engine::LeaseEngine;
pub use entry::{Lease, StoredLease};
pub use expirer::Expirer;
pub use register::{NewLease, Registered};
pub use revoke::OnFailure;

use super::Context;
use super::token::{Limits, Tokens};
use crate::barrier::Txn;
use crate::engine::EngineError;
use crate::types::Key;

/// What a client is told that asks for a sweep.
pub(in crate::core) const TIDY_STARTED: &str =
    "Tidy operation successfully started. Any information from the operation will be printed to Vault's server logs.";

/// What leases need of the mounts. The router implements it.
#[async_trait]
pub trait RevokeLease: Send + Sync + 'static {
    /// Tells the engine that gave it out that `lease` ends. The engine writes through its view of `txn`. A mount that is gone is
    /// no error.
    ///
    /// # Errors
    /// If it could not be revoked; it is tried again.
    async fn revoke(&self, lease: &Lease, txn: &mut Txn) -> Result<(), EngineError>;
    /// The limits of the mount that answers to `path` (whole, as in `auth/userpass/login/a`), as they are now.
    fn limits(&self, path: &str) -> Option<Limits>;
}

/// All leases of this cluster.
pub struct Leases {
    ctx: Arc<Context>,
    tokens: Arc<Tokens>,
    mounts: Arc<dyn RevokeLease>,
    due: Notify,
}

impl fmt::Debug for Leases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Leases")
    }
}

impl Leases {
    /// Reads nothing.
    pub fn new(ctx: Arc<Context>, tokens: Arc<Tokens>, mounts: Arc<dyn RevokeLease>) -> Self {
        Self { ctx, tokens, mounts, due: Notify::new() }
    }

    /// What tokens are hashed with is there, and all that is due is looked for: the part that runs on the active node only.
    pub fn expirer(self: &Arc<Self>) -> Expirer {
        Expirer::new(self.clone())
    }

    /// These keys were written: wakes the sweep if something is due before it would look again by itself.
    pub fn forget(&self, changed: &[Key]) {
        let soon = self.ctx.now().0.saturating_add(1000);
        if changed.iter().any(|key| sweep::Due::parse(&key.path).is_some_and(|due| due.at_ms <= soon)) {
            self.due.notify_one();
        }
    }
}
