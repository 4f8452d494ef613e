//! What a primary answers its secondaries: links, bootstrap, shared writes, and which node is active.
//!
//! Whether a secondary is admitted is asked at every call, and every second while its link is open: a revoked one is cut off.
//! Not here: what is said on the link (`replication`), running a write (`core`).

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures::stream::BoxStream;
use futures::{StreamExt, stream};
use prost::Message;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::codec::CompressionEncoding;
use tonic::{Request, Response, Status, Streaming};

use super::forward_service::{FORWARD_MESSAGE_BYTES_MAX, not_active};
use super::listener::Caller;
use super::replication_link::MESSAGES_AHEAD;
use super::wire::replication::replication_server::{Replication, ReplicationServer};
use super::wire::replication::{
    BootstrapReply, BootstrapRequest, FromPrimary, FromSecondary, PrimaryCall, PrimaryReply, WhoIsActiveReply, WhoIsActiveRequest,
};
use super::{Services, link_wire, metrics};
use crate::core::{ServeNode, ServeSecondary};
use crate::crypto::cert::Peer;
use crate::raft::RaftStatus;
use crate::replication::link::{Accept, Duplex, LinkError};

/// How often an open link's secondary must still be admitted.
const ADMIT_EVERY: Duration = Duration::from_secs(1);

/// The service for secondaries.
pub(super) fn replication_service(
    services: &Services,
    status: watch::Receiver<RaftStatus>,
    stop: CancellationToken,
    tasks: TaskTracker,
) -> ReplicationServer<LinkService> {
    let service = LinkService {
        node: services.node.clone(),
        secondaries: services.secondaries.clone(),
        links: services.links.clone(),
        status,
        stop,
        tasks,
    };
    ReplicationServer::new(service)
        .send_compressed(CompressionEncoding::Zstd)
        .accept_compressed(CompressionEncoding::Zstd)
        .max_decoding_message_size(FORWARD_MESSAGE_BYTES_MAX)
        .max_encoding_message_size(FORWARD_MESSAGE_BYTES_MAX)
}

pub(super) struct LinkService {
    node: Arc<dyn ServeNode>,
    secondaries: Arc<dyn ServeSecondary>,
    links: Arc<dyn Accept>,
    status: watch::Receiver<RaftStatus>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// What a node says that was admitted as active, and may not do it: nothing was done.
fn not_primary() -> Status {
    Status::failed_precondition("this cluster takes no shared writes now: it is no primary any more, or another of its nodes takes over")
}

/// A secondary, by its certificate.
#[derive(Clone)]
struct Secondary {
    id: String,
    certificate: String,
    node: Arc<dyn ServeNode>,
    secondaries: Arc<dyn ServeSecondary>,
}

impl Secondary {
    fn admitted(&self) -> Result<(), Status> {
        if !self.node.is_active() {
            return Err(not_active());
        }
        self.secondaries.admits(&self.id, &self.certificate).map_err(Status::permission_denied)
    }

    /// Returns why, once it is no longer admitted.
    async fn until_not_admitted(&self) -> Status {
        loop {
            tokio::time::sleep(ADMIT_EVERY).await;
            if let Err(why) = self.admitted() {
                return why;
            }
        }
    }
}

impl LinkService {
    fn secondary<T>(&self, request: &Request<T>) -> Result<Secondary, Status> {
        let caller = request.extensions().get::<Caller>().map(|caller| &*caller.0);
        let Some((Peer::Secondary(id), described)) = caller.map(|described| (&described.peer, described)) else {
            return Err(Status::permission_denied("not a secondary"));
        };
        let secondary = Secondary {
            id: id.clone(),
            certificate: described.fingerprint.clone(),
            node: self.node.clone(),
            secondaries: self.secondaries.clone(),
        };
        secondary.admitted()?;
        Ok(secondary)
    }
}

#[async_trait::async_trait]
impl Replication for LinkService {
    type LinkStream = BoxStream<'static, Result<FromPrimary, Status>>;

    async fn link(&self, request: Request<Streaming<FromSecondary>>) -> Result<Response<Self::LinkStream>, Status> {
        let secondary = self.secondary(&request)?;
        let incoming = request.into_inner().map(|message| match message {
            Ok(message) => link_wire::read_from_secondary(message).map_err(|wrong| LinkError::Broken(wrong.to_string())),
            Err(status) => Err(LinkError::Broken(status.message().to_owned())),
        });
        let (out, rx) = mpsc::channel(MESSAGES_AHEAD);
        let gone = out.clone();
        let duplex = Duplex { out, incoming: incoming.boxed() };
        // Cutting ends the answer at once, whatever still waits in the channel.
        let (cut, why_cut) = (CancellationToken::new(), Arc::new(OnceLock::new()));
        let (links, stop, cutting, reason) = (self.links.clone(), self.stop.clone(), cut.clone(), why_cut.clone());
        self.tasks.spawn(async move {
            let why = tokio::select! {
                () = links.accept(secondary.id.clone(), duplex) => return,
                () = gone.closed() => return,
                () = stop.cancelled() => Status::failed_precondition("this node is stopping"),
                why = secondary.until_not_admitted() => why,
            };
            tracing::info!(secondary = secondary.id, reason = why.message(), "cut a replication link");
            ::metrics::counter!(metrics::LINKS_CUT).increment(1);
            let _ = reason.set(why);
            cutting.cancel();
        });
        let last = stream::once(async move { why_cut.get().cloned() }).filter_map(|why| async move { why.map(Err) });
        let said = ReceiverStream::new(rx).map(|message| {
            let message = link_wire::from_primary(message);
            ::metrics::counter!(metrics::LINK_MESSAGE_BYTES).increment(message.encoded_len() as u64);
            Ok(message)
        });
        Ok(Response::new(said.take_until(cut.cancelled_owned()).chain(last).boxed()))
    }

    async fn bootstrap(&self, request: Request<BootstrapRequest>) -> Result<Response<BootstrapReply>, Status> {
        let secondary = self.secondary(&request)?;
        let package = self.secondaries.bootstrap(&secondary.id).await.map_err(Status::failed_precondition)?;
        tracing::info!(secondary = secondary.id, "handed a secondary what it needs");
        Ok(Response::new(link_wire::package(package)))
    }

    async fn call(&self, request: Request<PrimaryCall>) -> Result<Response<PrimaryReply>, Status> {
        let secondary = self.secondary(&request)?;
        let call = link_wire::read_primary_call(request.into_inner()).map_err(|wrong| Status::invalid_argument(wrong.to_string()))?;
        let began = std::time::Instant::now();
        let reply = self.secondaries.serve_call(&secondary.id, call).await.ok_or_else(not_primary)?;
        ::metrics::histogram!(metrics::SERVE_SHARED).record(began.elapsed().as_secs_f64() * 1000.0);
        Ok(Response::new(link_wire::primary_reply(reply)))
    }

    async fn who_is_active(&self, _: Request<WhoIsActiveRequest>) -> Result<Response<WhoIsActiveReply>, Status> {
        let is_active = self.node.is_active();
        if let Some(cluster_addrs) = self.secondaries.told_addrs() {
            return Ok(Response::new(WhoIsActiveReply { is_active, active: None, cluster_addrs }));
        }
        let status = self.status.borrow();
        Ok(Response::new(WhoIsActiveReply {
            is_active,
            active: status.leader_peer().map(|leader| leader.member.cluster_addr.clone()),
            cluster_addrs: status.peers.iter().map(|peer| peer.member.cluster_addr.clone()).collect(),
        }))
    }
}
