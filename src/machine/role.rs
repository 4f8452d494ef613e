//! The role of this cluster in performance replication, and which commands it makes lawful.

use crate::types::{Generation, Scope, SetId};

/// What this cluster is to others. Replicated state, changed only by a log entry.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Role {
    /// Replication is disabled.
    #[default]
    Alone,
    /// Its shared keyspace is shipped to secondaries.
    Primary {
        /// The replication set.
        set: SetId,
        /// How often the set has been promoted.
        generation: Generation,
        /// A higher generation that it met: another cluster was promoted meanwhile, so it takes no more shared writes.
        fenced_by: Option<Generation>,
    },
    /// Its shared keyspace is a copy of the primary's.
    Secondary {
        /// The replication set.
        set: SetId,
        /// The highest generation it has accepted.
        generation: Generation,
        /// Not yet filled for the first time: it serves nobody.
        filling: bool,
    },
}

impl Role {
    /// Whether this cluster's own active node may write rows of `scope`.
    pub fn may_write(&self, scope: Scope) -> bool {
        match (self, scope) {
            (_, Scope::Node) | (Self::Alone, _) => true,
            (Self::Primary { fenced_by, .. }, Scope::Shared) => fenced_by.is_none() || bug!(96),
            (Self::Primary { .. }, Scope::Local) => true,
            (Self::Secondary { .. }, Scope::Shared) => false,
            // While it is filled there is nobody yet whose tokens could be stored.
            (Self::Secondary { filling, .. }, Scope::Local) => !filling,
        }
    }

    /// Whether this cluster is a performance secondary.
    pub fn is_secondary(&self) -> bool {
        matches!(self, Self::Secondary { .. })
    }

    /// Whether this cluster is a performance primary.
    pub fn is_primary(&self) -> bool {
        matches!(self, Self::Primary { .. })
    }

    /// Vault's word for it, as in `replication_performance_mode`.
    pub fn mode(&self) -> &'static str {
        match self {
            Self::Alone => "disabled",
            Self::Primary { .. } => "primary",
            Self::Secondary { filling: true, .. } => "bootstrapping",
            Self::Secondary { filling: false, .. } => "secondary",
        }
    }

    /// The replication set, if there is one.
    pub fn set(&self) -> Option<&SetId> {
        match self {
            Self::Alone => None,
            Self::Primary { set, .. } | Self::Secondary { set, .. } => Some(set),
        }
    }

    /// The generation, zero when alone.
    pub fn generation(&self) -> Generation {
        match self {
            Self::Alone => Generation(0),
            Self::Primary { generation, .. } | Self::Secondary { generation, .. } => *generation,
        }
    }
}
