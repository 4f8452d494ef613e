//! Nodes that join: the leader's challenge, and the joiner's side of it.
//!
//! A joiner proves with the unseal key, combined from shares that are given to it, that it belongs to the cluster: the leader's
//! challenge is encrypted with a key derived from the unseal key, and so is the certificate that the leader answers with. Nothing
//! of either is worth anything to a stranger, even over plain HTTP.
//!
//! Not here: membership (`raft`), how certificates are made (`crypto::cert`).

mod challenges;
mod client;
mod joiner;
mod leader;

pub use client::{JoinClient, JoinTarget};
pub(super) use joiner::PendingJoin;
pub use joiner::{JoinAnswer, JoinRequest};
pub use leader::Joins;

/// Binds a challenge to its purpose.
const CHALLENGE_CONTEXT: &[u8] = b"coffer join challenge v1";
/// Binds an encrypted identity to its purpose.
const IDENTITY_CONTEXT: &[u8] = b"coffer join identity v1";
