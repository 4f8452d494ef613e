//! A secondary's way to its primary: which of the primary's nodes is active, and shared writes that it runs for us.
//!
//! Any node of the primary says which one is active; addresses that it names are tried as well, so one reachable node is enough.
//! Not here: the link for records (`replication_link`).

use std::collections::{HashSet, VecDeque};
use std::sync::Mutex;
use std::time::Duration;

use tokio::sync::watch;
use tonic::codec::CompressionEncoding;
use tonic::{Code, Status};

use super::connection::{BRISK, Connection, Failure, KeepAlive, origin};
use super::forward::outcome_of;
use super::forward_service::FORWARD_MESSAGE_BYTES_MAX;
use super::link_wire;
use super::wire::replication::WhoIsActiveRequest;
use super::wire::replication::replication_client::ReplicationClient;
use crate::core::{ForwardError, PrimaryCall, PrimaryContact, PrimaryReply};
use crate::crypto::cert::Identity;
use crate::replication::link::LinkError;

/// How long a node of the primary may take to say who is active.
const ASK_TIMEOUT: Duration = Duration::from_secs(3);
/// Most addresses that are tried: the primary's answers add to them.
const ADDRS_TRIED_MAX: usize = 32;

/// A client on `connection` to any node of the primary.
pub(super) fn client(connection: Connection) -> ReplicationClient<Connection> {
    ReplicationClient::with_origin(connection, origin())
        .send_compressed(CompressionEncoding::Zstd)
        .accept_compressed(CompressionEncoding::Zstd)
        .max_decoding_message_size(FORWARD_MESSAGE_BYTES_MAX)
        .max_encoding_message_size(FORWARD_MESSAGE_BYTES_MAX)
}

/// A new connection to the primary's active node.
///
/// # Errors
/// `Unreachable`, with the last address's reason, if none of them leads to an active node.
pub(super) async fn find_active(addrs: &[String], identity: &Identity, keep_alive: KeepAlive) -> Result<Connection, LinkError> {
    let mut why = "no address is known".to_owned();
    let mut queue: VecDeque<String> = addrs.iter().map(|addr| bare(addr).to_owned()).collect();
    let mut tried = HashSet::new();
    while let Some(addr) = queue.pop_front() {
        if tried.len() >= ADDRS_TRIED_MAX || !tried.insert(addr.clone()) {
            continue;
        }
        let connection = match Connection::dial(&addr, identity, None, keep_alive).await {
            Ok(connection) => connection,
            Err(error) => {
                why = error.to_string();
                continue;
            }
        };
        let answer = tokio::time::timeout(ASK_TIMEOUT, client(connection.clone()).who_is_active(WhoIsActiveRequest {})).await;
        match answer {
            Ok(Ok(answer)) => {
                let answer = answer.into_inner();
                if answer.is_active {
                    return Ok(connection);
                }
                why = format!("{addr}: not active");
                queue.extend(answer.cluster_addrs);
                answer.active.into_iter().for_each(|active| queue.push_front(active));
            }
            Ok(Err(status)) => why = format!("{addr}: {}", Failure::of(&status)),
            Err(_) => why = format!("{addr}: no answer in time"),
        }
    }
    Err(LinkError::Unreachable(why))
}

/// `host:port` of an address that may be written as a URL.
fn bare(addr: &str) -> &str {
    let addr = addr.split_once("://").map_or(addr, |(_, rest)| rest);
    addr.trim_end_matches('/')
}

/// The primary as this cluster knows it, and a connection to its active node that is kept while it serves and the contact is the same.
#[derive(Debug)]
pub(super) struct Primary {
    contact: watch::Receiver<Option<PrimaryContact>>,
    kept: Mutex<Option<(PrimaryContact, Connection)>>,
}

impl Primary {
    pub fn new(contact: watch::Receiver<Option<PrimaryContact>>) -> Self {
        Self { contact, kept: Mutex::new(None) }
    }

    fn kept(&self, contact: &PrimaryContact) -> Option<Connection> {
        let kept = self.kept.lock().expect("no holder of this lock panics");
        let (of, connection) = kept.as_ref()?;
        ((of == contact || bug!(150)) && !connection.is_closed()).then(|| connection.clone())
    }

    fn keep(&self, now: Option<(PrimaryContact, Connection)>) {
        *self.kept.lock().expect("no holder of this lock panics") = now;
    }

    /// Looks for the primary's active node, and keeps the connection.
    pub async fn find(&self) -> Result<(), ForwardError> {
        self.connect(true).await.map(|_| ())
    }

    async fn connect(&self, fresh: bool) -> Result<Connection, ForwardError> {
        let contact = self.contact.borrow().clone().ok_or(ForwardError::NoActive)?;
        if !fresh && let Some(kept) = self.kept(&contact) {
            return Ok(kept);
        }
        let found = find_active(&contact.cluster_addrs, &contact.identity, BRISK).await;
        let connection = found.map_err(|error| ForwardError::Unreachable(error.to_string()))?;
        self.keep(Some((contact, connection.clone())));
        Ok(connection)
    }
}

/// Has the primary's active node run `call`. If the kept connection turns out to be stale before anything happened, asks around once more.
pub(super) async fn call(primary: &Primary, call: PrimaryCall) -> Result<PrimaryReply, ForwardError> {
    let call = link_wire::primary_call(call);
    let mut fresh = false;
    loop {
        let connection = primary.connect(fresh).await?;
        let status = match client(connection).call(call.clone()).await {
            Ok(reply) => {
                // It was done: an answer that cannot be read leaves the outcome unknown.
                return link_wire::read_primary_reply(reply.into_inner()).map_err(|wrong| ForwardError::Unknown(wrong.to_string()));
            }
            Err(status) => status,
        };
        if fresh || !did_nothing(&status) {
            return Err(outcome_of(&status));
        }
        fresh = true;
    }
}

/// Whether another node may be asked instead.
fn did_nothing(status: &Status) -> bool {
    matches!(Failure::of(status), Failure::NotSent(_) | Failure::Answered(Code::FailedPrecondition, _))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_may_be_written_as_urls() {
        assert_eq!(bare("https://a:8201"), "a:8201");
        assert_eq!(bare("https://a:8201/"), "a:8201");
        assert_eq!(bare("a:8201"), "a:8201");
    }
}
