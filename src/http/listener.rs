//! One TCP listener: TLS or plain, HTTP/1.1 and HTTP/2, bounded in size, time and number; ends gently.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

use super::answer::Answer;
use super::crowd::{Crowd, Place};
use super::intake::Taken;
use super::pace::{Paced, Times};
use super::serve::{Api, Origin};
use super::tls::TlsIdentity;
use crate::core::{RawRequest, RawResponse};
use crate::telemetry::Seldom;
use crate::types::limits::BODY_BYTES_MAX;

/// Most connections of one listener: beyond that, one that is idle gives way. Below the usual limit of open files.
const CONNECTIONS_MAX: usize = 4096;

/// Longest a TLS handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long requests under way may still take once the listener ends.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// Largest head of an HTTP/1.1 request, in bytes, and so the memory that a connection takes without a body. A path, a token and the
/// headers of proxies fit many times over.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Most streams of one HTTP/2 connection: each may hold a body.
const STREAMS_MAX: u32 = 128;

/// Bounds of one listener.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Largest body, in bytes.
    pub body_bytes: usize,
    /// Longest that headers may take to arrive.
    pub header_timeout: Duration,
    /// Longest that a body may take to arrive.
    pub body_timeout: Duration,
    /// Longest that a connection may be idle between requests.
    pub idle_timeout: Duration,
    /// Longest that a client may take nothing of its answer.
    pub write_timeout: Duration,
    /// Whether `sys/metrics` needs no token here.
    pub unauthenticated_metrics: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: BODY_BYTES_MAX,
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(300),
            write_timeout: Duration::from_secs(300),
            unauthenticated_metrics: false,
        }
    }
}

/// Why a listener could not be bound.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}")]
pub struct ListenError {
    address: String,
    source: io::Error,
}

/// A bound listener that serves nobody yet.
#[derive(Debug)]
pub struct Bound {
    socket: TcpListener,
    address: SocketAddr,
    tls: Option<Arc<TlsIdentity>>,
    limits: Limits,
}

impl Bound {
    /// Binds `address`, `host:port`.
    ///
    /// # Errors
    /// If it is taken, or is no address of this machine.
    pub async fn bind(address: &str, tls: Option<Arc<TlsIdentity>>, limits: Limits) -> Result<Self, ListenError> {
        let wrong = |source| ListenError { address: address.to_owned(), source };
        let socket = TcpListener::bind(address).await.map_err(wrong)?;
        let address = socket.local_addr().map_err(wrong)?;
        Ok(Self { socket, address, tls, limits })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop`, then lets requests under way end.
    pub async fn run(self, api: Api, stop: CancellationToken) {
        let crowd = Crowd::new(CONNECTIONS_MAX);
        let not_accepted = Seldom::default();
        let graceful = GracefulShutdown::new();
        loop {
            let (stream, remote) = tokio::select! {
                () = stop.cancelled() => break,
                accepted = self.socket.accept() => match accepted {
                    Ok(accepted) => accepted,
                    Err(error) => {
                        // Out of file descriptors, or the peer is gone already: going on at once would spin.
                        if let Some(unsaid) = not_accepted.may_say(Instant::now()) {
                            tracing::warn!(%error, unsaid, "a connection could not be accepted");
                        }
                        tokio::time::sleep(Duration::from_millis(50)).await;
                        continue;
                    }
                },
            };
            let place = tokio::select! {
                () = stop.cancelled() => break,
                place = crowd.enter() => place,
            };
            let Some(place) = place else { break };
            let place = Arc::new(place);
            let entrance = Entrance { api: api.clone(), limits: self.limits, remote, place: place.clone() };
            let tls = self.tls.clone();
            let watcher = graceful.watcher();
            tokio::spawn(async move {
                let _ = stream.set_nodelay(true);
                let served = async {
                    match tls {
                        None => serve(stream, entrance, watcher).await,
                        Some(tls) => {
                            if let Some(stream) = handshake(&tls, stream).await {
                                serve(stream, entrance, watcher).await;
                            }
                        }
                    }
                };
                tokio::select! {
                    () = served => {}
                    () = place.member.must_leave() => tracing::debug!(%remote, "an idle connection gave way to another"),
                }
            });
        }
        drop(self.socket);
        if tokio::time::timeout(DRAIN_TIMEOUT, graceful.shutdown()).await.is_err() {
            tracing::warn!("requests were still under way when the listener ended");
        }
    }
}

/// What a client that speaks plain HTTP to a TLS port is told, in words that Go's servers have for it.
const PLAIN_HTTP: &[u8] = b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";

async fn handshake(tls: &TlsIdentity, mut stream: TcpStream) -> Option<tokio_rustls::server::TlsStream<TcpStream>> {
    let accepted = async {
        // No TLS record begins with a letter; all methods of HTTP do.
        let mut first = [0];
        if stream.peek(&mut first).await? == 1 && first[0].is_ascii_uppercase() {
            stream.write_all(PLAIN_HTTP).await?;
            stream.shutdown().await?;
            // Closing with a request unread would take the answer back.
            let mut unread = [0; 4096];
            while stream.read(&mut unread).await? > 0 {}
            return Err(io::Error::other("plain HTTP"));
        }
        tls.acceptor().accept(stream).await
    };
    match tokio::time::timeout(HANDSHAKE_TIMEOUT, accepted).await {
        Ok(Ok(stream)) => Some(stream),
        Ok(Err(error)) => {
            tracing::debug!(%error, "a TLS handshake failed");
            None
        }
        Err(_) => None,
    }
}

async fn serve<S>(stream: S, entrance: Entrance, watcher: hyper_util::server::graceful::Watcher)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = auto::Builder::new(TokioExecutor::new());
    // Time is kept by the stream itself.
    builder.http1().timer(TokioTimer::new()).header_read_timeout(None).max_buf_size(HEAD_BYTES_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(20));
    let Limits { header_timeout, idle_timeout, write_timeout, .. } = entrance.limits;
    let times = Times { head: header_timeout, idle: idle_timeout, stall: write_timeout };
    let stream = Paced::new(stream, entrance.place.member.activity.clone(), times);
    let router = Router::new().fallback(accept).with_state(entrance);
    let connection = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router)).into_owned();
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(%error, "a connection ended badly");
    }
}

/// One connection's way in.
#[derive(Clone)]
struct Entrance {
    api: Api,
    limits: Limits,
    remote: SocketAddr,
    place: Arc<Place>,
}

async fn accept(State(entrance): State<Entrance>, request: Request) -> Response {
    let _serving = entrance.place.member.activity.serve();
    let response = match receive(&entrance, request).await {
        Ok((raw, _room)) => {
            let origin = Origin::Client { unauthenticated_metrics: entrance.limits.unauthenticated_metrics };
            entrance.api.answer(raw, origin).await
        }
        Err(answer) => answer.into_raw(),
    };
    into_http(response)
}

/// Reads the whole request, within bounds. What its body takes of the memory for bodies goes along with it.
async fn receive(entrance: &Entrance, request: Request) -> Result<(RawRequest, Option<OwnedSemaphorePermit>), Answer> {
    let (head, body) = request.into_parts();
    let Limits { body_bytes, body_timeout, .. } = entrance.limits;
    let Taken { bytes, room } = entrance.api.intake().take(&head.headers, body, body_bytes, body_timeout).await?;
    let raw = RawRequest {
        method: head.method.as_str().to_owned(),
        uri: head.uri.path_and_query().map_or_else(|| "/".to_owned(), |uri| uri.as_str().to_owned()),
        headers: head.headers.iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec())).collect(),
        body: bytes,
        remote: entrance.remote.to_string(),
    };
    Ok((raw, room))
}

fn into_http(raw: RawResponse) -> Response {
    let mut response = Response::new(Body::from(raw.body));
    *response.status_mut() = http::StatusCode::from_u16(raw.status).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in raw.headers {
        if let (Ok(name), Ok(value)) = (http::HeaderName::try_from(name), http::HeaderValue::try_from(value)) {
            response.headers_mut().append(name, value);
        }
    }
    response
}
