//! One HTTP/2 connection to another node, over mutual TLS: what gRPC clients of this folder stand on.
//!
//! It never reconnects by itself, and it tells "not sent" from "sent, and then it broke": only the first may be tried again.
//! Not here: which connection to use (`dialer`).

use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use http::{Request, Response, Uri};
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::body::Body;
use tonic::{Code, Status};

use super::tls;
use crate::crypto::cert::{Identity, Peer};

/// How long reaching a node may take, handshake included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How often a quiet connection is asked whether it lives, and how long the answer may take.
pub(super) type KeepAlive = (Duration, Duration);
/// For most connections.
pub(super) const PATIENT: KeepAlive = (Duration::from_secs(5), Duration::from_secs(10));
/// For Raft: after a partition, TCP waits longer and longer before it tries again, and a new connection is there sooner. For requests
/// handed on: a client waits for each, and a node that stopped answering is replaced meanwhile.
pub(super) const BRISK: KeepAlive = (Duration::from_secs(1), Duration::from_secs(3));
/// Flow-control windows. Large, because a link to another continent holds bandwidth times delay in flight: 16 MiB fill 1 Gbit/s at 130 ms.
pub(super) const STREAM_WINDOW_BYTES: u32 = 16 * 1024 * 1024;
pub(super) const CONNECTION_WINDOW_BYTES: u32 = 32 * 1024 * 1024;
/// Larger frames cost less; smaller ones share a connection more fairly.
pub(super) const FRAME_BYTES: u32 = 64 * 1024;

/// Why a node was not reached. Nothing was sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DialError {
    /// This node has no identity yet.
    #[error("this node has no identity yet")]
    NoIdentity,
    /// Nobody answered in time.
    #[error("no answer from {0} in time")]
    Timeout(String),
    /// TCP, TLS or HTTP/2 failed.
    #[error("{addr}: {why}")]
    Failed {
        /// Who was dialled.
        addr: String,
        /// What happened.
        why: String,
    },
}

/// Why a call on a connection failed.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The request did not leave this node.
    #[error("the connection was closed before the request was sent")]
    NotSent(#[source] hyper::Error),
    /// It broke afterwards.
    #[error("the connection broke")]
    Broken(#[source] hyper::Error),
}

/// An open connection; clones share it.
#[derive(Clone, Debug)]
pub struct Connection(SendRequest<Body>);

impl Connection {
    /// Dials `addr` as `identity`; the other end must be a node of the identity's cluster, and `expected` if given.
    ///
    /// # Errors
    /// See [`DialError`].
    pub async fn dial(addr: &str, identity: &Identity, expected: Option<&str>, keep_alive: KeepAlive) -> Result<Self, DialError> {
        let dialled = tokio::time::timeout(CONNECT_TIMEOUT, Self::handshake(addr, identity, expected, keep_alive)).await;
        let result = match dialled {
            Ok(Ok(connection)) => return Ok(connection),
            Ok(Err(why)) => DialError::Failed { addr: addr.to_owned(), why },
            Err(_) => DialError::Timeout(addr.to_owned()),
        };
        ::metrics::counter!(super::metrics::DIALS_FAILED).increment(1);
        Err(result)
    }

    async fn handshake(addr: &str, identity: &Identity, expected: Option<&str>, keep_alive: KeepAlive) -> Result<Self, String> {
        let config = tls::client_config(identity).map_err(|error| error.to_string())?;
        let tcp = TcpStream::connect(addr).await.map_err(|error| error.to_string())?;
        tcp.set_nodelay(true).map_err(|error| error.to_string())?;
        let stream = TlsConnector::from(config).connect(tls::server_name(), tcp).await.map_err(|error| error.to_string())?;
        let peer = tls::peer_of(stream.get_ref().1).map(|described| described.peer);
        match (&peer, expected) {
            (Some(Peer::Node(name)), Some(expected)) if name != expected => return Err("another node answers there".to_owned()),
            (Some(Peer::Node(_)), _) => {}
            _ => return Err("what answers there is no node of the cluster".to_owned()),
        }
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_frame_size(FRAME_BYTES)
            .keep_alive_interval(keep_alive.0)
            .keep_alive_timeout(keep_alive.1)
            .keep_alive_while_idle(true)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| error.to_string())?;
        tokio::spawn(connection.map(|_| ()));
        Ok(Self(sender))
    }

    /// Whether it can no longer be used.
    pub fn is_closed(&self) -> bool {
        self.0.is_closed()
    }
}

/// The origin that requests name: the certificate's name, as addresses say nothing.
pub fn origin() -> Uri {
    Uri::from_static("https://coffer-cluster")
}

impl tower_service::Service<Request<Body>> for Connection {
    type Response = Response<Incoming>;
    type Error = CallError;
    type Future = BoxFuture<'static, Result<Response<Incoming>, CallError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), CallError>> {
        self.0.poll_ready(cx).map_err(CallError::NotSent)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let answer = self.0.try_send_request(request);
        async move {
            answer.await.map_err(|failed| match failed.message() {
                Some(_) => CallError::NotSent(failed.into_error()),
                None => CallError::Broken(failed.into_error()),
            })
        }
        .boxed()
    }
}

/// What a failed call means for what was asked.
#[derive(Debug)]
pub enum Failure {
    /// The request did not leave this node: it may be tried again.
    NotSent(String),
    /// It was sent; whether it arrived is not known.
    Broken(String),
    /// The other side answered with an error.
    Answered(Code, String),
}

impl Failure {
    /// Reads what gRPC made of it.
    pub fn of(status: &Status) -> Self {
        let mut source = std::error::Error::source(status);
        let has_source = source.is_some();
        while let Some(error) = source {
            if let Some(CallError::NotSent(why)) = error.downcast_ref() {
                return Self::NotSent(why.to_string());
            }
            source = error.source();
        }
        // An answer comes in trailers; only what happened on this side has an error behind it.
        if has_source { Self::Broken(status.message().to_owned()) } else { Self::Answered(status.code(), status.message().to_owned()) }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotSent(why) => write!(f, "not sent: {why}"),
            Self::Broken(why) => write!(f, "{why}"),
            Self::Answered(code, why) => write!(f, "{code:?}: {why}"),
        }
    }
}
