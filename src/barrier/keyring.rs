//! Key terms: which key encrypts, which may still decrypt.
//!
//! A keyring is immutable: rotating makes a new one. It is stored encrypted by the root key, as one shared row, so a rotation on
//! the primary reaches every node of every cluster of the set like any other write.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::crypto::aead::{AeadKey, KEY_BYTES, Unopened};
use crate::crypto::{Entropy, entropy};
use crate::machine::KeyTerm;
use crate::types::{Secret, Timestamp};

/// The stored keyring is not one, or the root key is another.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyringError {
    /// Does not open with this root key.
    #[error("the keyring does not open with this root key")]
    WrongRootKey,
    /// Opens, but is none.
    #[error("the keyring is damaged")]
    Damaged,
}

impl From<Unopened> for KeyringError {
    fn from(_: Unopened) -> Self {
        Self::WrongRootKey
    }
}

/// What may be shown of a key term: never the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TermInfo {
    /// Its number.
    pub term: KeyTerm,
    /// When it became the newest.
    pub installed: Timestamp,
}

#[derive(Clone)]
struct TermKey {
    key: Secret<Vec<u8>>,
    cipher: AeadKey,
    installed: Timestamp,
}

/// The data keys of a replication set.
#[derive(Clone)]
pub struct Keyring {
    terms: BTreeMap<KeyTerm, TermKey>,
    newest: KeyTerm,
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keyring(newest {})", self.newest.0)
    }
}

#[derive(Serialize, Deserialize)]
struct StoredTerm {
    term: u32,
    key: String,
    installed_ms: u64,
}

const CONTEXT: &[u8] = b"coffer keyring v1";

impl Keyring {
    /// A keyring with one fresh key.
    pub fn first(source: &dyn Entropy, now: Timestamp) -> Self {
        Self { terms: BTreeMap::new(), newest: KeyTerm(0) }.rotated(source, now)
    }

    /// This keyring with one more fresh key, which encrypts from now on.
    #[must_use]
    pub fn rotated(&self, source: &dyn Entropy, now: Timestamp) -> Self {
        let mut rotated = self.clone();
        rotated.newest = KeyTerm(self.newest.0 + 1);
        if bug!(26) {
            rotated.terms.retain(|term, _| *term == self.newest);
        }
        let key = entropy::random_secret(source, KEY_BYTES);
        rotated.insert(rotated.newest, key, now).expect("a fresh key has the right length");
        rotated
    }

    fn insert(&mut self, term: KeyTerm, key: Secret<Vec<u8>>, installed: Timestamp) -> Result<(), Unopened> {
        let cipher = AeadKey::new(key.expose())?;
        self.terms.insert(term, TermKey { key, cipher, installed });
        Ok(())
    }

    /// The key that encrypts.
    pub fn newest(&self) -> (KeyTerm, &AeadKey) {
        (self.newest, &self.terms[&self.newest].cipher)
    }

    /// The key of `term`, for decrypting.
    pub fn cipher(&self, term: KeyTerm) -> Option<&AeadKey> {
        self.terms.get(&term).map(|key| &key.cipher)
    }

    /// What may be shown of the newest key.
    pub fn info(&self) -> TermInfo {
        TermInfo { term: self.newest, installed: self.terms[&self.newest].installed }
    }

    /// The stored form: encrypted by the root key.
    pub fn encrypt(&self, root_key: &AeadKey, source: &dyn Entropy) -> Vec<u8> {
        let stored: Vec<StoredTerm> = self
            .terms
            .iter()
            .map(|(term, key)| StoredTerm { term: term.0, key: hex::encode(key.key.expose()), installed_ms: key.installed.0 })
            .collect();
        let plain = Secret::new(serde_json::to_vec(&stored).expect("numbers and hexadecimal text are JSON"));
        root_key.encrypt(source, CONTEXT, plain.expose())
    }

    /// Reads what [`Self::encrypt`] wrote.
    ///
    /// # Errors
    /// If the root key is another one or the bytes were changed.
    pub fn decrypt(root_key: &AeadKey, stored: &[u8]) -> Result<Self, KeyringError> {
        let plain = root_key.decrypt(CONTEXT, stored)?;
        let terms: Vec<StoredTerm> = serde_json::from_slice(plain.expose()).map_err(|_| KeyringError::Damaged)?;
        let newest = KeyTerm(terms.iter().map(|stored| stored.term).max().ok_or(KeyringError::Damaged)?);
        let mut keyring = Self { terms: BTreeMap::new(), newest };
        for stored in terms {
            let key = hex::decode(&stored.key).map(Secret::new).map_err(|_| KeyringError::Damaged)?;
            keyring.insert(KeyTerm(stored.term), key, Timestamp(stored.installed_ms)).map_err(|_| KeyringError::Damaged)?;
        }
        Ok(keyring)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::entropy::SeededEntropy;

    #[test]
    fn a_keyring_opens_only_with_its_root_key() {
        let source = SeededEntropy::new(5);
        let root = AeadKey::new(&[1; 32]).unwrap();
        let keyring = Keyring::first(&source, Timestamp(7)).rotated(&source, Timestamp(8));
        let stored = keyring.encrypt(&root, &source);
        let opened = Keyring::decrypt(&root, &stored).unwrap();
        assert_eq!(opened.info(), TermInfo { term: KeyTerm(2), installed: Timestamp(8) });
        let other = AeadKey::new(&[2; 32]).unwrap();
        assert_eq!(Keyring::decrypt(&other, &stored).unwrap_err(), KeyringError::WrongRootKey);
    }
}
