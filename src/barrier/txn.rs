//! One request's transaction: reads through, writes gathered, guards remembered.
//!
//! A handler runs inside it and may run again if something it read has changed meanwhile; nothing has an effect until the batch
//! that [`Txn::into_batch`] gives is committed. All reads see one moment.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::{Keyring, View, decrypt_value, encrypt_value};
use crate::crypto::Entropy;
use crate::machine::{Batch, Ciphertext, Guard, KeyTerm, KeyUse, Op};
use crate::storage::{Reader, StorageError};
use crate::types::{Key, MountId, Prefix, Revision, Scope, Secret, Timestamp};

/// Why a value could not be read.
#[derive(Debug, thiserror::Error)]
pub enum BarrierError {
    /// The store cannot be read.
    #[error("read storage")]
    Storage(#[from] StorageError),
    /// A value was changed, or moved from another key.
    #[error("the value of {0:?} is damaged")]
    Damaged(Key),
    /// A value was encrypted by a key that this node does not have yet.
    #[error("the key of term {} is not known here", .0.0)]
    UnknownTerm(KeyTerm),
}

/// A gathered write.
#[derive(Clone, Debug)]
pub enum Write {
    /// Plaintext, encrypted when the batch is made.
    Put(Secret<Vec<u8>>),
    /// Bytes that are encrypted already, by another key than the barrier's: keyring and root key.
    PutRaw(Ciphertext),
    /// A deletion.
    Delete,
}

/// Room for what most requests read: token, its parent, policy or settings, the thing itself.
const READS_USUAL: usize = 7;

/// One request's transaction.
pub struct Txn {
    reader: Arc<dyn Reader>,
    keyring: Arc<Keyring>,
    entropy: Arc<dyn Entropy>,
    read: HashMap<Key, Option<Revision>>,
    written: BTreeMap<Key, Write>,
}

impl Txn {
    /// A transaction over one moment of the store.
    pub fn new(reader: Arc<dyn Reader>, keyring: Arc<Keyring>, entropy: Arc<dyn Entropy>) -> Self {
        Self { reader, keyring, entropy, read: HashMap::with_capacity(READS_USUAL), written: BTreeMap::new() }
    }

    /// The value at `key`, as this transaction would leave it.
    ///
    /// # Errors
    /// If the store cannot be read or the value does not open.
    pub fn get(&mut self, key: &Key) -> Result<Option<Secret<Vec<u8>>>, BarrierError> {
        match self.written.get(key) {
            Some(Write::Put(value)) => return Ok(Some(value.clone())),
            Some(Write::PutRaw(_)) => return Err(BarrierError::Damaged(key.clone())),
            Some(Write::Delete) => return Ok(None),
            None => {}
        }
        match self.stored(key)? {
            None => Ok(None),
            Some(value) => decrypt_value(&self.keyring, key, &value).map(Some),
        }
    }

    /// The stored bytes at `key`, not opened: for rows that the barrier's keyring does not encrypt.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn get_raw(&mut self, key: &Key) -> Result<Option<Ciphertext>, BarrierError> {
        match self.written.get(key) {
            Some(Write::PutRaw(value)) => Ok(Some(value.clone())),
            Some(Write::Put(_)) => Err(BarrierError::Damaged(key.clone())),
            Some(Write::Delete) => Ok(None),
            None => self.stored(key),
        }
    }

    /// Whether there is a value at `key`, without opening it.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn exists(&mut self, key: &Key) -> Result<bool, BarrierError> {
        match self.written.get(key) {
            Some(Write::Delete) => Ok(false),
            Some(_) => Ok(true),
            None => Ok(self.stored(key)?.is_some()),
        }
    }

    fn stored(&mut self, key: &Key) -> Result<Option<Ciphertext>, BarrierError> {
        let stored = self.reader.get(key)?;
        self.read.entry(key.clone()).or_insert_with(|| stored.as_ref().map(|stored| stored.revision));
        Ok(stored.map(|stored| stored.value))
    }

    /// Gathers a write of `value` at `key`.
    pub fn put(&mut self, key: Key, value: Secret<Vec<u8>>) {
        self.written.insert(key, Write::Put(value));
    }

    /// Gathers a write of bytes that are encrypted already.
    pub fn put_raw(&mut self, key: Key, value: Ciphertext) {
        self.written.insert(key, Write::PutRaw(value));
    }

    /// Gathers a deletion.
    pub fn delete(&mut self, key: Key) {
        self.written.insert(key, Write::Delete);
    }

    /// Names directly below `under`, as this transaction would leave them: `a` for a value, `b/` for a folder.
    ///
    /// Listings are not guarded: a name that appears meanwhile is no conflict.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn children(&self, under: &Prefix, after: Option<&str>, limit: usize) -> Result<Vec<String>, BarrierError> {
        let touched: Vec<(&Key, &Write)> = self.written.iter().filter(|(key, _)| under.contains(key)).collect();
        if touched.is_empty() {
            return Ok(self.reader.children(under, after, limit)?);
        }
        let mut names: BTreeSet<String> = self.reader.children(under, after, limit.saturating_add(touched.len()))?.into_iter().collect();
        for (key, write) in touched {
            let rest = &key.path[under.path.len()..];
            match (rest.split_once('/'), write) {
                (None, Write::Delete) => {
                    names.remove(rest);
                }
                (None, _) => {
                    names.insert(rest.to_owned());
                }
                (Some((folder, _)), Write::Delete) => {
                    let folder_path = Prefix::new(under.scope, format!("{}{folder}/", under.path));
                    if !self.is_inhabited(&folder_path)? {
                        names.remove(&format!("{folder}/"));
                    }
                }
                (Some((folder, _)), _) => {
                    names.insert(format!("{folder}/"));
                }
            }
        }
        Ok(names.into_iter().filter(|name| after.is_none_or(|after| name.as_str() > after)).take(limit).collect())
    }

    fn is_inhabited(&self, folder: &Prefix) -> Result<bool, BarrierError> {
        if self.written.iter().any(|(key, write)| folder.contains(key) && !matches!(write, Write::Delete)) {
            return Ok(true);
        }
        let deleted = self.written.keys().filter(|key| folder.contains(key)).count();
        let stored = self.reader.list(folder, None, deleted + 1)?;
        Ok(stored.iter().any(|path| !self.written.contains_key(&Key::new(folder.scope, path.clone()))))
    }

    /// Paths under `under` in the store, this transaction's writes left out: for paged sweeps.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn stored_paths(&self, under: &Prefix, after: Option<&str>, limit: usize) -> Result<Vec<Arc<str>>, BarrierError> {
        Ok(self.reader.list(under, after, limit)?)
    }

    /// A mount's window on this transaction.
    pub fn view<'t>(&'t mut self, mount: &'t MountId, scope: Scope, local: &'static [&'static str]) -> View<'t> {
        View::new(self, mount, scope, local)
    }

    /// Whether nothing was written.
    pub fn is_read_only(&self) -> bool {
        self.written.is_empty()
    }

    /// Whether something of `scope` was written.
    pub fn writes(&self, scope: Scope) -> bool {
        self.written.keys().any(|key| key.scope == scope)
    }

    /// What was read and then written, in order: another writer of it would be in conflict.
    pub fn rewritten(&self) -> Vec<Key> {
        self.written.keys().filter(|key| self.read.contains_key(key)).cloned().collect()
    }

    /// What was read so far is no longer what this rests on: planted bug 17.
    #[cfg(feature = "chaos")]
    pub fn forget_reads(&mut self) {
        self.read.clear();
    }

    /// The moment that reads see.
    pub fn reader(&self) -> &Arc<dyn Reader> {
        &self.reader
    }

    /// Encrypts what was written and says what it rests on: one entry of the log.
    pub fn into_batch(self, at: Timestamp) -> Batch {
        let Self { reader: _, keyring, entropy, read, written } = self;
        let is_guarded = |key: &Key| !bug!(14) || key.scope != Scope::Shared;
        let read = read.into_iter().filter(|(key, since)| is_guarded(key) && (since.is_some() || !bug!(45)));
        let read = read.filter(|(key, _)| !bug!(121) || written.contains_key(key));
        let guards = read.map(|(key, since)| Guard::Unchanged { key, since }).collect();
        let mut encrypted = KeyUse { term: keyring.newest().0, values: 0 };
        let ops = written
            .into_iter()
            .map(|(key, write)| match write {
                Write::Put(value) => {
                    encrypted.values += 1;
                    let value = encrypt_value(&keyring, entropy.as_ref(), &key, value.expose());
                    Op::Put { key, value }
                }
                Write::PutRaw(value) => Op::Put { key, value },
                Write::Delete => Op::Delete { key },
            })
            .collect();
        Batch { guards, ops, at, encrypted }
    }
}
