//! The contract of an engine. Secrets engines and auth methods are the same thing: a table of routes and a `handle`.
//!
//! An auth method is an engine that answers [`Body::Login`]; the core turns that into a token. No engine makes a token or a lease.
//! A handler may run more than once for one request and has no effect but through its `View`.
//!
//! Not here: who may call (`core::policy`), where rows lie (`barrier::View` keeps that from engines).

mod error;
mod fields;
#[cfg(test)]
pub mod harness;
mod mount;
mod reply;
mod request;
mod route;

use async_trait::async_trait;

pub use error::EngineError;
pub use fields::{Fields, remarks};
pub use mount::{Kind, Mount, MountClass};
pub use reply::{AuthInfo, Body, Grant, LeaseSpec, Raw, Reply, TokenKind, WrapInfo};
pub use request::{Call, Caller, Connection, Data, FieldError, Operation, Request};
pub use route::{Access, Captures, NoRoute, Route, Writes, find_route};

pub use crate::barrier::{BarrierError, Page, View};
use crate::types::{Key, Timestamp};

/// A secrets engine or an auth method, opened for one mount.
#[async_trait]
pub trait Engine: Send + Sync + 'static {
    /// What it answers to. The first route that matches path and operation wins.
    fn routes(&self) -> &'static [Route];
    /// The fields that a route of it knows; what else is sent is ignored, and clients are told so.
    fn fields(&self, route: &Route) -> Fields {
        let _ = route;
        Fields::Any
    }
    /// Whether the thing that `call` names exists: tells `create` from `update` for policies. `None`: the engine does not care,
    /// and the operation counts as an update.
    ///
    /// # Errors
    /// As [`Engine::handle`].
    async fn exists(&self, call: &Call<'_>, view: &mut View<'_>) -> Result<Option<bool>, EngineError> {
        let (_, _) = (call, view);
        Ok(None)
    }
    /// Answers one request. May run more than once; has no effect but through `view`.
    ///
    /// # Errors
    /// What the client did wrong, or what could not be done.
    async fn handle(&self, call: &Call<'_>, view: &mut View<'_>) -> Result<Reply, EngineError>;
    /// A lease that this engine gave out ends.
    ///
    /// # Errors
    /// If it could not be revoked; the core tries again.
    async fn revoke(&self, lease: &LeaseSpec, view: &mut View<'_>) -> Result<(), EngineError> {
        let (_, _) = (lease, view);
        Ok(())
    }
    /// The mount's `version` option was raised to the one that this engine was opened with: gives its rows their new form, in the
    /// transaction that raises it.
    ///
    /// # Errors
    /// If there is more than one transaction can take.
    async fn upgrade(&self, view: &mut View<'_>, now: Timestamp) -> Result<(), EngineError> {
        let (_, _) = (view, now);
        Ok(())
    }
    /// Another node or cluster changed these keys: drop what was cached from them. Must not block.
    fn forget(&self, changed: &[Key]) {
        let _ = changed;
    }
}
