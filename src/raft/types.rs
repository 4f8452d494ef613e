//! What openraft's type parameters are here.
//!
//! A command is encoded once, by the node that proposes it; log, network and followers carry the same bytes.

use std::fmt;

use bytes::Bytes;
use openraft::alias::{CommittedLeaderIdOf, EntryOf, LogIdOf, SnapshotMetaOf, SnapshotOf, StoredMembershipOf, VoteOf};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Member;
use super::snapshot::Files;
use crate::machine::Outcome;

/// The bytes of a command (`machine::encode_command`).
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Payload(pub Bytes);

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl fmt::Display for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

// openraft asks for serde on all its types. Entries never go through it: `entry` writes their bytes as they are.
impl Serialize for Payload {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.as_ref().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(Vec::<u8>::deserialize(deserializer)?.into()))
    }
}

/// What applying an entry gave: an outcome, or nothing for an entry of Raft's own. Never leaves this process.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Answer {
    /// `None` for an entry of Raft's own.
    #[serde(skip)]
    pub outcome: Option<Outcome>,
}

/// A member, and what it is meant to become.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Seat {
    /// Who it is and where.
    pub member: Member,
    /// The leader makes it a voter as soon as it has caught up. Kept in the membership so that it survives a change of leader.
    pub wants_vote: bool,
}

openraft::declare_raft_types!(
    /// Our choice of types. A term has one leader at most, as in Raft's paper: openraft's own default elects a second one where its id
    /// is greater, and tells them apart by their ids.
    pub Types:
        D = Payload,
        R = Answer,
        NodeId = u64,
        Node = Seat,
        LeaderId = openraft::impls::leader_id_std::LeaderId<u64, u64>,
);

pub type LogId = LogIdOf<Types>;
pub type Entry = EntryOf<Types>;
pub type Vote = VoteOf<Types>;
pub type Membership = StoredMembershipOf<Types>;
pub type SnapshotMeta = SnapshotMetaOf<Types>;
pub type Snapshot = SnapshotOf<Types, Files>;

/// The entry `index` of the leader of `term`.
pub fn log_id(term: u64, index: u64) -> LogId {
    LogId::new(CommittedLeaderIdOf::<Types>::new(term), index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_voter_votes_once_in_a_term() {
        let (one, other) = (Vote::new(3, 1), Vote::new(3, 2));
        assert!(one.partial_cmp(&other).is_none(), "neither is greater, so whoever voted for one refuses the other");
        assert!(Vote::new(4, 1) > other);
    }
}
