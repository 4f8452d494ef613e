//! All that a log entry can say.

use bytes::Bytes;

use super::{KeyUse, Role};
use crate::types::{Generation, Key, Position, Revision, Timestamp};

/// A value as the barrier encrypted it. Nothing at this level or below can open it.
pub type Ciphertext = Bytes;

/// What one entry of the Raft log says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Command {
    /// Decided by this cluster's active node: one API request.
    Write(Batch),
    /// Decided by the primary, replayed here byte for byte.
    Ship {
        /// The generation of the primary that shipped.
        generation: Generation,
        /// What the records follow.
        after: Position,
        /// Encoded [`super::Record`]s, in order, without a gap.
        records: Vec<Bytes>,
    },
    /// Changes which commands are lawful from here on, together with what this cluster remembers of its role.
    SetRole {
        /// The role from now on.
        role: Role,
        /// Written with it. Its guards say from which role this was decided.
        batch: Batch,
    },
    /// Becoming a secondary: forget everything shared and local, and take the primary's seal and keyring, in one step.
    Adopt {
        /// The role from now on: a secondary that is being filled.
        role: Role,
        /// The primary's seal and keyring, and this cluster's own rows under that keyring.
        ops: Vec<Op>,
        /// How many of them this cluster encrypted.
        encrypted: KeyUse,
    },
    /// A part of a resynchronization with the primary: what differed.
    Repair {
        /// Shared rows as they are on the primary.
        ops: Vec<Op>,
        /// With the last part: the position that the shared keyspace stands at now.
        done: Option<Position>,
        /// The generation of the primary that sent it.
        generation: Generation,
    },
}

/// The writes of one request and what they rest on: applied whole or not at all.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Batch {
    /// What must still hold.
    pub guards: Vec<Guard>,
    /// What to write, in order.
    pub ops: Vec<Op>,
    /// When the active node proposed it: the commit time that lag is measured from.
    pub at: Timestamp,
    /// How many of the values were encrypted for it, and under which key.
    pub encrypted: KeyUse,
}

/// One write.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Op {
    /// Creates or replaces a row.
    Put {
        /// Where.
        key: Key,
        /// What.
        value: Ciphertext,
    },
    /// Removes a row, if there is one.
    Delete {
        /// Which.
        key: Key,
    },
}

impl Op {
    /// The key this writes.
    pub fn key(&self) -> &Key {
        match self {
            Self::Put { key, .. } | Self::Delete { key } => key,
        }
    }
    /// The value this leaves behind; `None` for a deletion.
    pub fn value(&self) -> Option<&Ciphertext> {
        match self {
            Self::Put { value, .. } => Some(value),
            Self::Delete { .. } => None,
        }
    }
}

/// A condition that a batch needs when it is applied.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Guard {
    /// The key was last written by the entry `since`, or does not exist if that is `None`.
    Unchanged {
        /// Which key.
        key: Key,
        /// The revision that the request read.
        since: Option<Revision>,
    },
}
