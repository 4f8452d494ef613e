//! Identifiers: newtypes, so that a mount's id is never passed where a node's is wanted. Clones of a text share it.

use std::fmt;
use std::sync::Arc;

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Wraps text that its owner has already validated.
            pub fn new(text: impl AsRef<str>) -> Self {
                Self(text.as_ref().into())
            }
            /// The identifier as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_id! {
    /// Identifies one cluster (a Raft group) for ever: the `cluster_id` of `sys/health`.
    ClusterId
}
text_id! {
    /// Identifies a replication set: a primary and its secondaries. A new one is made whenever replication is enabled.
    SetId
}
text_id! {
    /// Identifies a mount for ever: survives remounting, and is the first part of every key the mount owns.
    MountId
}
text_id! {
    /// Names a token without being able to use it.
    Accessor
}
text_id! {
    /// Identifies one API request, in its answer and in the audit log.
    RequestId
}

/// Identifies a node within its Raft group.
///
/// It is a hash of the operator's `node_id`, because Raft messages carry it in every entry; see [`NodeId::of_name`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct NodeId(pub u64);

impl NodeId {
    /// The id of the node that the operator calls `name`: the first eight bytes of BLAKE3 over it.
    ///
    /// Two names of one cluster collide with a chance of about 2^-61 for five nodes; joining refuses a collision.
    pub fn of_name(name: &str) -> Self {
        let hash = blake3::hash(name.as_bytes());
        let mut first = [0; 8];
        first.copy_from_slice(&hash.as_bytes()[..8]);
        Self(u64::from_be_bytes(first))
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}
