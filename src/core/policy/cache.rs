//! The stored policies, read and compiled once, until their rows change.
//!
//! Reads what is committed now and not what a transaction sees: rules are never older than the request that they judge. What was
//! read while its row was changing is used once and not kept.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};

use super::builtin::{DEFAULT, DEFAULT_TEXT, RESPONSE_WRAPPING, RESPONSE_WRAPPING_TEXT, ROOT};
use super::{Acl, Policy, sanitize};
use crate::barrier::{BarrierError, decrypt_value};
use crate::core::{Context, keys};
use crate::engine::EngineError;
use crate::types::Key;

/// Most compiled sets of policies that are kept: clients with the same policies share one.
const ACLS_MAX: usize = 4096;
/// Most policies that are kept.
const POLICIES_MAX: usize = 8192;

/// A policy's row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StoredPolicy {
    /// As its author wrote it.
    pub(super) text: String,
}

#[derive(Default)]
struct Kept {
    generation: u64,
    policies: HashMap<String, Option<Arc<Policy>>>,
    acls: HashMap<Vec<String>, Arc<Acl>>,
}

/// All policies.
pub struct Policies {
    ctx: Arc<Context>,
    root: Arc<Acl>,
    kept: Mutex<Kept>,
}

impl fmt::Debug for Policies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Policies")
    }
}

const UNPOISONED: &str = "no holder of this lock panics";

impl Policies {
    /// Reads nothing yet.
    pub fn new(ctx: Arc<Context>) -> Self {
        Self { ctx, root: Arc::new(Acl::root()), kept: Mutex::default() }
    }

    /// What the policies of these names say together. Names of policies that do not exist say nothing.
    ///
    /// # Errors
    /// If storage cannot be read, or this node is sealed.
    pub fn acl_for(&self, names: &[String]) -> Result<Arc<Acl>, EngineError> {
        if names.iter().any(|name| name == ROOT) {
            return Ok(self.root.clone());
        }
        let generation = {
            let kept = self.kept.lock().expect(UNPOISONED);
            // Kept under sanitized names only, which is how tokens hold them.
            if let Some(acl) = kept.acls.get(names) {
                return Ok(acl.clone());
            }
            kept.generation
        };
        let names = sanitize(names.to_vec());
        if names.iter().any(|name| name == ROOT) {
            return Ok(self.root.clone());
        }
        let mut policies: Vec<(String, Arc<Policy>)> = Vec::with_capacity(names.len());
        for name in &names {
            if let Some(policy) = self.policy(name)? {
                policies.push((name.clone(), policy));
            }
        }
        let acl = Arc::new(Acl::compile(policies.iter().map(|(name, policy)| (name.as_str(), policy.as_ref()))));
        let mut kept = self.kept.lock().expect(UNPOISONED);
        if kept.generation == generation {
            if kept.acls.len() >= ACLS_MAX {
                kept.acls.clear();
            }
            kept.acls.insert(names, acl.clone());
        }
        Ok(acl)
    }

    /// Whether there is a policy called `name`.
    ///
    /// # Errors
    /// If storage cannot be read, or this node is sealed.
    pub fn exists(&self, name: &str) -> Result<bool, EngineError> {
        Ok(name == ROOT || self.policy(name)?.is_some())
    }

    fn policy(&self, name: &str) -> Result<Option<Arc<Policy>>, EngineError> {
        let generation = {
            let kept = self.kept.lock().expect(UNPOISONED);
            if let Some(policy) = kept.policies.get(name) {
                return Ok(policy.clone());
            }
            kept.generation
        };
        let policy = match self.stored_text(name)? {
            None => None,
            Some(text) => {
                let policy = Policy::parse(&text).map_err(|error| EngineError::Internal(format!("policy {name:?}: {error}")))?;
                Some(Arc::new(policy))
            }
        };
        let mut kept = self.kept.lock().expect(UNPOISONED);
        if kept.generation == generation {
            if kept.policies.len() >= POLICIES_MAX {
                kept.policies.clear();
            }
            kept.policies.insert(name.to_owned(), policy.clone());
        }
        Ok(policy)
    }

    fn stored_text(&self, name: &str) -> Result<Option<String>, EngineError> {
        if name == RESPONSE_WRAPPING {
            return Ok(Some(RESPONSE_WRAPPING_TEXT.to_owned()));
        }
        let row = keys::policy(name);
        let keys = self.ctx.keys().map_err(|sealed| EngineError::Unavailable(sealed.to_string()))?;
        match self.ctx.store.get(&row).map_err(BarrierError::from)? {
            None => Ok((name == DEFAULT).then(|| DEFAULT_TEXT.to_owned())),
            Some(stored) => {
                let bytes = decrypt_value(&keys.keyring, &row, &stored.value)?;
                let stored: StoredPolicy = serde_json::from_slice(bytes.expose()).map_err(|_| BarrierError::Damaged(row))?;
                Ok(Some(stored.text))
            }
        }
    }

    /// These keys were written: drops what was read from them.
    pub fn forget(&self, changed: &[Key]) {
        if bug!(22) && !self.ctx.raft.status().borrow().is_leader {
            return;
        }
        let rows = keys::policies();
        let mut names = changed.iter().filter(|key| rows.contains(key)).map(|key| &key.path[rows.path.len()..]).peekable();
        if names.peek().is_none() {
            return;
        }
        let mut kept = self.kept.lock().expect(UNPOISONED);
        kept.generation += 1;
        kept.acls.clear();
        for name in names {
            if bug!(47) && self.ctx.store.get(&keys::policy(name)).is_ok_and(|row| row.is_none()) {
                continue;
            }
            kept.policies.remove(name);
        }
    }

    /// Everything may have changed.
    pub fn forget_all(&self) {
        let mut kept = self.kept.lock().expect(UNPOISONED);
        kept.generation += 1;
        kept.acls.clear();
        kept.policies.clear();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::core::token::entry::write_json;
    use crate::core::token::testing::World;
    use crate::engine::{Data, Operation};
    use crate::machine::Command;

    #[tokio::test]
    async fn a_standby_drops_what_it_kept_of_a_policy_that_another_node_changed() {
        let world = World::new().await;
        let text = |rule: &str| format!("path \"a\" {{ capabilities = [\"{rule}\"] }}");
        world.call(Some(&world.root), Operation::Update, "sys/policies/acl/p", json!({ "policy": text("read") })).await.unwrap();
        let may_read = || {
            let acl = world.policies.acl_for(&["p".to_owned()]).unwrap();
            acl.decide(Operation::Read, "a", &Data::default(), None).is_allowed
        };
        assert!(may_read());
        world.ground.raft.lead(false);
        let mut txn = world.ground.context.begin().unwrap();
        write_json(&mut txn, keys::policy("p"), &StoredPolicy { text: text("deny") });
        world.ground.raft.apply(&Command::Write(txn.into_batch(world.now())));
        world.ground.raft.lead(true);
        assert!(!may_read());
    }
}
