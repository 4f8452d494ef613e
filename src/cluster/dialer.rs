//! Keeps connections to other nodes: opened when needed, shared, and opened anew when they broke or this side's identity changed.
//!
//! Traffic of different urgency has lanes, each a connection of its own, so that heartbeats never queue behind data.
//! Not here: what is said on a connection.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use tokio::sync::watch;

use super::connection::{BRISK, Connection, DialError, KeepAlive, PATIENT};
use crate::crypto::cert::Identity;

/// What a connection is for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Lane {
    /// Votes and other single Raft messages.
    Control,
    /// Streams of append messages: a long one keeps to one of two connections, so that short ones (heartbeats) take the other.
    Append(u8),
    /// Snapshots.
    Bulk,
    /// Requests handed on.
    Forward,
}

impl Lane {
    fn keep_alive(self) -> KeepAlive {
        match self {
            Self::Control | Self::Append(_) | Self::Forward => BRISK,
            Self::Bulk => PATIENT,
        }
    }
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Slot {
    addr: String,
    node: Option<String>,
    lane: Lane,
}

struct Dialled {
    as_whom: Arc<Identity>,
    connection: Shared<BoxFuture<'static, Result<Connection, DialError>>>,
}

impl Dialled {
    /// Whether it is of use to a caller who is `identity` now: being dialled, or open.
    fn serves(&self, identity: &Arc<Identity>) -> bool {
        let lives = match self.connection.peek() {
            None => true,
            Some(Ok(connection)) => !connection.is_closed(),
            Some(Err(_)) => false,
        };
        lives && self.as_whom == *identity
    }
}

/// Opens and keeps connections as one identity, which may change. Clones share the connections.
#[derive(Clone)]
pub struct Dialer {
    identity: watch::Receiver<Option<Arc<Identity>>>,
    dialled: Arc<Mutex<HashMap<Slot, Dialled>>>,
}

impl Dialer {
    /// Connections of this node, as its identity is at the time.
    pub fn new(identity: watch::Receiver<Option<Arc<Identity>>>) -> Self {
        Self { identity, dialled: Arc::default() }
    }

    /// A connection to the node at `addr`, which must be called `node` if that is given.
    pub(super) async fn connect(&self, addr: &str, node: Option<&str>, lane: Lane) -> Result<Connection, DialError> {
        let identity = self.identity.borrow().clone().ok_or(DialError::NoIdentity)?;
        let slot = Slot { addr: addr.to_owned(), node: node.map(str::to_owned), lane };
        self.shared(slot, identity).await
    }

    fn shared(&self, slot: Slot, identity: Arc<Identity>) -> Shared<BoxFuture<'static, Result<Connection, DialError>>> {
        let mut dialled = self.dialled.lock().expect("no holder of this lock panics");
        if let Some(found) = dialled.get(&slot).filter(|found| found.serves(&identity)) {
            return found.connection.clone();
        }
        // Forgets what broke, so that the map holds no more than what is open or being opened.
        dialled.retain(|_, other| other.serves(&identity));
        let (to, as_whom) = (slot.clone(), identity.clone());
        // A task of its own: whoever waits may give up sooner than dialling does, again and again.
        let dialling = tokio::spawn(async move { Connection::dial(&to.addr, &identity, to.node.as_deref(), to.lane.keep_alive()).await });
        let gone = DialError::Timeout(slot.addr.clone());
        let connection = dialling.map(|done| done.unwrap_or(Err(gone))).boxed().shared();
        dialled.insert(slot, Dialled { as_whom, connection: connection.clone() });
        connection
    }
}

impl std::fmt::Debug for Dialer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Dialer")
    }
}
