//! What the active node answers to the other nodes of its cluster: their clients' requests, and new certificates.
//!
//! A node that is not active says so before it does anything. A request is marked as forwarded, so it is never handed on again.
//! Not here: serving a request (`http`), issuing certificates (`core`).

use std::sync::Arc;

use tokio::sync::watch;
use tonic::{Request, Response, Status};

use super::Services;
use super::listener::Caller;
use super::wire::cluster::forward_server::{Forward, ForwardServer};
use super::wire::cluster::renewal_server::{Renewal, RenewalServer};
use super::wire::cluster::{Header, RawRequest, RawResponse, RenewReply, RenewRequest};
use crate::core::{self, FORWARDED_HEADER, Serve, ServeNode};
use crate::crypto::cert::Peer;
use crate::raft::RaftStatus;
use crate::types::limits::BODY_BYTES_MAX;

/// Largest forwarded request or answer, in bytes: a whole body and what goes with it.
pub(super) const FORWARD_MESSAGE_BYTES_MAX: usize = BODY_BYTES_MAX + 1024 * 1024;

/// The service for standbys' requests.
pub(super) fn forward_service(services: &Services) -> ForwardServer<ForwardService> {
    ForwardServer::new(ForwardService { requests: services.requests.clone(), node: services.node.clone() })
        .max_decoding_message_size(FORWARD_MESSAGE_BYTES_MAX)
        .max_encoding_message_size(FORWARD_MESSAGE_BYTES_MAX)
}

/// The service for nodes' certificates.
pub(super) fn renewal_service(services: &Services, status: watch::Receiver<RaftStatus>) -> RenewalServer<RenewalService> {
    RenewalServer::new(RenewalService { node: services.node.clone(), status })
}

/// What a node that is not active says: nothing was done.
pub(super) fn not_active() -> Status {
    Status::failed_precondition("this node is not active")
}

pub(super) struct ForwardService {
    requests: Arc<dyn Serve>,
    node: Arc<dyn ServeNode>,
}

#[async_trait::async_trait]
impl Forward for ForwardService {
    async fn to_active(&self, request: Request<RawRequest>) -> Result<Response<RawResponse>, Status> {
        if !self.node.is_active() {
            return Err(not_active());
        }
        let request = request.into_inner();
        let mut headers: Vec<(String, Vec<u8>)> = request.headers.into_iter().map(|header| (header.name, header.value.to_vec())).collect();
        headers.push((FORWARDED_HEADER.to_owned(), b"1".to_vec()));
        let request = core::RawRequest { method: request.method, uri: request.uri, headers, body: request.body, remote: request.remote };
        let response = self.requests.serve(request).await;
        Ok(Response::new(RawResponse {
            status: response.status.into(),
            headers: response.headers.into_iter().map(|(name, value)| Header { name, value: value.into() }).collect(),
            body: response.body,
        }))
    }
}

pub(super) struct RenewalService {
    node: Arc<dyn ServeNode>,
    status: watch::Receiver<RaftStatus>,
}

#[async_trait::async_trait]
impl Renewal for RenewalService {
    async fn renew(&self, request: Request<RenewRequest>) -> Result<Response<RenewReply>, Status> {
        let Some(Caller(described)) = request.extensions().get::<Caller>() else {
            return Err(Status::permission_denied("not a node"));
        };
        let Peer::Node(name) = &described.peer else {
            return Err(Status::permission_denied("not a node"));
        };
        if !self.node.is_active() {
            return Err(not_active());
        }
        // A node that was removed keeps its certificate until it expires, and gets no other.
        if !self.status.borrow().peers.iter().any(|peer| peer.member.name == *name) {
            return Err(Status::permission_denied("no longer a node of this cluster"));
        }
        let identity = self.node.issue(name).await.map_err(Status::unavailable)?;
        tracing::info!(node = name, "issued a new certificate");
        Ok(Response::new(RenewReply { ca_pem: identity.ca_pem, cert_pem: identity.cert_pem, key_pem: identity.key_pem.expose().clone() }))
    }
}
