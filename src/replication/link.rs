//! What travels between a primary and one of its secondaries: a seam that `cluster` fills with gRPC.
//!
//! The secondary opens one bidirectional stream: it says where it stands, the primary answers with frames, the secondary
//! acknowledges positions that are durable in its own Raft group. Resynchronization asks pages and rows on the same stream's
//! named snapshot, so live writes cannot overtake it.

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;

use crate::machine::{PageId, PageSum};
use crate::types::{Generation, Position, Timestamp};

/// Said by the secondary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FromSecondary {
    /// First: where it stands, and whether it has anything at all.
    Hello {
        /// Its shared position.
        have: Position,
        /// The highest generation it accepted.
        generation: Generation,
        /// Still being filled for the first time.
        filling: bool,
        /// Its active node's API address, for the primary's status.
        api_addr: String,
        /// Its active node's cluster address, for the primary's status.
        cluster_addr: String,
    },
    /// Everything up to here is committed in its Raft group.
    Ack {
        /// Its shared position.
        upto: Position,
    },
    /// Resync: which pages differ? Its own page sums, all of them, in order.
    ComparePages {
        /// `machine::PAGES` sums.
        pages: Vec<PageSum>,
    },
    /// Resync: the rows of these pages.
    FetchPages {
        /// Which pages.
        pages: Vec<PageId>,
    },
    /// Nothing to say; answered by `Heartbeat`.
    Heartbeat {
        /// The secondary's wall time.
        sent: Timestamp,
    },
}

/// Said by the primary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FromPrimary {
    /// First answer: records follow from where the secondary stands.
    Streaming {
        /// The primary's generation.
        generation: Generation,
        /// Where the primary stands now.
        position: Position,
    },
    /// First answer: records cannot follow; compare with the snapshot that this stream now holds.
    Resync {
        /// Why, for the log.
        why: String,
        /// The primary's generation.
        generation: Generation,
        /// The position of the snapshot.
        snapshot: Position,
    },
    /// Records, whole and in order.
    Records {
        /// The primary's generation.
        generation: Generation,
        /// What they follow.
        after: Position,
        /// Encoded `machine::Record`s.
        records: Vec<Bytes>,
    },
    /// Resync: these pages differ.
    Differing {
        /// Which pages.
        pages: Vec<PageId>,
    },
    /// Resync: all rows of one page at the snapshot, in one or more parts.
    Rows {
        /// Which page.
        page: PageId,
        /// Path and ciphertext.
        rows: Vec<(String, Bytes)>,
        /// Whether these are the last of the page.
        is_last: bool,
    },
    /// The primary's time and position, at least every second, so that lag is known when nothing is written.
    Heartbeat {
        /// The primary's wall time.
        now: Timestamp,
        /// What `Heartbeat` of the secondary this answers; zero if it answers none.
        echo: Timestamp,
        /// Where the primary stands now.
        position: Position,
        /// The primary's generation.
        generation: Generation,
        /// `https://host:port` of each node of the primary, for reconnecting.
        cluster_addrs: Vec<String>,
        /// The active node's API address.
        api_addr: String,
        /// The active node's cluster address.
        cluster_addr: String,
    },
}

impl FromPrimary {
    /// The primary's generation, where the message tells it.
    pub fn generation(&self) -> Option<Generation> {
        match self {
            Self::Streaming { generation, .. }
            | Self::Resync { generation, .. }
            | Self::Records { generation, .. }
            | Self::Heartbeat { generation, .. } => Some(*generation),
            Self::Differing { .. } | Self::Rows { .. } => None,
        }
    }
}

/// Why there is no link, or no longer one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// Nobody answered at any known address: try again later.
    #[error("the primary cannot be reached: {0}")]
    Unreachable(String),
    /// The primary does not accept this secondary (any longer).
    #[error("the primary refuses this secondary: {0}")]
    Refused(String),
    /// The stream broke.
    #[error("the link broke: {0}")]
    Broken(String),
}

/// An open stream, from one side. Both directions have flow control: sending waits while the other side is slow.
pub struct Duplex<Out, In> {
    /// What this side says.
    pub out: tokio::sync::mpsc::Sender<Out>,
    /// What the other side says; ends when the stream does.
    pub incoming: BoxStream<'static, Result<In, LinkError>>,
}

/// The secondary's way to the primary's active node.
#[async_trait]
pub trait Link: Send + Sync + 'static {
    /// Finds the primary's active node among `addrs` and opens a stream to it.
    ///
    /// # Errors
    /// See [`LinkError`].
    async fn connect(&self, addrs: &[String]) -> Result<Duplex<FromSecondary, FromPrimary>, LinkError>;
}

/// The primary's side: `cluster` hands each accepted stream to it, with the id that the client certificate proves.
#[async_trait]
pub trait Accept: Send + Sync + 'static {
    /// Serves one secondary until the stream ends.
    async fn accept(&self, secondary_id: String, stream: Duplex<FromPrimary, FromSecondary>);
}
