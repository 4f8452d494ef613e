//! Becoming a secondary in one entry: the primary's keys, and this cluster's own rows under them.
//!
//! Everything shared and local goes with the old keys. What is this node's cluster's own (identity, authority, addresses) is
//! encrypted anew under the primary's keyring; the primary's root key is encrypted by ours, so that unsealed standbys follow.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Replication;
use super::record::RoleRecord;
use crate::barrier::{BarrierError, Keyring, Txn, decrypt_value, encrypt_value};
use crate::core::seal::root_key_handover_row;
use crate::core::{BootstrapPackage, Keys, RootKey, keys};
use crate::crypto::aead::KEY_BYTES;
use crate::crypto::entropy::random_secret;
use crate::engine::EngineError;
use crate::machine::{Command, KeyUse, Op, Outcome, Role};
use crate::storage::{MemStore, Physical as _};
use crate::types::{Key, Prefix, Scope, Secret};

/// The raw rows that open the primary's data, by the name they travel under.
pub(super) fn raw_rows() -> [(&'static str, Key); 3] {
    [("seal-config", keys::seal_config()), ("root-key", keys::root_key()), ("keyring", keys::keyring())]
}

impl Replication {
    /// Wipes this cluster and takes over what `package` holds.
    pub(super) async fn adopt(&self, package: BootstrapPackage, record: &RoleRecord) -> Result<(), EngineError> {
        let old = self.ctx.keys().map_err(|error| EngineError::Unavailable(error.to_string()))?;
        let broken = |what: &str| EngineError::Invalid(format!("the primary's bootstrap package is not usable: {what}"));
        let rows: BTreeMap<&str, &bytes::Bytes> = package.raw_rows.iter().map(|(name, row)| (name.as_str(), row)).collect();
        let root = RootKey::new(package.root_key.clone()).map_err(|_| broken("its root key"))?;
        let keyring = rows.get("keyring").ok_or_else(|| broken("no keyring"))?;
        let keyring = Arc::new(Keyring::decrypt(&root.cipher, keyring).map_err(|error| broken(&error.to_string()))?);

        let mut ops = Vec::new();
        for (name, key) in raw_rows() {
            let row = rows.get(name).ok_or_else(|| broken(name))?;
            ops.push(Op::Put { key, value: (*row).clone() });
        }
        let raw = ops.len();
        self.own_rows(&old, &keyring, &mut ops)?;
        let encrypt = |key: &Key, plain: &[u8]| encrypt_value(&keyring, self.ctx.entropy.as_ref(), key, plain);
        let role_key = keys::replication_role();
        ops.push(Op::Put { value: encrypt(&role_key, record.row().expose()), key: role_key });
        ops.extend(self.first_local_rows(&old, &keyring, package.dev_root_token.as_ref())?);
        let values = ops[raw..].iter().filter(|op| op.value().is_some()).count() as u64;
        let encrypted = KeyUse { term: keyring.newest().0, values };
        if !old.root.secret.same_as(root.secret.expose()) {
            let handover = root_key_handover_row(self.ctx.entropy.as_ref(), &old.root, &root);
            ops.push(Op::Put { key: keys::root_key_handover(), value: handover });
        }

        let role = Role::Secondary { set: package.set, generation: package.generation, filling: true };
        tracing::warn!(set = ?role.set(), "this cluster becomes a secondary: everything it held is removed");
        match self.ctx.raft.propose(&Command::Adopt { role, ops, encrypted }).await {
            Ok(Outcome::Committed(_)) => Ok(()),
            Ok(Outcome::Refused(refusal)) => Err(EngineError::Internal(refusal.to_string())),
            Ok(Outcome::Conflict(_)) => Err(EngineError::Unavailable("the cluster changed meanwhile, try again".to_owned())),
            Err(error) => Err(EngineError::Unavailable(error.to_string())),
        }
    }

    /// This cluster's own rows, under the new keyring. What it remembers of its role, and of its secondaries, is written anew or gone.
    fn own_rows(&self, old: &Keys, new: &Keyring, ops: &mut Vec<Op>) -> Result<(), EngineError> {
        let reader = self.ctx.store.reader();
        let replaced = [keys::replication_role(), keys::root_key_handover()];
        let paths = reader.list(&Prefix::new(Scope::Node, ""), None, usize::MAX).map_err(BarrierError::from)?;
        for path in paths {
            let key = Key::node(path);
            // Nothing is left that a former key has encrypted.
            if keys::secondaries().contains(&key) || key == keys::former_keys() {
                ops.push(Op::Delete { key });
                continue;
            }
            if replaced.contains(&key) {
                continue;
            }
            let Some(stored) = reader.get(&key).map_err(BarrierError::from)? else { continue };
            let plain = decrypt_value(&old.keyring, &key, &stored.value)?;
            let value = encrypt_value(new, self.ctx.entropy.as_ref(), &key, plain.expose());
            ops.push(Op::Put { key, value });
        }
        Ok(())
    }

    /// The local rows of a new cluster: its cubbyholes' mount, what tokens are made with; in dev mode also the primary's root token.
    fn first_local_rows(&self, old: &Keys, keyring: &Arc<Keyring>, root_token: Option<&Secret<String>>) -> Result<Vec<Op>, EngineError> {
        // As if nothing had been here before.
        let nothing = MemStore::new().reader();
        let mut txn = Txn::new(nothing, keyring.clone(), self.ctx.entropy.clone());
        let now = self.ctx.now();
        self.first_rows.mounts(&mut txn, now)?;
        // Tokens go on being hashed with the salt that is in use now, so that nothing need be written while nothing may be; the key
        // of batch tokens is a new one, or old ones would live on.
        let salt = keys::token_salt();
        if let Some(stored) = self.ctx.store.get(&salt).map_err(BarrierError::from)? {
            let plain = decrypt_value(&old.keyring, &salt, &stored.value)?;
            txn.put(salt, plain);
        }
        txn.put(keys::batch_token_key(), random_secret(self.ctx.entropy.as_ref(), KEY_BYTES));
        if let Some(token) = root_token {
            self.first_rows.root_token(&mut txn, now, Some(token))?;
        }
        let ops = txn.into_batch(now).ops;
        Ok(ops.into_iter().filter(|op| op.key().scope == Scope::Local).collect())
    }
}
