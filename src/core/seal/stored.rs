//! The raw rows: seal configuration and root key, and what they are encrypted with.

use serde::{Deserialize, Serialize};

use super::super::keys;
use super::super::{RootKey, WriteError};
use super::{Seal, SealError};
use crate::barrier::{Keyring, KeyringError};
use crate::crypto::aead::{AeadKey, KEY_BYTES};
use crate::crypto::{Entropy, entropy, kdf};
use crate::engine::EngineError;
use crate::machine::Ciphertext;
use crate::types::Secret;

const ROOT_KEY_CONTEXT: &[u8] = b"coffer root key v1";
const JOIN_PURPOSE: &str = "coffer join v1";

/// How many shares there are and how many it takes. Not secret.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SealConfig {
    /// All shares.
    pub secret_shares: u8,
    /// How many of them unseal.
    pub secret_threshold: u8,
}

impl SealConfig {
    /// Checks what an operator asks for. Texts are Vault's.
    ///
    /// # Errors
    /// If the numbers do not fit.
    pub fn checked(shares: i64, threshold: i64) -> Result<Self, &'static str> {
        if shares < 1 {
            return Err("shares must be at least one");
        }
        if threshold < 1 {
            return Err("threshold must be at least one");
        }
        if shares > 1 && threshold == 1 {
            return Err("threshold must be greater than one for multiple shares");
        }
        let shares = u8::try_from(shares).map_err(|_| "shares must be less than 256")?;
        let threshold = u8::try_from(threshold).map_err(|_| "threshold must be less than 256")?;
        if threshold > shares {
            return Err("threshold cannot be larger than shares");
        }
        Ok(Self { secret_shares: shares, secret_threshold: threshold })
    }

    /// The stored form.
    pub(super) fn row(self) -> Ciphertext {
        serde_json::to_vec(&self).expect("numbers are JSON").into()
    }
}

/// What shares combine to. It opens the root key and nothing else.
pub(in super::super) struct UnsealKey {
    secret: Secret<Vec<u8>>,
    cipher: AeadKey,
}

impl UnsealKey {
    /// A fresh one.
    pub(super) fn fresh(source: &dyn Entropy) -> Self {
        Self::new(entropy::random_secret(source, KEY_BYTES)).expect("a fresh key has the right length")
    }

    /// What shares combined to; `None` if it cannot be one.
    pub(super) fn new(secret: Secret<Vec<u8>>) -> Option<Self> {
        let cipher = AeadKey::new(secret.expose()).ok()?;
        Some(Self { secret, cipher })
    }

    /// Its bytes, to be split into shares.
    pub(super) fn expose(&self) -> &[u8] {
        self.secret.expose()
    }

    /// Whether both are the same key.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.secret.same_as(other.expose())
    }

    /// What nodes that join prove themselves with.
    pub(in super::super) fn join_key(&self) -> Secret<Vec<u8>> {
        kdf::derive(self.secret.expose(), JOIN_PURPOSE)
    }

    /// The row that keeps `root`.
    pub(super) fn root_key_row(&self, source: &dyn Entropy, root: &RootKey) -> Ciphertext {
        self.cipher.encrypt(source, ROOT_KEY_CONTEXT, root.secret.expose()).into()
    }

    /// What [`Self::root_key_row`] keeps; `None` if this is the wrong key.
    pub(super) fn open_root_key(&self, row: &[u8]) -> Option<RootKey> {
        RootKey::new(self.cipher.decrypt(ROOT_KEY_CONTEXT, row).ok()?).ok()
    }
}

impl Seal {
    /// Whether the row that says how to unseal is here.
    pub(super) fn has_seal_config(&self) -> bool {
        matches!(self.ctx.store.get(&keys::seal_config()), Ok(Some(_)))
    }

    /// How many shares there are and how many it takes: this cluster's, or that of the cluster being joined.
    pub(in super::super) fn seal_config(&self) -> Result<Option<SealConfig>, SealError> {
        if let Some(join) = &self.progress().join {
            return Ok(Some(join.config));
        }
        match self.raw(&keys::seal_config())? {
            None => Ok(None),
            Some(row) => serde_json::from_slice(&row).map(Some).map_err(|_| SealError::failed("the stored seal configuration is damaged")),
        }
    }

    /// Whether the cluster's state has arrived.
    pub(in super::super) fn has_keyring(&self) -> bool {
        matches!((self.raw(&keys::keyring()), self.raw(&keys::root_key())), (Ok(Some(_)), Ok(Some(_))))
    }

    /// The root key, opened by the unseal key. `None`: wrong key, or no such row yet.
    pub(super) fn open_root_key(&self, unseal_key: &UnsealKey) -> Result<Option<RootKey>, SealError> {
        Ok(self.raw(&keys::root_key())?.and_then(|row| unseal_key.open_root_key(&row)))
    }

    /// The keyring as stored, with this cluster's former keys; `None` before there is one.
    pub(super) fn open_keyring(&self, root: &RootKey) -> Result<Option<Result<Keyring, KeyringError>>, SealError> {
        let (Some(row), former) = (self.raw(&keys::keyring())?, self.raw(&keys::former_keys())?) else { return Ok(None) };
        Ok(Some(Keyring::decrypt(&root.cipher, &row).and_then(|keyring| match former {
            Some(former) => keyring.with_former(&root.cipher, &former),
            None => Ok(keyring),
        })))
    }

    pub(super) fn raw(&self, key: &crate::types::Key) -> Result<Option<Ciphertext>, SealError> {
        Ok(self.ctx.store.get(key)?.map(|stored| stored.value))
    }
}

/// For closures that `Context::write` runs.
pub(super) fn internal(error: impl std::fmt::Display) -> EngineError {
    EngineError::Internal(error.to_string())
}

impl From<super::super::Sealed> for SealError {
    fn from(sealed: super::super::Sealed) -> Self {
        WriteError::from(sealed).into()
    }
}
