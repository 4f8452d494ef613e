//! The product's seams over the simulated network: Raft's messages, a secondary's stream, requests that are handed on, calls to APIs.
//!
//! What each error means for the product is as `cluster` has it: refused before anything was done, or not known.

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use coffer::core::join::{JoinClient, JoinTarget};
use coffer::core::replication::PrimaryClient;
use coffer::core::{
    BootstrapPackage, FORWARDED_HEADER, ForwardError, PrimaryCall, PrimaryContact, PrimaryReply, RawRequest, RawResponse, Upstream,
};
use coffer::crypto::cert::Identity;
use coffer::raft::transport::{Call, Transport, TransportError};
use coffer::raft::{Member, RaftStatus};
use coffer::replication::link::{Duplex, FromPrimary, FromSecondary, Link, LinkError};
use coffer::types::{NodeId, Secret};
use futures::StreamExt;
use futures::stream::BoxStream;
use serde_json::Value;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;

use crate::net::{Fate, HostId, Net, NoAnswer};
use crate::pipe::{Connection, pipe};
use crate::talk::{Proof, Reply, Request};

/// As long as a request may be under way.
const FORWARD: Duration = Duration::from_secs(90);
/// As long as a call to an API may take.
const API_CALL: Duration = Duration::from_secs(15);
/// As long as a primary's node may take to say who is active.
const ASK: Duration = Duration::from_secs(3);
/// When a connection on which nothing comes back is given up.
const NOTICE: Duration = Duration::from_secs(4);
/// The same, for Raft's: it has timers of its own.
const RAFT_NOTICE: Duration = Duration::from_secs(2);

/// The network as one host sees it.
#[derive(Clone)]
pub struct Wire {
    pub net: Net,
    pub me: HostId,
    /// The hosts, by name.
    pub names: Arc<Vec<String>>,
}

impl Wire {
    /// The host in `http://a1:8200`, `a1:8201` or the like.
    pub fn host_of(&self, addr: &str) -> Option<HostId> {
        let bare = addr.split_once("://").map_or(addr, |(_, rest)| rest);
        let name = bare.split([':', '/']).next()?;
        self.names.iter().position(|known| known == name).map(HostId)
    }

    async fn call(&self, to: HostId, request: Request, patience: Duration) -> Result<Reply, NoAnswer> {
        self.net.call(self.me, to, request, patience).await
    }
}

/// Ends a task with whoever holds this.
struct EndsWith(JoinHandle<()>);

impl Drop for EndsWith {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn transport_error(error: &NoAnswer) -> TransportError {
    match error {
        NoAnswer::NotSent(why) => TransportError::Unreachable((*why).to_owned()),
        NoAnswer::Unknown(why) => TransportError::Broken((*why).to_owned()),
    }
}

#[async_trait]
impl Transport for Wire {
    async fn call(&self, _: NodeId, member: &Member, call: Call, message: Bytes) -> Result<Bytes, TransportError> {
        let to = self.host_of(&member.cluster_addr).ok_or_else(|| TransportError::Unreachable("no such host".to_owned()))?;
        // openraft gives up before this.
        match self.call(to, Request::Raft(call, message), Duration::from_secs(30)).await {
            Ok(Reply::Raft(answer)) => answer.map_err(TransportError::Broken),
            Ok(_) => Err(TransportError::Broken("another answer".to_owned())),
            Err(error) => Err(transport_error(&error)),
        }
    }

    async fn append(
        &self,
        _: NodeId,
        member: &Member,
        messages: BoxStream<'static, Bytes>,
    ) -> Result<BoxStream<'static, Result<Bytes, TransportError>>, TransportError> {
        let to = self.host_of(&member.cluster_addr).ok_or_else(|| TransportError::Unreachable("no such host".to_owned()))?;
        let connection = Connection::new();
        let (up, their_messages) = pipe(&self.net, (self.me, to), "append", &connection, RAFT_NOTICE);
        let (their_answers, down) = pipe(&self.net, (to, self.me), "appended", &connection, RAFT_NOTICE);
        let at = match self.net.fate(self.me, to, "appends") {
            Fate::Arrives(at) => at,
            Fate::Refused(at) => {
                crate::net::until(at).await;
                return Err(TransportError::Unreachable("connection refused".to_owned()));
            }
            // The caller gives up by himself.
            Fate::Lost => return std::future::pending().await,
        };
        if !self.net.open(self.me, to, at, Request::Appends(their_messages, their_answers)) {
            return Err(TransportError::Unreachable("connection refused".to_owned()));
        }
        let sending = EndsWith(tokio::spawn(up.send_all(messages.map(Ok::<_, Infallible>).boxed())));
        let answers = down.stream().map(move |answer| {
            let _ = &sending;
            answer.map_err(|why| TransportError::Broken(why.to_owned()))
        });
        Ok(answers.boxed())
    }

    async fn snapshot(&self, _: NodeId, member: &Member, head: Bytes, folder: PathBuf) -> Result<Bytes, TransportError> {
        let to = self.host_of(&member.cluster_addr).ok_or_else(|| TransportError::Unreachable("no such host".to_owned()))?;
        let mut files = Vec::new();
        for file in std::fs::read_dir(&folder).map_err(|error| TransportError::Unreachable(error.to_string()))? {
            let path = file.map_err(|error| TransportError::Unreachable(error.to_string()))?.path();
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            files.push((name, std::fs::read(&path).map_err(|error| TransportError::Unreachable(error.to_string()))?));
        }
        match self.call(to, Request::Snapshot(head, files), Duration::from_secs(30)).await {
            Ok(Reply::Raft(answer)) => answer.map_err(TransportError::Unreachable),
            Ok(_) => Err(TransportError::Broken("another answer".to_owned())),
            Err(error) => Err(transport_error(&error)),
        }
    }
}

/// The way to a primary, for whoever `contact` names.
#[derive(Clone)]
pub struct ToPrimary {
    pub wire: Wire,
    pub contact: watch::Receiver<Option<PrimaryContact>>,
}

fn proof(identity: &Identity) -> Proof {
    let described = identity.describe().expect("an identity of our own making can be read");
    let id = match described.peer {
        coffer::crypto::cert::Peer::Secondary(id) => id,
        coffer::crypto::cert::Peer::Node(name) => name,
    };
    Proof { id, certificate: described.fingerprint }
}

impl Wire {
    /// The primary's active node: any of its nodes says which it is.
    async fn find_active(&self, addrs: &[String]) -> Result<HostId, String> {
        let mut why = "no address is known".to_owned();
        let mut queue: std::collections::VecDeque<HostId> = addrs.iter().filter_map(|addr| self.host_of(addr)).collect();
        let mut tried = std::collections::BTreeSet::new();
        while let Some(host) = queue.pop_front() {
            if !tried.insert(host) {
                continue;
            }
            match self.call(host, Request::WhoIsActive, ASK).await {
                Ok(Reply::Active(true, ..)) => return Ok(host),
                Ok(Reply::Active(false, active, all)) => {
                    why = "not active".to_owned();
                    queue.extend(all.iter().filter_map(|addr| self.host_of(addr)));
                    active.and_then(|addr| self.host_of(&addr)).into_iter().for_each(|host| queue.push_front(host));
                }
                Ok(_) => why = "another answer".to_owned(),
                Err(error) => why = format!("{error:?}"),
            }
        }
        Err(why)
    }
}

#[async_trait]
impl Link for ToPrimary {
    async fn connect(&self, addrs: &[String]) -> Result<Duplex<FromSecondary, FromPrimary>, LinkError> {
        let contact = self.contact.borrow().clone();
        let contact = contact.ok_or_else(|| LinkError::Unreachable("this cluster is no secondary".to_owned()))?;
        let mut all = addrs.to_vec();
        all.extend(contact.cluster_addrs);
        let Wire { net, me, .. } = &self.wire;
        let to = self.wire.find_active(&all).await.map_err(LinkError::Unreachable)?;
        let connection = Connection::new();
        let (up, theirs) = pipe(net, (*me, to), "link up", &connection, NOTICE);
        let (their_answers, down) = pipe(net, (to, *me), "link down", &connection, NOTICE);
        let opened = self.wire.call(to, Request::Link(proof(&contact.identity), theirs, their_answers), Duration::from_secs(20)).await;
        match opened {
            Ok(Reply::Accepted) => {}
            Ok(Reply::Denied(why)) => return Err(LinkError::Refused(why)),
            Ok(Reply::NotActive) => return Err(LinkError::Unreachable("this node is not active".to_owned())),
            Ok(_) => return Err(LinkError::Broken("another answer".to_owned())),
            Err(NoAnswer::NotSent(why)) => return Err(LinkError::Unreachable(why.to_owned())),
            Err(NoAnswer::Unknown(why)) => return Err(LinkError::Broken(why.to_owned())),
        }
        let (out, said) = mpsc::channel(8);
        let sending = EndsWith(tokio::spawn(up.send_all(ReceiverStream::new(said).map(Ok::<_, Infallible>).boxed())));
        let incoming = down.stream().map(move |item| {
            let _ = &sending;
            item.map_err(|why| LinkError::Broken(why.to_owned()))
        });
        Ok(Duplex { out, incoming: incoming.boxed() })
    }
}

#[async_trait]
impl PrimaryClient for ToPrimary {
    async fn unwrap(&self, target: &JoinTarget, token: &Secret<String>, claim: &Secret<String>) -> Result<Value, String> {
        let body = serde_json::json!({ (coffer::core::replication::activation::CLAIM): claim.expose() });
        self.wire.post(&target.leader_api_addr, "sys/wrapping/unwrap", Some(token.expose()), &body).await
    }

    async fn bootstrap(&self, addrs: &[String], identity: &Identity) -> Result<BootstrapPackage, String> {
        let to = self.wire.find_active(addrs).await?;
        match self.wire.call(to, Request::Bootstrap(proof(identity)), Duration::from_secs(20)).await {
            Ok(Reply::Package(package)) => *package,
            Ok(Reply::Denied(why)) => Err(why),
            Ok(_) => Err("this node is not active".to_owned()),
            Err(error) => Err(format!("{error:?}")),
        }
    }
}

/// A request as a client sends it; an empty token is none.
pub fn raw(method: &str, path: &str, token: Option<&str>, body: &Value) -> RawRequest {
    let kind = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
    let mut headers = vec![("content-type".to_owned(), kind.as_bytes().to_vec())];
    headers.extend(token.filter(|token| !token.is_empty()).map(|token| ("x-vault-token".to_owned(), token.as_bytes().to_vec())));
    let body = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
    RawRequest { method: method.to_owned(), uri: format!("/v1/{path}"), headers, body, remote: "198.18.0.1".to_owned() }
}

impl Wire {
    async fn post(&self, addr: &str, path: &str, token: Option<&str>, body: &Value) -> Result<Value, String> {
        let to = self.host_of(addr).ok_or_else(|| format!("{addr}: no such host"))?;
        match self.call(to, Request::Client(raw("POST", path, token, body)), API_CALL).await {
            Ok(Reply::Response(response)) => {
                let json: Value = serde_json::from_slice(&response.body).unwrap_or_default();
                if (200..300).contains(&response.status) {
                    return Ok(json);
                }
                Err(format!("{addr} answered {}: {}", response.status, json["errors"]))
            }
            Ok(_) => Err("another answer".to_owned()),
            Err(error) => Err(format!("{addr}: {error:?}")),
        }
    }
}

#[async_trait]
impl JoinClient for Wire {
    async fn post(&self, target: &JoinTarget, path: &str, body: Value) -> Result<Value, String> {
        Wire::post(self, &target.leader_api_addr, path, None, &body).await
    }
}

/// Hands requests on.
pub struct Forwarder {
    pub primary: ToPrimary,
    pub status: watch::Receiver<RaftStatus>,
}

#[async_trait]
impl Upstream for Forwarder {
    async fn to_active(&self, mut request: RawRequest) -> Result<RawResponse, ForwardError> {
        if request.headers.iter().any(|(name, _)| name == FORWARDED_HEADER) {
            return Err(ForwardError::NoActive);
        }
        let active = {
            let status = self.status.borrow();
            match status.leader_peer() {
                Some(leader) if !status.is_leader && leader.id != status.id => leader.member.cluster_addr.clone(),
                _ => return Err(ForwardError::NoActive),
            }
        };
        let wire = &self.primary.wire;
        let to = wire.host_of(&active).ok_or_else(|| ForwardError::Unreachable("no such host".to_owned()))?;
        request.headers.push((FORWARDED_HEADER.to_owned(), b"1".to_vec()));
        match wire.call(to, Request::Forward(request), FORWARD).await {
            Ok(Reply::Response(response)) => Ok(response),
            Ok(_) => Err(ForwardError::Unreachable("this node is not active".to_owned())),
            Err(error) => Err(forward_error(&error)),
        }
    }

    async fn to_primary(&self, call: PrimaryCall) -> Result<PrimaryReply, ForwardError> {
        let contact = self.primary.contact.borrow().clone().ok_or(ForwardError::NoActive)?;
        let wire = &self.primary.wire;
        let to = wire.find_active(&contact.cluster_addrs).await.map_err(ForwardError::Unreachable)?;
        match wire.call(to, Request::ForPrimary(proof(&contact.identity), Box::new(call)), FORWARD).await {
            Ok(Reply::Primary(reply)) => Ok(reply),
            Ok(Reply::Denied(why)) => Err(ForwardError::Refused(why)),
            Ok(_) => Err(ForwardError::Unreachable("this node is not active".to_owned())),
            Err(error) => Err(forward_error(&error)),
        }
    }

    async fn find_primary(&self) -> Result<(), ForwardError> {
        let contact = self.primary.contact.borrow().clone().ok_or(ForwardError::NoActive)?;
        self.primary.wire.find_active(&contact.cluster_addrs).await.map(|_| ()).map_err(ForwardError::Unreachable)
    }
}

fn forward_error(error: &NoAnswer) -> ForwardError {
    match error {
        NoAnswer::NotSent(why) => ForwardError::Unreachable((*why).to_owned()),
        NoAnswer::Unknown(why) => ForwardError::Unknown((*why).to_owned()),
    }
}
