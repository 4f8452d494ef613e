//! The network: messages that arrive later, elsewhere, or never.
//!
//! Each ordered pair of hosts is a link of its own, with its own delays and losses, and can be cut in one direction. A message to a
//! host where nobody listens comes back as a refusal; one over a cut link just does not arrive. Whoever waits gives up by himself.
//! Not here: connections, on which messages keep their order (`pipe`), what messages mean (`talk`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::disk::Loss;
pub use crate::hosts::now;
use crate::plan::Weather;
use crate::rng::Rng;
use crate::talk::{Reply, Request};
use crate::trace;

/// A host: its place in the plan's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostId(pub usize);

/// How long a host waits for a connection.
pub const CONNECT: Duration = Duration::from_secs(2);

/// Waits until then.
pub async fn until(at: Duration) {
    let wait = at.saturating_sub(now());
    if !wait.is_zero() {
        tokio::time::sleep(wait).await;
    }
}

/// A message on its way to a host.
pub struct Delivery {
    /// When it arrives.
    pub at: Duration,
    /// What it asks.
    pub request: Request,
    /// Where the answer goes.
    pub answer: Answer,
}

/// Where an answer goes, once.
pub struct Answer {
    net: Net,
    from: HostId,
    to: HostId,
    tell: oneshot::Sender<(Duration, Reply)>,
}

impl Answer {
    /// Sends it back.
    pub fn send(self, reply: Reply) {
        match self.net.fate(self.from, self.to, "answer") {
            // Whoever asked may have given up.
            Fate::Arrives(at) => drop(self.tell.send((at, reply))),
            // Kept, as a closed channel would tell whoever waits.
            Fate::Lost | Fate::Refused(_) => self.net.inner().lost.push(self.tell),
        }
    }
}

/// Why a call was not answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoAnswer {
    /// It did not get there.
    NotSent(&'static str),
    /// It may have got there.
    Unknown(&'static str),
}

/// What becomes of a message.
pub enum Fate {
    /// It arrives then.
    Arrives(Duration),
    /// It does not arrive, and nobody says so.
    Lost,
    /// Nobody listens there, which is known then.
    Refused(Duration),
}

#[derive(Default)]
struct Link {
    is_cut: bool,
    /// Whether messages went through since it was last cut: then a connection is kept.
    is_open: bool,
    messages: u64,
}

struct Inner {
    weather: Weather,
    rng: Rng,
    links: BTreeMap<(HostId, HostId), Link>,
    inboxes: BTreeMap<HostId, mpsc::UnboundedSender<Delivery>>,
    /// Hosts without power: not even their system says anything.
    dark: BTreeSet<HostId>,
    lost: Vec<oneshot::Sender<(Duration, Reply)>>,
}

/// The network. Cheap to clone.
#[derive(Clone)]
pub struct Net(Arc<Mutex<Inner>>);

impl Net {
    /// Calm, and nobody listens.
    pub fn new(weather: Weather, rng: Rng) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            weather,
            rng,
            links: BTreeMap::new(),
            inboxes: BTreeMap::new(),
            dark: BTreeSet::new(),
            lost: Vec::new(),
        })))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().expect("no holder of this lock panics")
    }

    /// Takes what arrives at `host` from now on.
    pub fn listen(&self, host: HostId) -> mpsc::UnboundedReceiver<Delivery> {
        let (inbox, arriving) = mpsc::unbounded_channel();
        let mut inner = self.inner();
        inner.inboxes.insert(host, inbox);
        inner.dark.remove(&host);
        drop(inner);
        arriving
    }

    /// Nothing comes from or to `host` any more.
    pub fn close(&self, host: HostId) {
        self.inner().inboxes.remove(&host);
    }

    /// Its process has ended, or its machine.
    pub fn end(&self, host: HostId, loss: Loss) {
        match loss {
            Loss::Process => self.close(host),
            Loss::Power => self.darken(host),
        }
    }

    /// `host` has no power: its connections are not even reset.
    pub fn darken(&self, host: HostId) {
        self.close(host);
        self.inner().dark.insert(host);
    }

    /// Whether `host` listens.
    pub fn listens(&self, host: HostId) -> bool {
        self.inner().inboxes.contains_key(&host)
    }

    /// Cuts the way from one host to another, or mends it.
    pub fn cut(&self, from: HostId, to: HostId, is_cut: bool) {
        let mut inner = self.inner();
        let link = inner.links.entry((from, to)).or_default();
        link.is_cut = is_cut;
    }

    /// Mends everything.
    pub fn heal(&self) {
        let mut inner = self.inner();
        inner.links.values_mut().for_each(|link| link.is_cut = false);
        inner.lost.clear();
    }

    /// Other weather.
    pub fn change(&self, weather: Weather) {
        self.inner().weather = weather;
    }

    /// Draws what becomes of a message.
    pub fn fate(&self, from: HostId, to: HostId, what: &'static str) -> Fate {
        // What a host says that has just ended is not heard.
        let speaks = self.listens(from);
        self.draw(from, to, what, speaks)
    }

    /// Draws what becomes of a connection's reset, which a host's system sends for a process that has ended.
    pub fn reset(&self, from: HostId, to: HostId) -> Fate {
        let speaks = !self.inner().dark.contains(&from);
        self.draw(from, to, "reset", speaks)
    }

    fn draw(&self, from: HostId, to: HostId, what: &'static str, speaks: bool) -> Fate {
        let mut inner = self.inner();
        let listens = inner.inboxes.contains_key(&to);
        let Inner { weather, rng, links, .. } = &mut *inner;
        let link = links.entry((from, to)).or_default();
        link.messages += 1;
        let delay = weather.delay(rng, from, to);
        let at = now() + delay;
        let fate = if !speaks || link.is_cut {
            Fate::Lost
        } else if !listens {
            link.is_open = false;
            Fate::Refused(at)
        } else if rng.permille(weather.loss_permille) {
            // Sent again by the system after a while.
            Fate::Arrives(at + Duration::from_millis(rng.between(200, 900)))
        } else {
            link.is_open = true;
            Fate::Arrives(at)
        };
        drop(inner);
        trace::message(from, to, what, &fate);
        fate
    }

    /// Whether a connection is kept from one host to another; if not, what is lost was never sent.
    fn was_open(&self, from: HostId, to: HostId) -> bool {
        self.inner().links.get(&(from, to)).is_some_and(|link| link.is_open)
    }

    fn lose(&self, from: HostId, to: HostId) {
        self.inner().links.entry((from, to)).or_default().is_open = false;
    }

    /// Asks, and waits for the answer for as long as `patience`.
    ///
    /// # Errors
    /// See [`NoAnswer`].
    pub async fn call(&self, from: HostId, to: HostId, request: Request, patience: Duration) -> Result<Reply, NoAnswer> {
        let was_open = self.was_open(from, to);
        let what = request.name();
        let at = match self.fate(from, to, what) {
            Fate::Arrives(at) => at,
            Fate::Refused(at) => {
                until(at).await;
                return Err(NoAnswer::NotSent("connection refused"));
            }
            Fate::Lost => {
                tokio::time::sleep(if was_open { patience } else { CONNECT.min(patience) }).await;
                self.lose(from, to);
                return Err(if was_open { NoAnswer::Unknown("no answer in time") } else { NoAnswer::NotSent("no connection in time") });
            }
        };
        let (tell, told) = oneshot::channel();
        let answer = Answer { net: self.clone(), from: to, to: from, tell };
        let sent = {
            let inner = self.inner();
            inner.inboxes.get(&to).is_some_and(|inbox| inbox.send(Delivery { at, request, answer }).is_ok())
        };
        if !sent {
            return Err(NoAnswer::NotSent("connection refused"));
        }
        match tokio::time::timeout(patience, told).await {
            Ok(Ok((at, reply))) => {
                until(at).await;
                Ok(reply)
            }
            Ok(Err(_)) => Err(NoAnswer::Unknown("the connection was reset")),
            Err(_) => {
                self.lose(from, to);
                Err(NoAnswer::Unknown("no answer in time"))
            }
        }
    }

    /// Asks for a connection: sends `request` without waiting for an answer. False if nobody is there.
    pub fn open(&self, from: HostId, to: HostId, at: Duration, request: Request) -> bool {
        let (tell, _) = oneshot::channel();
        let answer = Answer { net: self.clone(), from: to, to: from, tell };
        self.inner().inboxes.get(&to).is_some_and(|inbox| inbox.send(Delivery { at, request, answer }).is_ok())
    }
}
