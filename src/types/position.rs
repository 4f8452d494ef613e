//! Places in a history: Raft's, and the one that clusters ship to each other.

use std::fmt;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
        pub struct $name(pub u64);

        impl $name {
            /// The one that follows.
            #[must_use]
            pub fn next(self) -> Self {
                Self(self.0 + 1)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number! {
    /// A Raft term.
    Term
}
number! {
    /// The place of an entry in the Raft log of one cluster.
    Index
}
number! {
    /// The Raft index of the entry that last wrote a key.
    Revision
}
number! {
    /// The number of a shipped record: all clusters of a replication set count alike.
    WalIndex
}
number! {
    /// Grows with each promotion; records of a lower generation are refused.
    Generation
}

/// BLAKE3 over the previous hash and a record: equal hashes mean equal histories.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct HistoryHash(pub [u8; 32]);

impl HistoryHash {
    /// The hash of this history with `record` added.
    #[must_use]
    pub fn then(self, record: &[u8]) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.0);
        hasher.update(record);
        Self(*hasher.finalize().as_bytes())
    }
}

impl fmt::Debug for HistoryHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in &self.0[..6] {
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

/// How far a history reaches, and which history it is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Position {
    /// The last record's number; zero before the first.
    pub wal: WalIndex,
    /// The hash of all records up to it.
    pub history: HistoryHash,
}

impl Position {
    /// The position after `record`.
    #[must_use]
    pub fn then(self, record: &[u8]) -> Self {
        Self { wal: self.wal.next(), history: self.history.then(record) }
    }
}
