//! An active node can decrypt every row that it holds, and none as another row: no key is forgotten while something is encrypted
//! with it, and whoever can write to a disk cannot put one value in the place of another.

use coffer::barrier::decrypt_value;
use coffer::core::{Standing, keys};
use coffer::storage::Physical;
use coffer::types::{Key, Prefix, Scope};

use super::{Invariant, Node};
use crate::trace;

/// Every so many steps one node is looked at: it costs a decryption of every row.
const STEPS: u64 = 500;
const ENVELOPE: u8 = 1;
/// Rows that open the keyring instead of being opened by it.
const RAW: [fn() -> Key; 5] = [keys::seal_config, keys::root_key, keys::keyring, keys::former_keys, keys::root_key_handover];

/// Counts steps.
pub struct ActiveNodesCanRead {
    steps: u64,
    /// Shared rows may be of a primary that was replaced, whose last keys nobody else had.
    forces: bool,
}

impl ActiveNodesCanRead {
    pub fn new(forces: bool) -> Self {
        Self { steps: 0, forces }
    }
}

impl Invariant for ActiveNodesCanRead {
    fn name(&self) -> &'static str {
        "an active node can decrypt all that it holds, each row as itself"
    }
    fn after_step(&mut self, nodes: &[Node]) -> Result<(), String> {
        self.steps += 1;
        if !self.steps.is_multiple_of(STEPS) {
            return Ok(());
        }
        for node in nodes.iter().filter(|node| node.running.core.standing() == Standing::Active) {
            let Ok(keys) = node.running.core.context().keys() else { continue };
            let reader = node.store.reader();
            let mut before: Option<Key> = None;
            for scope in Scope::ALL {
                for path in reader.list(&Prefix::new(scope, ""), None, usize::MAX).map_err(|error| error.to_string())? {
                    let key = Key::new(scope, path);
                    let Some(row) = reader.get(&key).map_err(|error| error.to_string())? else { continue };
                    if row.value.first() != Some(&ENVELOPE) || RAW.iter().any(|raw| raw() == key) {
                        continue;
                    }
                    let term = u32::from_be_bytes(row.value[1..5].try_into().map_err(|_| "a value without a term")?);
                    if scope == Scope::Shared && !self.forces && term > keys.keyring.info().term.0 {
                        return Err(format!("{} does not encrypt with the newest key: {key:?} is of term {term}", trace::name(node.host)));
                    }
                    if let Err(error) = decrypt_value(&keys.keyring, &key, &row.value) {
                        return Err(format!("{} cannot read {key:?}: {error}", trace::name(node.host)));
                    }
                    if let Some(other) = before.replace(key.clone())
                        && decrypt_value(&keys.keyring, &other, &row.value).is_ok()
                    {
                        return Err(format!("{} would take the value of {key:?} for that of {other:?}", trace::name(node.host)));
                    }
                }
            }
        }
        Ok(())
    }
}
