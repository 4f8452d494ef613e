//! Key terms: which key encrypts, which may still decrypt.
//!
//! A keyring is immutable: rotating makes a new one. It is stored encrypted by the root key, as one shared row, so a rotation on
//! the primary reaches every node of every cluster of the set like any other write.
//!
//! A cluster that follows another primary may have written local rows with keys that the other never had: it was promoted without them.
//! So whoever changes primaries keeps the keys it holds, in a row of its own, and goes on decrypting with them: *former* keys.

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

impl TermKey {
    fn new(key: Secret<Vec<u8>>, installed: Timestamp) -> Result<Self, Unopened> {
        Ok(Self { cipher: AeadKey::new(key.expose())?, key, installed })
    }
}

impl PartialEq for TermKey {
    fn eq(&self, other: &Self) -> bool {
        self.key.same_as(other.key.expose())
    }
}

/// The data keys of a replication set, and those that this cluster had before it followed its primary. Two are equal if they encrypt and
/// decrypt the same.
#[derive(Clone, PartialEq)]
pub struct Keyring {
    terms: BTreeMap<KeyTerm, TermKey>,
    newest: KeyTerm,
    /// Never encrypt anything any more. Their terms may be those of other keys by now.
    former: Vec<(KeyTerm, TermKey)>,
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
const FORMER_CONTEXT: &[u8] = b"coffer former keys v1";

impl Keyring {
    /// A keyring with one fresh key.
    pub fn first(source: &dyn Entropy, now: Timestamp) -> Self {
        Self { terms: BTreeMap::new(), newest: KeyTerm(0), former: Vec::new() }.rotated(source, now)
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
        rotated.terms.insert(rotated.newest, TermKey::new(key, now).expect("a fresh key has the right length"));
        rotated
    }

    /// The key that encrypts.
    pub fn newest(&self) -> (KeyTerm, &AeadKey) {
        (self.newest, &self.terms[&self.newest].cipher)
    }

    /// The keys of `term`, for decrypting: the set's, then former ones. Hardly ever more than one.
    pub fn ciphers(&self, term: KeyTerm) -> impl Iterator<Item = &AeadKey> {
        let former = self.former.iter().filter(move |(of, _)| *of == term).map(|(_, key)| key);
        self.terms.get(&term).into_iter().chain(former).map(|key| &key.cipher)
    }

    /// What may be shown of the newest key.
    pub fn info(&self) -> TermInfo {
        TermInfo { term: self.newest, installed: self.terms[&self.newest].installed }
    }

    /// The stored form, without former keys: encrypted by the root key.
    pub fn encrypt(&self, root_key: &AeadKey, source: &dyn Entropy) -> Vec<u8> {
        stored(self.terms.iter(), CONTEXT, root_key, source)
    }

    /// Reads what [`Self::encrypt`] wrote.
    ///
    /// # Errors
    /// If the root key is another one or the bytes were changed.
    pub fn decrypt(root_key: &AeadKey, stored: &[u8]) -> Result<Self, KeyringError> {
        let terms: BTreeMap<KeyTerm, TermKey> = read(stored, CONTEXT, root_key)?.into_iter().collect();
        let newest = if bug!(77) { terms.keys().next() } else { terms.keys().next_back() };
        let newest = *newest.ok_or(KeyringError::Damaged)?;
        Ok(Self { terms, newest, former: Vec::new() })
    }

    /// The stored form of all keys that there are, to be read as former ones: encrypted by the root key.
    pub fn encrypt_all(&self, root_key: &AeadKey, source: &dyn Entropy) -> Vec<u8> {
        let former = self.former.iter().filter(|_| !bug!(160)).map(|(term, key)| (term, key));
        stored(self.terms.iter().chain(former), FORMER_CONTEXT, root_key, source)
    }

    /// With those of the keys in `former`, as [`Self::encrypt_all`] wrote them, that are not here anyway.
    ///
    /// # Errors
    /// If the root key is another one or the bytes were changed.
    pub fn with_former(mut self, root_key: &AeadKey, former: &[u8]) -> Result<Self, KeyringError> {
        self.former = read(former, FORMER_CONTEXT, root_key)?;
        self.former.retain(|(term, key)| self.terms.get(term).is_none_or(|ours| ours != key && !bug!(145)));
        Ok(self)
    }
}

fn stored<'k>(keys: impl Iterator<Item = (&'k KeyTerm, &'k TermKey)>, context: &[u8], root_key: &AeadKey, source: &dyn Entropy) -> Vec<u8> {
    let stored: Vec<StoredTerm> =
        keys.map(|(term, key)| StoredTerm { term: term.0, key: hex::encode(key.key.expose()), installed_ms: key.installed.0 }).collect();
    let plain = Secret::new(serde_json::to_vec(&stored).expect("numbers and hexadecimal text are JSON"));
    root_key.encrypt(source, context, plain.expose())
}

fn read(stored: &[u8], context: &[u8], root_key: &AeadKey) -> Result<Vec<(KeyTerm, TermKey)>, KeyringError> {
    let plain = root_key.decrypt(context, stored)?;
    let terms: Vec<StoredTerm> = serde_json::from_slice(plain.expose()).map_err(|_| KeyringError::Damaged)?;
    let read = |stored: StoredTerm| {
        let key = hex::decode(&stored.key).map(Secret::new).map_err(|_| KeyringError::Damaged)?;
        let key = TermKey::new(key, Timestamp(stored.installed_ms)).map_err(|_| KeyringError::Damaged)?;
        Ok((KeyTerm(stored.term), key))
    };
    terms.into_iter().map(read).collect()
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
        assert_eq!(Keyring::decrypt(&root, &keyring.encrypt_all(&root, &source)).unwrap_err(), KeyringError::WrongRootKey);
    }

    #[test]
    fn former_keys_are_kept_through_every_change_of_primaries() {
        let source = SeededEntropy::new(6);
        let root = AeadKey::new(&[1; 32]).unwrap();
        let shared = Keyring::first(&source, Timestamp(1));
        let of_set = |keyring: &Keyring| keyring.ciphers(KeyTerm(2)).count();
        // Each of these was promoted without the rotation of the one before.
        let mut held = shared.rotated(&source, Timestamp(2));
        for primaries in 2..5 {
            let theirs = shared.rotated(&source, Timestamp(2));
            held = theirs.with_former(&root, &held.encrypt_all(&root, &source)).unwrap();
            assert_eq!(of_set(&held), primaries, "one key of term 2 for each primary");
            assert_eq!(held.ciphers(KeyTerm(1)).count(), 1, "what all have is not kept twice");
        }
        assert!(held != shared && held == held.clone());
        assert_eq!(of_set(&Keyring::decrypt(&root, &held.encrypt(&root, &source)).unwrap()), 1, "the set's row has the set's keys");
    }
}
