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

/// Paths up to this long are put together on the stack.
const SHORT_BYTES: usize = 256;

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
    /// The key at the path that `parts` make together, in `scope`: with one allocation, unless the path is very long.
    pub fn of_parts(scope: Scope, parts: &[&str]) -> Self {
        let mut short = [0; SHORT_BYTES];
        let mut len = 0;
        for part in parts {
            let Some(room) = short.get_mut(len..len + part.len()) else {
                if bug!(122) {
                    break;
                }
                return Self::new(scope, parts.concat());
            };
            room.copy_from_slice(part.as_bytes());
            len += part.len();
        }
        Self::new(scope, std::str::from_utf8(&short[..len]).expect("parts that are text are text together"))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_parts_is_the_key_of_their_whole() {
        let long = "ü".repeat(SHORT_BYTES / 2);
        for parts in [&["a", "/", "b"][..], &[], &["", "a"], &[&long], &[&long, "/"], &["a", &long, "b"]] {
            assert_eq!(Key::of_parts(Scope::Local, parts), Key::local(parts.concat()), "{parts:?}");
        }
    }
}
