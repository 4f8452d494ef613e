//! The cluster's port: accepts, demands a certificate of this cluster, and serves each class of peer its own services.
//!
//! What is refused is counted and logged, and told nothing. Handshakes have a time limit and a bounded number, so strangers cannot
//! hold the port; a connection ends with its peer's certificate.
//! Not here: the services themselves.

use std::convert::Infallible;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::service::Routes;
use tower::ServiceExt;

use super::connection::{CONNECTION_WINDOW_BYTES, FRAME_BYTES, PATIENT, STREAM_WINDOW_BYTES};
use super::forward_service::{forward_service, renewal_service};
use super::half_open::{HalfOpen, Handshaking};
use super::link_service::replication_service;
use super::metered::Metered;
use super::raft_service::raft_service;
use super::{Services, metrics, tls};
use crate::crypto::cert::{Described, Identity, Peer};
use crate::raft::RaftStatus;
use crate::telemetry::Seldom;
use crate::types::Clock;

/// How long a handshake may take.
const HANDSHAKE_TIMEOUT: Duration = if cfg!(test) { Duration::from_secs(2) } else { Duration::from_secs(5) };
/// Most connections of peers, all together: a cluster of a dozen nodes and all secondaries need less.
const CONNECTIONS_MAX: usize = 1024;
/// Most requests at one time on one connection.
const STREAMS_MAX: u32 = 1024;
/// How long a closing connection's requests may still run.
pub(super) const GRACE: Duration = Duration::from_secs(2);

/// The port and what it needs.
pub(super) struct Port {
    pub listener: TcpListener,
    pub identity: watch::Receiver<Option<Arc<Identity>>>,
    pub status: watch::Receiver<RaftStatus>,
    pub clock: Arc<dyn Clock>,
    pub services: Services,
    pub stop: CancellationToken,
    pub tasks: TaskTracker,
}

/// Who is at the other end: in the extensions of every request.
#[derive(Clone, Debug)]
pub(super) struct Caller(pub Arc<Described>);

/// What a connection needs of the port.
struct Shared {
    node_routes: Routes,
    secondary_routes: Routes,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
    open: Arc<Semaphore>,
    refusals: Seldom,
}

impl Port {
    pub async fn run(self) {
        let shared = Arc::new(Shared {
            node_routes: Routes::new(raft_service(&self.services))
                .add_service(forward_service(&self.services))
                .add_service(renewal_service(&self.services, self.status.clone())),
            secondary_routes: Routes::new(replication_service(&self.services, self.status.clone(), self.stop.clone(), self.tasks.clone())),
            clock: self.clock,
            stop: self.stop.clone(),
            open: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
            refusals: Seldom::default(),
        });
        let half_open = HalfOpen::default();
        let not_accepted = Seldom::default();
        let mut configured: Option<(Arc<Identity>, Arc<ServerConfig>)> = None;
        loop {
            let accepted = tokio::select! {
                () = self.stop.cancelled() => return,
                accepted = self.listener.accept() => accepted,
            };
            let (tcp, remote) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Usually out of file descriptors: accepting at once again would only burn the processor.
                    if let Some(unsaid) = not_accepted.may_say(Instant::now()) {
                        tracing::warn!(%error, unsaid, "cannot accept on the cluster's port");
                    }
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let Some(config) = current_config(&self.identity, &mut configured) else {
                // Until it is initialized or has joined, which takes the others' first calls: nothing is wrong.
                tracing::debug!(%remote, "this node has no identity yet");
                continue;
            };
            let Some(handshaking) = half_open.enter(remote.ip()) else {
                refuse(&shared.refusals, remote, "too many handshakes");
                continue;
            };
            self.tasks.spawn(serve(shared.clone(), tcp, remote, config, handshaking));
        }
    }
}

/// The TLS configuration of the identity as it is now; made anew when it changed.
fn current_config(
    identity: &watch::Receiver<Option<Arc<Identity>>>,
    configured: &mut Option<(Arc<Identity>, Arc<ServerConfig>)>,
) -> Option<Arc<ServerConfig>> {
    let now = identity.borrow();
    let now = now.as_ref()?;
    if let Some((of, config)) = configured
        && of == now
    {
        return Some(config.clone());
    }
    match tls::server_config(now) {
        Ok(config) => {
            *configured = Some((now.clone(), config.clone()));
            Some(config)
        }
        Err(error) => {
            tracing::error!(%error, "this node's identity cannot be used");
            None
        }
    }
}

async fn serve(shared: Arc<Shared>, tcp: TcpStream, remote: SocketAddr, config: Arc<ServerConfig>, handshaking: Handshaking) {
    let stop = shared.stop.clone();
    let greeted = tokio::select! {
        () = stop.cancelled() => return,
        greeted = tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake(tcp, config)) => greeted,
    };
    drop(handshaking);
    let (stream, described) = match greeted {
        Ok(Ok(greeted)) => greeted,
        Ok(Err(reason)) => return refuse(&shared.refusals, remote, reason),
        Err(_) => return refuse(&shared.refusals, remote, "the handshake took too long"),
    };
    let Ok(_open) = shared.open.clone().try_acquire_owned() else {
        return refuse(&shared.refusals, remote, "too many connections");
    };
    let (class, routes) = match &described.peer {
        Peer::Node(_) => ("node", shared.node_routes.clone()),
        Peer::Secondary(_) => ("secondary", shared.secondary_routes.clone()),
    };
    tracing::debug!(%remote, peer = ?described.peer, "cluster connection opened");
    ::metrics::gauge!(metrics::OPEN, "class" => class).increment(1);
    if class == "secondary" {
        let (sent, received) = (::metrics::counter!(metrics::LINK_SENT_BYTES), ::metrics::counter!(metrics::LINK_RECEIVED_BYTES));
        converse(&shared, Metered::new(stream, sent, received), described, routes).await;
    } else {
        converse(&shared, stream, described, routes).await;
    }
    ::metrics::gauge!(metrics::OPEN, "class" => class).decrement(1);
}

async fn handshake(tcp: TcpStream, config: Arc<ServerConfig>) -> Result<(TlsStream<TcpStream>, Described), &'static str> {
    tcp.set_nodelay(true).map_err(|_| "the connection is gone")?;
    let stream = TlsAcceptor::from(config).accept(tcp).await.map_err(|error| {
        tracing::debug!(%error, "a handshake on the cluster's port failed");
        let is_gone = matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe);
        if is_gone { GONE } else { "the handshake failed" }
    })?;
    let described = tls::peer_of(stream.get_ref().1).ok_or("the certificate names no peer, or the protocol is another")?;
    Ok((stream, described))
}

async fn converse(shared: &Shared, stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static, described: Described, routes: Routes) {
    let expires_in = described.not_after.since(shared.clock.now());
    let caller = Caller(Arc::new(described));
    let service = routes.map_request(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(caller.clone());
        request
    });
    let service = service.map_err(|never: Infallible| match never {});
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_frame_size(FRAME_BYTES)
        .max_concurrent_streams(STREAMS_MAX)
        .keep_alive_interval(PATIENT.0)
        .keep_alive_timeout(PATIENT.1)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        () = shared.stop.cancelled() => None,
        () = tokio::time::sleep(expires_in) => None,
    };
    match ended {
        Some(Ok(())) => {}
        Some(Err(error)) => tracing::debug!(%error, "a cluster connection broke"),
        None => {
            connection.as_mut().graceful_shutdown();
            let _ = tokio::time::timeout(GRACE, connection).await;
        }
    }
}

/// A peer that hung up in its handshake: looking whether a port is open is no attack.
const GONE: &str = "the peer went away";

fn refuse(log: &Seldom, remote: SocketAddr, reason: &'static str) {
    ::metrics::counter!(metrics::REFUSED, "reason" => reason).increment(1);
    if reason == GONE {
        tracing::debug!(%remote, reason, "refused a connection on the cluster's port");
    } else if let Some(unsaid) = log.may_say(Instant::now()) {
        tracing::warn!(%remote, reason, unsaid, "refused a connection on the cluster's port");
    }
}
