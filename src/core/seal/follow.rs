//! Following changes of the keys that other nodes or clusters made: rotation, and the adoption of a primary's keys.

use std::sync::{Arc, MutexGuard};

use super::super::keys;
use super::super::{Keys, RootKey};
use super::{Seal, SealError};
use crate::barrier::KeyringError;
use crate::crypto::Entropy;
use crate::machine::Ciphertext;
use crate::types::Key;

const HANDOVER_CONTEXT: &[u8] = b"coffer root key handover v1";

/// The row at `keys::root_key_handover`: lets nodes that hold `old` follow to `new`. Delete it soon after.
pub fn root_key_handover_row(source: &dyn Entropy, old: &RootKey, new: &RootKey) -> Ciphertext {
    old.cipher.encrypt(source, HANDOVER_CONTEXT, new.secret.expose()).into()
}

impl Seal {
    /// These keys were written: takes a changed keyring, follows to another root key, or seals this node if it cannot.
    /// For the apply loop: opens a few hundred bytes at most, and only when a key of the seal is among them.
    pub fn forget(&self, changed: &[Key]) {
        if changed.iter().any(|key| *key == keys::seal_config()) {
            self.announce();
        }
        if changed.iter().any(|key| [keys::keyring(), keys::former_keys(), keys::root_key_handover()].contains(key))
            && !(bug!(137) && self.ctx.store.role().is_secondary() && !self.ctx.raft.status().borrow().is_leader)
        {
            self.follow();
        }
    }

    /// Everything may have changed.
    pub fn forget_all(&self) {
        self.follow();
        self.announce();
    }

    /// Brings the keys in memory in line with the rows.
    fn follow(&self) {
        let taking = self.taking();
        self.follow_while(&taking);
    }

    /// The same, for who holds the lock already.
    pub(super) fn follow_while(&self, taking: &MutexGuard<'_, ()>) {
        let Ok(held) = self.ctx.keys() else { return };
        match self.followed(&held) {
            Ok(Some(keys)) => {
                tracing::info!(term = keys.keyring.info().term.0, "took a changed keyring");
                self.ctx.set_keys(keys);
            }
            Ok(None) => {}
            Err(error) => {
                tracing::error!(
                    %error,
                    "encryption keys have changed out from underneath us (possibly due to replication enabling), must be unsealed again"
                );
                self.drop_keys(taking);
            }
        }
    }

    fn followed(&self, held: &Keys) -> Result<Option<Keys>, SealError> {
        match self.open_keyring(&held.root)? {
            None => Ok(None),
            Some(Ok(keyring)) => Ok((keyring != *held.keyring).then(|| Keys { root: held.root.clone(), keyring: Arc::new(keyring) })),
            Some(Err(KeyringError::Damaged)) => Err(SealError::failed("the stored keyring is damaged")),
            Some(Err(KeyringError::WrongRootKey)) => {
                let wrong = || SealError::failed("the root key has changed and was not handed over");
                let row = self.raw(&keys::root_key_handover())?.ok_or_else(wrong)?;
                let root = held.root.cipher.decrypt(HANDOVER_CONTEXT, &row).map_err(|_| wrong())?;
                let root = RootKey::new(root).map_err(|_| wrong())?;
                match self.open_keyring(&root)? {
                    Some(Ok(keyring)) => Ok(Some(Keys { root, keyring: Arc::new(keyring) })),
                    _ => Err(wrong()),
                }
            }
        }
    }
}
