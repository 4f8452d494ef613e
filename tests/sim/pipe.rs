//! One direction of a connection: messages keep their order, or the connection breaks.
//!
//! A message that meets a cut link breaks the connection; both ends learn it a while later, as a keep-alive would tell them. Whoever
//! has said everything says so; whoever is ended before that leaves the other side an error, if its system can still speak.

use std::time::Duration;

use futures::stream::{self, BoxStream, StreamExt};
use tokio::sync::{mpsc, watch};

use crate::net::{Fate, HostId, Net, now, until};

/// Messages under way; then sending waits.
const WINDOW: usize = 128;

/// When a connection turns out to be broken.
#[derive(Clone)]
pub struct Connection(watch::Sender<Option<Duration>>);

impl Connection {
    pub fn new() -> Self {
        Self(watch::Sender::new(None))
    }

    /// Both ends learn it after `notice`.
    fn breaks(&self, notice: Duration) {
        let at = now() + notice;
        self.0.send_if_modified(|known| {
            let is_new = known.is_none();
            known.get_or_insert(at);
            is_new
        });
    }

    /// Returns once it is known to be broken.
    async fn broken(&self) {
        let mut broken = self.0.subscribe();
        let at = broken.wait_for(Option::is_some).await.map_or(None, |at| *at);
        match at {
            Some(at) => until(at).await,
            None => std::future::pending().await,
        }
    }

    /// Returns once the word that the end `from` is gone has reached the end `to`, or its silence has been noticed.
    async fn reset(&self, net: &Net, (from, to): (HostId, HostId), notice: Duration) {
        match net.reset(from, to) {
            Fate::Arrives(at) => until(at).await,
            Fate::Lost | Fate::Refused(_) => {
                self.breaks(notice);
                self.broken().await;
            }
        }
    }

    fn is_broken(&self) -> bool {
        self.0.borrow().is_some()
    }
}

/// What travels.
enum Said<T> {
    Item(T),
    /// Everything was said.
    End,
}

/// The end that sends.
pub struct PipeIn<T> {
    net: Net,
    from: HostId,
    to: HostId,
    what: &'static str,
    connection: Connection,
    items: mpsc::Sender<(Duration, Said<T>)>,
    last: Duration,
    notice: Duration,
}

/// The end that receives.
pub struct PipeOut<T> {
    net: Net,
    from: HostId,
    to: HostId,
    connection: Connection,
    items: mpsc::Receiver<(Duration, Said<T>)>,
    notice: Duration,
}

/// A direction of `connection`.
pub fn pipe<T: Send + 'static>(
    net: &Net,
    (from, to): (HostId, HostId),
    what: &'static str,
    connection: &Connection,
    notice: Duration,
) -> (PipeIn<T>, PipeOut<T>) {
    let (items, arriving) = mpsc::channel(WINDOW);
    let sending = PipeIn { net: net.clone(), from, to, what, connection: connection.clone(), items, last: Duration::ZERO, notice };
    (sending, PipeOut { net: net.clone(), from, to, connection: connection.clone(), items: arriving, notice })
}

impl<T: Send + 'static> PipeIn<T> {
    /// Sends; false once the connection is known to be broken.
    async fn send(&mut self, said: Said<T>) -> bool {
        if self.connection.is_broken() {
            return false;
        }
        match self.net.fate(self.from, self.to, self.what) {
            Fate::Arrives(at) => {
                self.last = self.last.max(at);
                self.items.send((self.last, said)).await.is_ok()
            }
            Fate::Lost => {
                self.connection.breaks(self.notice);
                false
            }
            Fate::Refused(_) => {
                self.connection.breaks(Duration::from_millis(1));
                false
            }
        }
    }

    /// Returns once the other end has let go and the word of it has arrived.
    async fn reset(&self) {
        self.items.closed().await;
        self.connection.reset(&self.net, (self.to, self.from), self.notice).await;
    }

    /// Returns once there is nobody to send to.
    async fn over(&self) {
        tokio::select! {
            biased;
            () = self.connection.broken() => {}
            () = self.reset() => {}
        }
    }

    /// Sends all of `messages` until they end, the other end lets go, or the connection breaks. An error among them breaks it.
    pub async fn send_all<E>(mut self, mut messages: BoxStream<'static, Result<T, E>>) {
        loop {
            let message = tokio::select! {
                biased;
                () = self.over() => return,
                message = messages.next() => message,
            };
            let said = match message {
                Some(Ok(message)) => Said::Item(message),
                Some(Err(_)) => return,
                None => Said::End,
            };
            let is_end = matches!(said, Said::End);
            if !self.send(said).await {
                // The messages' maker learns it when the connection's end is noticed.
                return self.over().await;
            }
            if is_end {
                return;
            }
        }
    }
}

impl<T: Send + 'static> PipeOut<T> {
    /// What arrives; an error once the connection is broken, or the other end gone before it had said everything.
    pub fn stream(self) -> BoxStream<'static, Result<T, &'static str>> {
        stream::unfold(Some(self), |open| async move {
            let mut pipe = open?;
            let connection = pipe.connection.clone();
            let said = tokio::select! {
                biased;
                said = pipe.next() => said,
                () = connection.broken() => return Some((Err("the connection broke"), None)),
            };
            match said {
                Some(Said::Item(item)) => Some((Ok(item), Some(pipe))),
                Some(Said::End) => None,
                None => {
                    pipe.connection.reset(&pipe.net, (pipe.from, pipe.to), pipe.notice).await;
                    Some((Err("the connection was reset"), None))
                }
            }
        })
        .boxed()
    }

    async fn next(&mut self) -> Option<Said<T>> {
        let (at, said) = self.items.recv().await?;
        until(at).await;
        Some(said)
    }
}
