//! Rotating the keyring, and what is kept about when to do so by itself.

use serde::{Deserialize, Serialize};

use super::super::{Context, Sealed, keys};
use super::stored::internal;
use crate::barrier::{Keyring, TermInfo, Txn};
use crate::engine::EngineError;
use crate::machine::KeyTerm;
use crate::types::{Secret, Timestamp, Ttl};

/// Vault's bounds.
const OPERATIONS_MIN: i64 = 1_000_000;
const OPERATIONS_MAX: i64 = 3_865_470_566;
const INTERVAL_MIN: Ttl = Ttl(24 * 3600);

/// `sys/rotate/config`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct RotateConfig {
    /// Whether it rotates by itself.
    pub enabled: bool,
    /// After how many encryptions of this cluster. For who counts: our nonces put no bound on the uses of a key.
    pub max_operations: i64,
    /// In seconds; zero for never.
    pub interval: u64,
}

impl Default for RotateConfig {
    fn default() -> Self {
        Self { enabled: true, max_operations: OPERATIONS_MAX, interval: 0 }
    }
}

impl RotateConfig {
    /// Checks what an operator asks for. Texts are Vault's.
    ///
    /// # Errors
    /// If a number is out of its range.
    pub fn check(&self) -> Result<(), EngineError> {
        if !(OPERATIONS_MIN..=OPERATIONS_MAX).contains(&self.max_operations) {
            return Err(EngineError::Invalid(format!("max_operations must be in the range [{OPERATIONS_MIN},{OPERATIONS_MAX}]")));
        }
        if self.interval != 0 && self.interval < INTERVAL_MIN.0 {
            return Err(EngineError::Invalid(format!("interval must be greater or equal to {INTERVAL_MIN}")));
        }
        Ok(())
    }

    /// What is stored, or the default.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn read(txn: &mut Txn) -> Result<Self, EngineError> {
        match txn.get(&keys::rotate_config())? {
            None => Ok(Self::default()),
            Some(row) => serde_json::from_slice(row.expose()).map_err(|_| internal("the stored rotation settings are damaged")),
        }
    }

    /// Stores it.
    pub fn write(&self, txn: &mut Txn) {
        let row = serde_json::to_vec(self).expect("numbers are JSON");
        txn.put(keys::rotate_config(), Secret::new(row));
    }

    /// Whether the newest key is old enough, or used enough, to be followed by another.
    pub(super) fn is_due(&self, newest: &KeyStatus, now: Timestamp) -> bool {
        let is_old = self.interval != 0 && newest.installed.plus(Ttl(self.interval)) <= now;
        let is_used = u64::try_from(self.max_operations).is_ok_and(|max| newest.encryptions >= max);
        self.enabled && (is_old || is_used)
    }
}

/// `sys/key-status`: the key that encrypts now.
#[derive(Clone, Copy, Debug)]
pub struct KeyStatus {
    /// Its number.
    pub term: KeyTerm,
    /// When it became the newest.
    pub installed: Timestamp,
    /// How many values this cluster has encrypted with it: on a secondary, rows of its own, as its primary counts what both share.
    pub encryptions: u64,
}

impl KeyStatus {
    /// As it is now.
    ///
    /// # Errors
    /// While sealed.
    pub fn of(context: &Context) -> Result<Self, Sealed> {
        let TermInfo { term, installed } = context.keys()?.keyring.info();
        Ok(Self { term, installed, encryptions: context.store.key_uses().of(term) })
    }
}

/// Adds a fresh key to the stored keyring, which every node then follows. What is stored stays readable.
///
/// # Errors
/// If this cluster may not, or the stored keyring does not open.
pub(in super::super) fn rotate(context: &Context, txn: &mut Txn, now: Timestamp) -> Result<(), EngineError> {
    if txn.reader().role().is_secondary() {
        return Err(EngineError::invalid("cannot rotate on a replication secondary"));
    }
    let held = context.keys().map_err(internal)?;
    let row = txn.get_raw(&keys::keyring())?.ok_or_else(|| internal("there is no stored keyring"))?;
    let keyring = Keyring::decrypt(&held.root.cipher, &row).map_err(internal)?;
    let source = context.entropy.as_ref();
    let rotated = keyring.rotated(source, now);
    txn.put_raw(keys::keyring(), rotated.encrypt(&held.root.cipher, source).into());
    #[cfg(feature = "chaos")]
    if bug!(51) {
        context.set_keys(super::super::Keys { root: held.root.clone(), keyring: std::sync::Arc::new(rotated) });
    }
    Ok(())
}
