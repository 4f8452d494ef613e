//! One direction of a connection: messages keep their order, or the connection breaks.
//!
//! A message that meets a cut link breaks the connection; both ends learn it a while later, as a keep-alive would tell them. Whoever
//! ends leaves the other side an error, not a clean end.

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

    fn is_broken(&self) -> bool {
        self.0.borrow().is_some()
    }
}

/// The end that sends.
pub struct PipeIn<T> {
    net: Net,
    from: HostId,
    to: HostId,
    what: &'static str,
    connection: Connection,
    items: mpsc::Sender<(Duration, T)>,
    last: Duration,
    notice: Duration,
}

/// The end that receives.
pub struct PipeOut<T> {
    connection: Connection,
    items: mpsc::Receiver<(Duration, T)>,
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
    (sending, PipeOut { connection: connection.clone(), items: arriving })
}

impl<T: Send + 'static> PipeIn<T> {
    /// Sends; false once the connection is known to be broken.
    pub async fn send(&mut self, item: T) -> bool {
        if self.connection.is_broken() {
            return false;
        }
        match self.net.fate(self.from, self.to, self.what) {
            Fate::Arrives(at) => {
                self.last = self.last.max(at);
                self.items.send((self.last, item)).await.is_ok()
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

    /// Returns once the connection is known to be broken.
    pub async fn broken(&self) {
        let mut broken = self.connection.0.subscribe();
        let at = broken.wait_for(Option::is_some).await.map_or(None, |at| *at);
        if let Some(at) = at {
            until(at).await;
        }
    }

    /// Returns once the other end has let go and the word of it has arrived.
    async fn reset(&self) {
        self.items.closed().await;
        match self.net.fate(self.to, self.from, "reset") {
            Fate::Arrives(at) => until(at).await,
            Fate::Lost | Fate::Refused(_) => {
                self.connection.breaks(self.notice);
                self.broken().await;
            }
        }
    }

    /// Returns once there is nobody to send to.
    async fn over(&self) {
        tokio::select! {
            biased;
            () = self.broken() => {}
            () = self.reset() => {}
        }
    }

    /// Sends all of `messages` until they end, the other end lets go, or the connection breaks.
    pub async fn send_all(mut self, mut messages: BoxStream<'static, T>) {
        loop {
            let message = tokio::select! {
                biased;
                () = self.over() => return,
                message = messages.next() => message,
            };
            let Some(message) = message else { return };
            if !self.send(message).await {
                // The messages' maker learns it when the connection's end is noticed.
                return self.over().await;
            }
        }
    }
}

impl<T: Send + 'static> PipeOut<T> {
    /// What arrives; an error once the connection is broken, or the other end gone.
    pub fn stream(self) -> BoxStream<'static, Result<T, &'static str>> {
        let broken = self.connection.0.subscribe();
        stream::unfold(Some((self, broken)), |open| async move {
            let (mut pipe, mut broken) = open?;
            let is_broken = async {
                let at = broken.wait_for(Option::is_some).await.map_or(None, |at| *at);
                match at {
                    Some(at) => until(at).await,
                    None => std::future::pending().await,
                }
            };
            let item = tokio::select! {
                biased;
                item = async {
                    let item = pipe.items.recv().await;
                    if let Some((at, _)) = &item {
                        until(*at).await;
                    }
                    item
                } => item,
                () = is_broken => return Some((Err("the connection broke"), None)),
            };
            match item {
                Some((_, item)) => Some((Ok(item), Some((pipe, broken)))),
                None => Some((Err("the connection was closed"), None)),
            }
        })
        .boxed()
    }
}
