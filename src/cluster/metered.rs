//! A stream that counts what goes through it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use metrics::Counter;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream and its counters.
pub(super) struct Metered<S> {
    stream: S,
    sent: Counter,
    received: Counter,
}

impl<S> Metered<S> {
    /// Counts in `sent` and `received` what goes through `stream`.
    pub fn new(stream: S, sent: Counter, received: Counter) -> Self {
        Self { stream, sent, received }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, into);
        self.received.increment((into.filled().len() - before) as u64);
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.count(written)
    }
    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, parts: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.count(written)
    }
    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl<S> Metered<S> {
    fn count(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = &written {
            self.sent.increment(*bytes as u64);
        }
        written
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn what_goes_through_is_counted_once() {
        let (here, mut there) = tokio::io::duplex(16);
        let (sent, received) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let mut metered = Metered::new(here, Counter::from_arc(sent.clone()), Counter::from_arc(received.clone()));
        let talk = async {
            // More than fits at once.
            metered.write_all(&[7; 100]).await.unwrap();
            let mut answer = [0; 30];
            metered.read_exact(&mut answer).await.unwrap();
        };
        let answer = async {
            let mut heard = [0; 100];
            there.read_exact(&mut heard).await.unwrap();
            there.write_all(&[8; 30]).await.unwrap();
        };
        tokio::join!(talk, answer);
        assert_eq!((sent.load(Ordering::Relaxed), received.load(Ordering::Relaxed)), (100, 30));
    }
}
