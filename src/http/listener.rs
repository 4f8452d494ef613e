//! One TCP listener: TLS or plain, HTTP/1.1 and HTTP/2, bounded in size, time and number; ends gently.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::answer::Answer;
use super::first_byte::FirstByte;
use super::serve::{Api, Origin};
use super::tls::TlsIdentity;
use crate::core::{RawRequest, RawResponse};
use crate::types::limits::BODY_BYTES_MAX;

/// Most connections of one listener: beyond that, new ones wait to be accepted. Below the usual limit of open files.
const CONNECTIONS_MAX: usize = 4096;

/// Longest a TLS handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long requests under way may still take once the listener ends.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

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
    /// Whether `sys/metrics` needs no token here.
    pub unauthenticated_metrics: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: BODY_BYTES_MAX,
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(90),
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
        let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let graceful = GracefulShutdown::new();
        loop {
            let Ok(permit) = connections.clone().acquire_owned().await else { break };
            let (stream, remote) = tokio::select! {
                () = stop.cancelled() => break,
                accepted = self.socket.accept() => match accepted {
                    Ok(accepted) => accepted,
                    Err(error) => {
                        // Out of file descriptors, or the peer is gone already: going on at once would spin.
                        tracing::warn!(%error, "a connection could not be accepted");
                        tokio::time::sleep(Duration::from_millis(50)).await;
                        continue;
                    }
                },
            };
            let entrance = Entrance { api: api.clone(), limits: self.limits, remote };
            let tls = self.tls.clone();
            let watcher = graceful.watcher();
            tokio::spawn(async move {
                let _permit = permit;
                let _ = stream.set_nodelay(true);
                match tls {
                    None => serve(stream, entrance, watcher).await,
                    Some(tls) => {
                        if let Some(stream) = handshake(&tls, stream).await {
                            serve(stream, entrance, watcher).await;
                        }
                    }
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
    builder.http1().timer(TokioTimer::new()).header_read_timeout(entrance.limits.header_timeout);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(20));
    let patience = entrance.limits.header_timeout;
    let router = Router::new().fallback(accept).with_state(entrance);
    let stream = FirstByte::within(patience, stream);
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
}

async fn accept(State(entrance): State<Entrance>, request: Request) -> Response {
    let response = match receive(&entrance, request).await {
        Ok(raw) => {
            let origin = Origin::Client { unauthenticated_metrics: entrance.limits.unauthenticated_metrics };
            entrance.api.answer(raw, origin).await
        }
        Err(answer) => answer.into_raw(),
    };
    into_http(response)
}

/// Reads the whole request, within bounds.
async fn receive(entrance: &Entrance, request: Request) -> Result<RawRequest, Answer> {
    let (head, body) = request.into_parts();
    let too_large = || Answer::error(413, "http: request body too large");
    let declared =
        head.headers.get(http::header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()).and_then(|text| text.parse::<u64>().ok());
    if declared.is_some_and(|bytes| bytes > entrance.limits.body_bytes as u64) {
        return Err(too_large());
    }
    let collected = tokio::time::timeout(entrance.limits.body_timeout, Limited::new(body, entrance.limits.body_bytes).collect());
    let body = match collected.await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => return Err(too_large()),
        Ok(Err(_)) => return Err(Answer::error(400, "the request body could not be read")),
        Err(_) => return Err(Answer::error(408, "the request body took too long to arrive")),
    };
    Ok(RawRequest {
        method: head.method.as_str().to_owned(),
        uri: head.uri.path_and_query().map_or_else(|| "/".to_owned(), |uri| uri.as_str().to_owned()),
        headers: head.headers.iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec())).collect(),
        body,
        remote: entrance.remote.to_string(),
    })
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
