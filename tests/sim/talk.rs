//! What hosts say to each other: the product's own messages, as bytes or as its types. Not here: how they travel (`net`).

use bytes::Bytes;
use coffer::core::{BootstrapPackage, PrimaryCall, PrimaryReply, RawRequest, RawResponse};
use coffer::raft::transport::Call;
use coffer::replication::link::{FromPrimary, FromSecondary};

use crate::pipe::{PipeIn, PipeOut};

/// Who a secondary is, as its certificate would prove.
#[derive(Clone, Debug)]
pub struct Proof {
    /// Its name.
    pub id: String,
    /// SHA-256 of its certificate.
    pub certificate: String,
}

/// What is asked.
pub enum Request {
    /// One message of Raft.
    Raft(Call, Bytes),
    /// A stream of append messages, and where the answers go.
    Appends(PipeOut<Bytes>, PipeIn<Bytes>),
    /// A snapshot: its head and its files.
    Snapshot(Bytes, Vec<(String, Vec<u8>)>),
    /// A client's request.
    Client(RawRequest),
    /// A client's request that a standby hands on.
    Forward(RawRequest),
    /// Who is active?
    WhoIsActive,
    /// A secondary's write.
    ForPrimary(Proof, Box<PrimaryCall>),
    /// What a new secondary needs.
    Bootstrap(Proof),
    /// A secondary's stream, and where the primary's goes.
    Link(Proof, PipeOut<FromSecondary>, PipeIn<FromPrimary>),
}

impl Request {
    /// Its name in the trace.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Raft(Call::Vote, _) => "vote",
            Self::Raft(Call::PreVote, _) => "pre-vote",
            Self::Raft(Call::TransferLeader, _) => "transfer",
            Self::Raft(Call::Reach, _) => "reach",
            Self::Raft(Call::Ping, _) => "ping",
            Self::Appends(..) => "appends",
            Self::Snapshot(..) => "snapshot",
            Self::Client(_) => "client",
            Self::Forward(_) => "forward",
            Self::WhoIsActive => "who is active",
            Self::ForPrimary(..) => "for primary",
            Self::Bootstrap(_) => "bootstrap",
            Self::Link(..) => "link",
        }
    }
}

/// What is answered.
pub enum Reply {
    /// Of Raft.
    Raft(Result<Bytes, String>),
    /// To a client.
    Response(RawResponse),
    /// This node is not active: nothing was done.
    NotActive,
    /// Not to this secondary.
    Denied(String),
    /// Whether the asked node is active, whom it holds for active, and all its cluster's addresses.
    Active(bool, Option<String>, Vec<String>),
    /// Of a primary.
    Primary(PrimaryReply),
    /// For a new secondary.
    Package(Box<Result<BootstrapPackage, String>>),
    /// A connection is accepted.
    Accepted,
}
