//! What every part of the core stands on: the store, the log, the clock, entropy, and the keys while unsealed.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwapOption;

use super::turns::{Turn, Turns};
use crate::barrier::{BarrierError, Keyring, Txn};
use crate::crypto::Entropy;
use crate::crypto::aead::{AeadKey, Unopened};
use crate::engine::EngineError;
use crate::machine::{Command, Outcome, Positions, Refusal};
use crate::raft::{self, CommitError};
use crate::storage::Physical;
use crate::types::limits::CONFLICT_RETRIES_MAX;
use crate::types::{Clock, Secret, Timestamp};

/// This node is sealed: it has no keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Vault is sealed")]
pub struct Sealed;

/// The key that encrypts the keyring.
#[derive(Clone, Debug)]
pub struct RootKey {
    /// Its bytes, for handing it on.
    pub secret: Secret<Vec<u8>>,
    /// Ready for use.
    pub cipher: AeadKey,
}

impl RootKey {
    /// Takes a key of 32 bytes.
    ///
    /// # Errors
    /// If it has another length.
    pub fn new(secret: Secret<Vec<u8>>) -> Result<Self, Unopened> {
        let cipher = AeadKey::new(secret.expose())?;
        Ok(Self { secret, cipher })
    }
}

/// What an unsealed node holds.
#[derive(Clone, Debug)]
pub struct Keys {
    /// Encrypts the keyring.
    pub root: RootKey,
    /// Encrypts values.
    pub keyring: Arc<Keyring>,
}

/// Why a write did not happen, or may not have.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// This node is sealed.
    #[error(transparent)]
    Sealed(#[from] Sealed),
    /// What it read kept changing.
    #[error("the same data was changed by other requests again and again, try again")]
    Conflict,
    /// The state machine refused it.
    #[error(transparent)]
    Refused(Refusal),
    /// It was not committed, or its outcome is not known.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// It could not be prepared.
    #[error("read storage")]
    Barrier(#[from] BarrierError),
    /// The change itself said no.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// Shared by all parts of the core.
pub struct Context {
    /// The replicated state of this node.
    pub store: Arc<dyn Physical>,
    /// The replicated log.
    pub raft: raft::Handle,
    /// Wall time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    keys: ArcSwapOption<Keys>,
    turns: Turns,
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Context")
    }
}

impl Context {
    /// A sealed node's context.
    pub fn new(store: Arc<dyn Physical>, raft: raft::Handle, clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Self {
        Self { store, raft, clock, entropy, keys: ArcSwapOption::empty(), turns: Turns::default() }
    }

    /// The keys.
    ///
    /// # Errors
    /// While sealed.
    pub fn keys(&self) -> Result<Arc<Keys>, Sealed> {
        self.keys.load_full().ok_or(Sealed)
    }
    /// Unseals, or takes a rotated keyring.
    pub fn set_keys(&self, keys: Keys) {
        self.keys.store(Some(Arc::new(keys)));
    }
    /// Seals.
    pub fn drop_keys(&self) {
        if !bug!(58) {
            self.keys.store(None);
        }
    }
    /// Whether this node has no keys.
    pub fn is_sealed(&self) -> bool {
        self.keys.load().is_none()
    }
    /// The time now.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A transaction over this moment.
    ///
    /// # Errors
    /// While sealed.
    pub fn begin(&self) -> Result<Txn, Sealed> {
        Ok(Txn::new(self.store.reader(), self.keys()?.keyring.clone(), self.entropy.clone()))
    }

    /// Commits what `txn` wrote as one entry; proposes nothing if it wrote nothing.
    ///
    /// `Ok(None)`: something it read has changed meanwhile; run the handler again on a new transaction.
    ///
    /// # Errors
    /// See [`WriteError`]; mind an unknown outcome.
    pub async fn commit(&self, txn: Txn, now: Timestamp) -> Result<Option<Positions>, WriteError> {
        self.commit_in_turn(txn, now, &mut Turn::default()).await
    }

    /// [`Self::commit`] of a change that holds its `turn` from one run to the next.
    ///
    /// # Errors
    /// As [`Self::commit`].
    pub async fn commit_in_turn(&self, txn: Txn, now: Timestamp, turn: &mut Turn) -> Result<Option<Positions>, WriteError> {
        if txn.is_read_only() {
            return Ok(Some(self.store.positions()));
        }
        if !bug!(14) && !self.turns.take(txn.rewritten(), turn).await {
            return Ok(None);
        }
        let command = Command::Write(txn.into_batch(now));
        match self.raft.propose(&command).await? {
            Outcome::Committed(positions) => Ok(Some(positions)),
            Outcome::Conflict(_) if bug!(100) => Ok(Some(self.store.positions())),
            Outcome::Conflict(_) => Ok(None),
            Outcome::Refused(refusal) => Err(WriteError::Refused(refusal)),
        }
    }

    /// Runs `change` in a transaction and commits it, again if what it read has changed meanwhile.
    ///
    /// # Errors
    /// See [`WriteError`].
    pub async fn write<T>(&self, mut change: impl FnMut(&mut Txn) -> Result<T, EngineError> + Send) -> Result<T, WriteError> {
        let mut turn = Turn::default();
        for _ in 0..CONFLICT_RETRIES_MAX {
            let mut txn = self.begin()?;
            let done = change(&mut txn)?;
            if self.commit_in_turn(txn, self.now(), &mut turn).await?.is_some() {
                return Ok(done);
            }
        }
        Err(WriteError::Conflict)
    }
}
