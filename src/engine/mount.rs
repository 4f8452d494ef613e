//! Kinds of engines, and one of them mounted at a path.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::Engine;
use crate::crypto::Entropy;
use crate::types::{MountId, Scope, Ttl};

/// Which table a kind is mounted in.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum MountClass {
    /// `sys/mounts`: secrets engines.
    Secret,
    /// `sys/auth`: auth methods, at paths that start with `auth/`.
    Auth,
}

/// A type of engine, as in `vault secrets enable NAME`.
pub struct Kind {
    /// Its name.
    pub name: &'static str,
    /// The table it is mounted in.
    pub class: MountClass,
    /// Sub-paths of its storage that never leave the cluster, even of a shared mount.
    pub local: &'static [&'static str],
    /// Whether it can be mounted by a user; `cubbyhole` cannot.
    pub mountable: bool,
    /// Makes an engine for a mount. Reads nothing: state is in storage.
    pub open: fn(Mount) -> Arc<dyn Engine>,
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kind({})", self.name)
    }
}

/// What an engine knows of its mount.
#[derive(Clone)]
pub struct Mount {
    /// Its identity, and the first part of every key it owns.
    pub id: MountId,
    /// Where it is mounted, with the final slash: `secret/`, `auth/userpass/`.
    pub path: String,
    /// As in `kv_2a7c9b10`.
    pub accessor: String,
    /// `Shared`, or `Local` for `-local` mounts.
    pub scope: Scope,
    /// The `options` of the mount, such as `version=2`.
    pub options: BTreeMap<String, String>,
    /// What a lease or token gets unless it asks for less; already resolved against the system's.
    pub default_ttl: Ttl,
    /// What it may never exceed; already resolved against the system's.
    pub max_ttl: Ttl,
    /// For what the engine makes itself: keys, passwords, ids.
    pub entropy: Arc<dyn Entropy>,
}

impl fmt::Debug for Mount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mount({} {})", self.path, self.id)
    }
}
