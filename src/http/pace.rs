//! Keeps time for one connection: a head must arrive soon, silence between requests may last a while, and so may a client that takes
//! nothing of its answer; none of them for ever. hyper's own timeouts do not tell these apart.
//!
//! While a request is being served the connection is nobody's to hurry: bodies and handlers have limits of their own.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// How HTTP/2 connections begin.
const PREFACE: &[u8] = b"PRI";

/// Time limits of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// From a request's first byte to the end of its head, and from the start of a connection to its first request.
    pub head: Duration,
    /// From one request to the next.
    pub idle: Duration,
    /// How long the client may take no byte of its answer.
    pub stall: Duration,
}

/// What goes on on one connection: told by its requests, asked by its stream and by those who need its place.
#[derive(Debug)]
pub struct Activity {
    start: Instant,
    serving: AtomicUsize,
    begun: AtomicUsize,
    /// When the last request ended, in milliseconds since the start.
    ended_ms: AtomicU64,
}

/// A request is being served; over when dropped.
#[derive(Debug)]
pub struct Serving(Arc<Activity>);

impl Activity {
    /// Of a connection that begins now.
    pub fn start() -> Arc<Self> {
        Arc::new(Self { start: Instant::now(), serving: AtomicUsize::new(0), begun: AtomicUsize::new(0), ended_ms: AtomicU64::new(0) })
    }

    /// A request's head is here.
    pub fn serve(self: &Arc<Self>) -> Serving {
        self.begun.fetch_add(1, Ordering::Relaxed);
        self.serving.fetch_add(1, Ordering::Relaxed);
        Serving(self.clone())
    }

    /// Since when no request is served; `None` while one is.
    pub fn quiet_since(&self) -> Option<Instant> {
        let is_quiet = self.serving.load(Ordering::Relaxed) == 0;
        is_quiet.then(|| self.start + Duration::from_millis(self.ended_ms.load(Ordering::Relaxed)))
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let since_start = u64::try_from(self.0.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.0.ended_ms.store(since_start, Ordering::Relaxed);
        self.0.serving.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A stream that ends with an error when its time is over.
pub struct Paced<S> {
    stream: S,
    activity: Arc<Activity>,
    times: Times,
    timer: Pin<Box<Sleep>>,
    stalled: Option<Pin<Box<Sleep>>>,
    /// When the head that is arriving began to. On HTTP/2, which also sends frames that are no requests, it is not known.
    head_since: Option<Instant>,
    begun: usize,
    has_spoken: bool,
    is_h2: bool,
}

impl<S> Paced<S> {
    /// `stream`, which begins with `activity`.
    pub fn new(stream: S, activity: Arc<Activity>, times: Times) -> Self {
        let head_since = Some(activity.start);
        let timer = Box::pin(tokio::time::sleep_until(activity.start + times.head));
        Self { stream, activity, times, timer, stalled: None, head_since, begun: 0, has_spoken: false, is_h2: false }
    }

    fn heard(&mut self, bytes: &[u8]) {
        if !self.has_spoken && !bytes.is_empty() {
            self.has_spoken = true;
            self.is_h2 = bytes.starts_with(PREFACE);
        }
        if self.is_h2 {
            self.head_since = None;
        } else if !bytes.is_empty() && self.head_since.is_none() && self.activity.quiet_since().is_some() {
            self.head_since = Some(Instant::now());
        }
    }

    /// When the peer must have said something, unless a request begins or ends meanwhile.
    fn deadline(&mut self) -> Instant {
        let begun = self.activity.begun.load(Ordering::Relaxed);
        if begun != self.begun {
            (self.begun, self.head_since) = (begun, None);
        }
        match (self.activity.quiet_since(), self.head_since) {
            (None, _) => Instant::now() + self.times.idle,
            (Some(_), Some(since)) => since + self.times.head,
            (Some(since), None) => since + self.times.idle,
        }
    }

    fn poll_patience(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        loop {
            let deadline = self.deadline();
            if deadline <= Instant::now() {
                return Poll::Ready(io::ErrorKind::TimedOut.into());
            }
            // A timer that is early looks again; only one that is late, or over, is set anew.
            if self.timer.is_elapsed() || deadline < self.timer.deadline() {
                self.timer.as_mut().reset(deadline);
            }
            std::task::ready!(self.timer.as_mut().poll(cx));
        }
    }

    /// As `written`, unless nothing has gone out for too long.
    fn or_stalled<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let stall = self.times.stall;
        let timer = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(stall)));
        timer.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        match Pin::new(&mut self.stream).poll_read(cx, buffer) {
            Poll::Ready(Ok(())) => {
                self.heard(&buffer.filled()[before..]);
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => self.poll_patience(cx).map(Err),
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.or_stalled(cx, written)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.or_stalled(cx, flushed)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.or_stalled(cx, shut)
    }
    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, slices: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.or_stalled(cx, written)
    }
    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    const SOON: Duration = Duration::from_millis(20);
    const NEVER: Duration = Duration::from_secs(3600);

    fn paced(head: Duration, idle: Duration) -> (DuplexStream, Paced<DuplexStream>, Arc<Activity>) {
        let (peer, stream) = duplex(64);
        let activity = Activity::start();
        (peer, Paced::new(stream, activity.clone(), Times { head, idle, stall: SOON }), activity)
    }

    async fn ends(stream: &mut Paced<DuplexStream>) {
        assert_eq!(stream.read_u8().await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    async fn waits(stream: &mut Paced<DuplexStream>) {
        assert!(tokio::time::timeout(SOON * 3, stream.read_u8()).await.is_err(), "it waits on");
    }

    #[tokio::test]
    async fn silence_before_the_first_request_ends_a_connection() {
        let (_peer, mut stream, _) = paced(SOON, NEVER);
        ends(&mut stream).await;
    }

    #[tokio::test]
    async fn a_head_must_be_whole_in_time() {
        let (mut peer, mut stream, activity) = paced(SOON, NEVER);
        peer.write_u8(b'G').await.unwrap();
        stream.read_u8().await.unwrap();
        drop(activity.serve());
        waits(&mut stream).await;
        peer.write_u8(b'G').await.unwrap();
        stream.read_u8().await.unwrap();
        ends(&mut stream).await;
    }

    #[tokio::test]
    async fn a_request_that_is_served_is_not_hurried_and_then_the_connection_may_be_idle_for_a_while() {
        let (mut peer, mut stream, activity) = paced(NEVER, SOON);
        peer.write_u8(b'G').await.unwrap();
        stream.read_u8().await.unwrap();
        let serving = activity.serve();
        waits(&mut stream).await;
        peer.write_u8(b'b').await.unwrap();
        assert_eq!(stream.read_u8().await.unwrap(), b'b');
        drop(serving);
        ends(&mut stream).await;
    }

    #[tokio::test]
    async fn frames_of_http2_that_are_no_requests_do_not_make_it_busy() {
        let (mut peer, mut stream, activity) = paced(SOON, SOON * 10);
        peer.write_all(PREFACE).await.unwrap();
        let mut read = [0; 3];
        stream.read_exact(&mut read).await.unwrap();
        drop(activity.serve());
        peer.write_u8(0).await.unwrap();
        stream.read_u8().await.unwrap();
        waits(&mut stream).await;
        ends(&mut stream).await;
    }

    #[tokio::test]
    async fn a_client_that_takes_nothing_of_its_answer_is_left() {
        let (_peer, mut stream, _) = paced(NEVER, NEVER);
        assert_eq!(stream.write_all(&[0; 65]).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
