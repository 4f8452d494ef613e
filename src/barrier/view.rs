//! A mount's window on a transaction: names below its own prefix, in its own scope.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{BarrierError, Txn};
use crate::types::limits::PAGE_NAMES_MAX;
use crate::types::{Key, MountId, Prefix, Scope, Secret};

/// A part of a listing.
#[derive(Clone, Debug)]
pub struct Page {
    /// Names after this one only.
    pub after: Option<String>,
    /// At most this many.
    pub limit: usize,
}

impl Default for Page {
    fn default() -> Self {
        Self { after: None, limit: PAGE_NAMES_MAX }
    }
}

/// What an engine sees of storage. It cannot name a key outside its mount, nor choose a scope.
pub struct View<'t> {
    txn: &'t mut Txn,
    mount: &'t MountId,
    scope: Scope,
    local: &'static [&'static str],
}

impl<'t> View<'t> {
    pub(super) fn new(txn: &'t mut Txn, mount: &'t MountId, scope: Scope, local: &'static [&'static str]) -> Self {
        Self { txn, mount, scope, local }
    }

    fn scope_of(&self, name: &str) -> Scope {
        if self.local.iter().any(|sub_path| name.starts_with(sub_path)) { Scope::Local } else { self.scope }
    }

    fn key(&self, name: &str) -> Key {
        Key::of_parts(self.scope_of(name), &[self.mount.as_str(), "/", name])
    }

    /// The value called `name`.
    ///
    /// # Errors
    /// If the store cannot be read or the value does not open.
    pub fn get(&mut self, name: &str) -> Result<Option<Secret<Vec<u8>>>, BarrierError> {
        let key = self.key(name);
        self.txn.get(&key)
    }

    /// Whether there is a value called `name`.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn exists(&mut self, name: &str) -> Result<bool, BarrierError> {
        let key = self.key(name);
        self.txn.exists(&key)
    }

    /// The JSON value called `name`.
    ///
    /// # Errors
    /// Also if it is not the JSON of a `T`.
    pub fn get_json<T: DeserializeOwned>(&mut self, name: &str) -> Result<Option<T>, BarrierError> {
        match self.get(name)? {
            None => Ok(None),
            Some(bytes) => serde_json::from_slice(bytes.expose()).map(Some).map_err(|_| BarrierError::Damaged(self.key(name))),
        }
    }

    /// Writes `value` at `name`.
    pub fn put(&mut self, name: &str, value: Secret<Vec<u8>>) {
        let key = self.key(name);
        self.txn.put(key, value);
    }

    /// Writes `value` at `name`, as JSON.
    pub fn put_json<T: Serialize>(&mut self, name: &str, value: &T) {
        let bytes = serde_json::to_vec(value).expect("stored types have text keys and no failing serializer");
        self.put(name, Secret::new(bytes));
    }

    /// Removes the value called `name`, if there is one.
    pub fn delete(&mut self, name: &str) {
        let key = self.key(name);
        self.txn.delete(key);
    }

    /// Names directly below `under` (empty, or ending in `/`): `a` for a value, `b/` for a folder.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn list(&mut self, under: &str, page: &Page) -> Result<Vec<String>, BarrierError> {
        let prefix = Prefix::new(self.scope_of(under), format!("{}/{under}", self.mount));
        self.txn.children(&prefix, page.after.as_deref(), page.limit)
    }

    /// All names directly below `under`, page after page: for answers that the API does not page.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn list_all(&mut self, under: &str) -> Result<Vec<String>, BarrierError> {
        let mut all: Vec<String> = Vec::new();
        loop {
            let page = Page { after: all.last().cloned(), ..Page::default() };
            let names = self.list(under, &page)?;
            let is_last = names.len() < page.limit || bug!(166);
            all.extend(names);
            if is_last {
                return Ok(all);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::barrier::Keyring;
    use crate::crypto::Entropy;
    use crate::crypto::entropy::SeededEntropy;
    use crate::storage::{MemStore, Physical as _};
    use crate::types::Timestamp;

    #[test]
    fn all_names_are_listed_however_many_pages_they_are() {
        let entropy: Arc<dyn Entropy> = Arc::new(SeededEntropy::new(1));
        let keyring = Arc::new(Keyring::first(entropy.as_ref(), Timestamp(0)));
        let mut txn = Txn::new(MemStore::new().reader(), keyring, entropy);
        let mount = MountId::new("m");
        let mut view = txn.view(&mount, Scope::Shared, &[]);
        for n in 1..=PAGE_NAMES_MAX {
            view.put_json(&format!("a/{n}"), &n);
        }
        assert_eq!(view.list_all("a/").unwrap().len(), PAGE_NAMES_MAX);
        view.put_json("a/one-more", &1);
        assert_eq!(view.list_all("a/").unwrap().len(), PAGE_NAMES_MAX + 1);
    }
}
