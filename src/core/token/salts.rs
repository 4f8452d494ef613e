//! What tokens are hashed with, and what batch tokens are encrypted with: two rows, read once.

use std::fmt;
use std::sync::Mutex;

use super::{TokenError, Tokens};
use crate::barrier::{BarrierError, Txn, decrypt_value};
use crate::core::keys;
use crate::crypto::aead::{AeadKey, KEY_BYTES};
use crate::crypto::entropy::random_secret;
use crate::crypto::mac::MacKey;
use crate::types::{Key, Secret};

const SALT_BYTES: usize = 32;

#[derive(Default)]
struct Kept {
    generation: u64,
    salt: Option<MacKey>,
    batch: Option<AeadKey>,
}

/// What was read, until it changes.
#[derive(Default)]
pub(super) struct Salts(Mutex<Kept>);

impl fmt::Debug for Salts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Salts(***)")
    }
}

const UNPOISONED: &str = "no holder of this lock panics";

impl Salts {
    pub(super) fn forget(&self) {
        let mut kept = self.0.lock().expect(UNPOISONED);
        kept.generation += 1;
        kept.salt = None;
        if !bug!(136) {
            kept.batch = None;
        }
    }
}

impl Tokens {
    /// What tokens are hashed with; made in `txn` if there is none yet.
    pub(super) fn salt(&self, txn: &mut Txn) -> Result<MacKey, TokenError> {
        let (generation, kept) = {
            let kept = self.salts.0.lock().expect(UNPOISONED);
            (kept.generation, kept.salt.clone())
        };
        if let Some(salt) = kept {
            return Ok(salt);
        }
        let row = keys::token_salt();
        if let Some(bytes) = self.committed(&row)? {
            let salt = MacKey::new(bytes.expose());
            let mut kept = self.salts.0.lock().expect(UNPOISONED);
            if kept.generation == generation {
                kept.salt = Some(salt.clone());
            }
            return Ok(salt);
        }
        Ok(MacKey::new(self.made_in(txn, row, SALT_BYTES)?.expose()))
    }

    /// What batch tokens are encrypted with; made in `txn` if there is none yet.
    pub(super) fn batch_key(&self, txn: &mut Txn) -> Result<AeadKey, TokenError> {
        let (generation, kept) = {
            let kept = self.salts.0.lock().expect(UNPOISONED);
            (kept.generation, kept.batch.clone())
        };
        if let Some(key) = kept {
            return Ok(key);
        }
        let row = keys::batch_token_key();
        let damaged = || TokenError::Barrier(BarrierError::Damaged(keys::batch_token_key()));
        if let Some(bytes) = self.committed(&row)? {
            let key = AeadKey::new(bytes.expose()).map_err(|_| damaged())?;
            let mut kept = self.salts.0.lock().expect(UNPOISONED);
            if kept.generation == generation {
                kept.batch = Some(key.clone());
            }
            return Ok(key);
        }
        AeadKey::new(self.made_in(txn, row, KEY_BYTES)?.expose()).map_err(|_| damaged())
    }

    /// The row at `key` as committed now, whatever a transaction sees. `None` on a node that has no keys: it is being initialized.
    fn committed(&self, key: &Key) -> Result<Option<Secret<Vec<u8>>>, BarrierError> {
        let Ok(keys) = self.ctx.keys() else { return Ok(None) };
        match self.ctx.store.get(key)? {
            None => Ok(None),
            Some(stored) => decrypt_value(&keys.keyring, key, &stored.value).map(Some),
        }
    }

    fn made_in(&self, txn: &mut Txn, row: Key, len: usize) -> Result<Secret<Vec<u8>>, BarrierError> {
        if let Some(bytes) = txn.get(&row)? {
            return Ok(bytes);
        }
        let bytes = random_secret(self.ctx.entropy.as_ref(), len);
        txn.put(row, bytes.clone());
        Ok(bytes)
    }
}
