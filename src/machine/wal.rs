//! The record that is shipped, and the places in history that apply counts.

use super::Op;
use crate::types::{Position, Timestamp, WalIndex};

/// One applied entry's shared writes: what the primary ships. Its encoded bytes are hashed and travel unchanged.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// Its number.
    pub wal: WalIndex,
    /// The primary's commit time.
    pub at: Timestamp,
    /// Shared writes only, in order.
    pub ops: Vec<Op>,
}

/// How far this cluster's histories reach. Replicated state: every node counts alike, and a promoted secondary goes on counting.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Positions {
    /// Entries with shared writes.
    pub performance: Position,
    /// Entries with shared or local writes: what a DR secondary would follow.
    pub dr: WalIndex,
    /// The primary's commit time of the last record of `performance`.
    pub performance_at: Timestamp,
}
