//! Where a value lies and who shares it.

use std::fmt;
use std::sync::Arc;

/// Who shares a value: decides which replication stream carries it.
///
/// Decided by the mount, or by a static table of sub-paths that an engine kind declares; never by a handler.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Scope {
    /// Shipped to performance and DR secondaries. Written on the primary only.
    Shared = 1,
    /// Stays in its cluster under performance replication: tokens, leases, cubbyholes, local mounts.
    Local = 2,
    /// Never shipped: the cluster's own certificates, its replication role records.
    Node = 3,
}

impl Scope {
    /// All scopes, in storage order.
    pub const ALL: [Self; 3] = [Self::Shared, Self::Local, Self::Node];

    /// The scope with this stored number, if there is one.
    pub fn from_u8(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| *scope as u8 == number)
    }
}

/// Where one value lies: a scope and a path below it. Paths are not secret; values are.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Who shares the value.
    pub scope: Scope,
    /// Slash-separated; the first part is a mount's id or the name of a system table.
    pub path: Arc<str>,
}

impl Key {
    /// The key at `path` in `scope`.
    pub fn new(scope: Scope, path: impl Into<Arc<str>>) -> Self {
        Self { scope, path: path.into() }
    }
    /// A key that secondaries receive.
    pub fn shared(path: impl Into<Arc<str>>) -> Self {
        Self::new(Scope::Shared, path)
    }
    /// A key that stays in its cluster.
    pub fn local(path: impl Into<Arc<str>>) -> Self {
        Self::new(Scope::Local, path)
    }
    /// A key that no replication ships.
    pub fn node(path: impl Into<Arc<str>>) -> Self {
        Self::new(Scope::Node, path)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}:{}", self.scope, self.path)
    }
}

/// All keys of a scope whose path starts with some text.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Prefix {
    /// The scope searched.
    pub scope: Scope,
    /// The text that paths start with; empty means the whole scope.
    pub path: String,
}

impl Prefix {
    /// The keys of `scope` that start with `path`.
    pub fn new(scope: Scope, path: impl Into<String>) -> Self {
        Self { scope, path: path.into() }
    }
    /// Whether `key` lies under this prefix.
    pub fn contains(&self, key: &Key) -> bool {
        key.scope == self.scope && key.path.starts_with(&self.path)
    }
}
