//! One way, between clusters: the primary ships what is shared, as a log; the secondary replays it.
//!
//! # Overview
//!
//! The active node of a secondary opens one stream to the active node of its primary and says where it stands: a position, which is
//! a number *and* a hash of all records up to it. If the primary's records reach back to exactly that position, they follow it, as
//! they lie; the secondary proposes them in its own Raft group and acknowledges what is committed there. If not, the secondary
//! compares page sums with a snapshot that the primary holds for this stream, fetches the rows of the pages that differ, and streams
//! from the snapshot's position: so it is filled the first time, and so it recovers from a history that parted from the primary's.
//!
//! Nothing is decrypted here: records and rows travel as they lie. The pure parts ([`shipper`], [`applier`], [`resync`]) take events
//! and give actions; `session` and `follower` drive them over a [`link::Link`], which `cluster` implements with gRPC.
//!
//! # Failure model
//!
//! | what fails | what follows |
//! | --- | --- |
//! | the link, or either active node | reconnect with back-off, resume at the positions on disk |
//! | the primary, for longer than its records reach back | compare pages, fetch what differs |
//! | a comparison, half way | compare anew; what was repaired no longer differs |
//! | a frame is lost, doubled, or comes late | the state machine refuses it; say again where we stand |
//! | a proposal's outcome is not known | close; the next link waits for an entry of its own before it reads where the store stands |
//! | the primary was replaced while away | its first secondary of a later generation fences it: no more shared writes |
//! | the primary is demoted while a secondary lacks records | it ships them still, until it follows another |
//! | the secondary is slow | the primary reads no further than the link takes |
//!
//! Not here: who may enable replication (`core::sys::replication`), certificates (`cluster`), what `apply` refuses (`machine`).

pub mod link;

mod accept;
pub mod applier;
mod feed;
mod follower;
mod following;
mod freshness;
pub mod metrics;
pub mod resync;
mod retention;
mod session;
pub mod shipper;
mod status;

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Map, Value};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use feed::Feed;
pub use freshness::Freshness;
pub use retention::Keep;

use crate::machine::Role;
use crate::pool::off_thread;
use crate::raft;
use crate::storage::Physical;
use crate::types::{Clock, Generation, Key, Timestamp};
use link::Link;
use retention::Pins;
use status::Status;

/// How often records are trimmed and gauges set.
const UPKEEP: Duration = Duration::from_secs(5);

/// What a secondary remembers of its primary, and a primary of what it tells: kept by the layer above, encrypted.
#[async_trait]
pub trait PrimaryRecord: Send + Sync + 'static {
    /// Where the primary may be found; empty if it is to be left alone.
    fn addrs(&self) -> Vec<String>;
    /// The primary told its addresses, and they are other ones.
    async fn learned(&self, addrs: Vec<String>);
    /// A primary: the only addresses that secondaries may be told; `None`: those of its nodes.
    fn told(&self) -> Option<Vec<String>>;
}

/// What replication is built from.
pub struct Parts {
    /// The state of this node.
    pub store: Arc<dyn Physical>,
    /// Its log.
    pub raft: raft::Handle,
    /// How a secondary reaches its primary.
    pub link: Arc<dyn Link>,
    /// Wall time.
    pub clock: Arc<dyn Clock>,
    /// What a secondary remembers.
    pub primary: Arc<dyn PrimaryRecord>,
    /// This node, as others see it.
    pub me: raft::Member,
    /// The row that every change of role writes: a primary that fences itself guards against a change meanwhile.
    pub role_key: Key,
    /// The rows that open all others: a copy that is compared gets them first, so that it can read what comes behind.
    pub keys_first: Vec<Key>,
    /// How long records are kept.
    pub keep: Keep,
}

struct Shared {
    parts: Parts,
    feed: Arc<Feed>,
    status: Status,
    pins: Pins,
    /// Counts how often the link is to be opened anew.
    again: watch::Sender<u64>,
    /// Streams to secondaries, while this node is active.
    sessions: Mutex<HashMap<String, (u64, CancellationToken)>>,
}

impl Shared {
    fn sessions(&self) -> MutexGuard<'_, HashMap<String, (u64, CancellationToken)>> {
        self.sessions.lock().expect("no holder of this lock panics")
    }

    fn cut_all(&self) {
        for (_, (_, stop)) in self.sessions().drain() {
            stop.cancel();
        }
    }

    /// A secondary that has a primary. One that has none was demoted, and may still have secondaries of its own.
    fn follows_another(&self) -> bool {
        self.parts.store.role().is_secondary() && !self.parts.primary.addrs().is_empty()
    }

    /// What secondaries are told: `https://host:port` of each node of this cluster, unless the operator named other ways in.
    fn cluster_addrs(&self) -> Vec<String> {
        if let Some(told) = self.parts.primary.told() {
            return told;
        }
        self.parts.raft.status().borrow().peers.iter().map(|peer| url_of(&peer.member.cluster_addr)).collect()
    }
}

/// What runs on this node. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    shared: Arc<Shared>,
    running: Arc<Mutex<Option<Running>>>,
}

struct Running {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Replication")
    }
}

impl Handle {
    /// Nothing runs before [`Self::start`]. `feed` must be among the log's observers.
    pub fn new(parts: Parts, feed: Arc<Feed>) -> Self {
        let shared = Shared {
            parts,
            feed,
            status: Status::default(),
            pins: Pins::default(),
            again: watch::Sender::new(0),
            sessions: Mutex::default(),
        };
        Self { shared: Arc::new(shared), running: Arc::default() }
    }

    /// This node is active: serves secondaries, or follows the primary, as the role says. Does nothing if it runs.
    pub fn start(&self) {
        let mut running = self.running();
        if running.is_none() {
            let stop = CancellationToken::new();
            let task = tokio::spawn(run(self.shared.clone(), stop.clone()));
            *running = Some(Running { stop, task });
        }
    }

    /// This node is no longer active. Returns when nothing runs any more.
    pub async fn stop(&self) {
        let running = self.running().take();
        if let Some(Running { stop, task }) = running {
            stop.cancel();
            if let Err(error) = task.await {
                tracing::error!(%error, "replication ended by itself");
            }
        }
        self.shared.cut_all();
        self.shared.status.clear();
    }

    /// Another primary, or other addresses of it: opens the link anew.
    pub fn look_again(&self) {
        self.shared.again.send_modify(|count| *count += 1);
    }

    /// A secondary was revoked: ends its stream now.
    pub fn cut(&self, secondary_id: &str) {
        if let Some((_, stop)) = self.shared.sessions().remove(secondary_id)
            && !bug!(53)
        {
            stop.cancel();
        }
        self.shared.status.forget_secondary(secondary_id);
    }

    /// The links' part of the status body, for the role that this cluster has.
    pub fn describe(&self, now: Timestamp) -> Map<String, Value> {
        let reader_at = self.shared.parts.store.positions().performance;
        match self.shared.parts.store.role() {
            Role::Alone => Map::new(),
            Role::Primary { .. } => {
                self.shared.status.stands(reader_at.wal);
                self.shared.status.describe_primary(now)
            }
            Role::Secondary { .. } => {
                let mut shown = self.shared.status.describe_secondary(reader_at, now);
                if !self.shared.follows_another() {
                    self.shared.status.stands(reader_at.wal);
                    shown.insert("secondaries".to_owned(), Value::from(self.shared.status.describe_secondaries(now)));
                }
                shown
            }
        }
    }

    /// A secondary: whether it is comparing with its primary, and how many records it knows itself to be behind.
    pub fn catching_up(&self) -> (bool, u64) {
        self.shared.status.catching_up()
    }

    /// A secondary: whether it has a link, and how long ago it knew itself to have everything, in milliseconds.
    pub fn last_whole(&self, now: Timestamp) -> (bool, Option<u64>) {
        self.shared.status.last_whole(now)
    }

    /// A secondary: the latest generation that it was told of since this node is active.
    pub fn told_generation(&self) -> Generation {
        self.shared.status.told_generation()
    }

    /// A secondary: how long there has been no link to its primary, if there should be one.
    pub fn lost_for(&self) -> Option<Duration> {
        self.shared.status.lost_for()
    }

    /// A secondary: how many times there came to be a link to its primary since this node is active.
    pub fn times_linked(&self) -> u64 {
        self.shared.status.times_linked()
    }

    /// A primary: whether every secondary that is connected has all that there is.
    pub fn is_drained(&self) -> bool {
        self.shared.status.is_drained(self.shared.parts.store.positions().performance.wal)
    }

    /// Trims records and sets gauges, on every node, active or not, until `stop`.
    pub async fn upkeep(&self, stop: CancellationToken) {
        let mut tick = tokio::time::interval(UPKEEP);
        let mut measured = BTreeSet::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = tick.tick() => {}
            }
            let shared = self.shared.clone();
            let kept = off_thread(move || {
                let (parts, now) = (&shared.parts, shared.parts.clock.now());
                let began = std::time::Instant::now();
                let trimmed = retention::trim(parts.store.as_ref(), parts.keep, &shared.pins, now);
                ::metrics::histogram!(metrics::WAL_GC).record(began.elapsed().as_secs_f64() * 1000.0);
                trimmed
            });
            match kept.await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::error!(%error, "failed to trim the records kept for secondaries"),
                Err(error) => tracing::error!(%error, "trimming records ended by itself"),
            }
            self.measure(&mut measured);
        }
    }

    /// `measured` are the links of the last time: of one that is gone, the lag is no number.
    fn measure(&self, measured: &mut BTreeSet<String>) {
        let parts = &self.shared.parts;
        let (role, positions, kept) = (parts.store.role(), parts.store.positions(), parts.store.records_kept());
        let truth = |is: bool| if is { 1.0 } else { 0.0 };
        gauge(metrics::LAST_WAL, positions.dr.0);
        gauge(metrics::LAST_DR_WAL, positions.dr.0);
        gauge(metrics::LAST_PERFORMANCE_WAL, positions.performance.wal.0);
        gauge(metrics::BUFFER_LENGTH, if kept.last.0 == 0 { 0 } else { kept.last.0 - kept.first.0 + 1 });
        gauge(metrics::WAL_TOTAL, if kept.last.0 == 0 { 0 } else { kept.last.0 - kept.first.0 + 1 });
        gauge(metrics::COMMIT_INDEX, positions.performance.wal.0);
        gauge(metrics::IS_DR_PRIMARY, 0);
        gauge(metrics::IS_DR_SECONDARY, 0);
        if role.is_secondary() && self.running().is_some() {
            let state = self.shared.status.state_word();
            for word in ["stream-wals", "merkle-diff", "merkle-sync", "idle"] {
                ::metrics::gauge!(metrics::STATE, "state" => word).set(truth(word == state));
            }
        }
        gauge(metrics::BUFFER_SIZE, kept.bytes);
        gauge(metrics::BUFFER_MAX_SIZE, parts.keep.bytes);
        ::metrics::gauge!(metrics::IS_PRIMARY).set(truth(role.is_primary()));
        ::metrics::gauge!(metrics::IS_SECONDARY).set(truth(role.is_secondary()));
        if role.is_secondary() {
            gauge(metrics::LAST_REMOTE_WAL, positions.performance.wal.0);
        }
        let mut now = BTreeSet::new();
        if !self.shared.follows_another() {
            self.shared.status.stands(positions.performance.wal);
        }
        for (secondary, lag_ms, records) in self.shared.status.lags(parts.clock.now()) {
            if let Some(lag_ms) = lag_ms {
                ::metrics::gauge!(metrics::LAG_SECONDS, labels(&secondary)).set(to_f64(lag_ms) / 1000.0);
            }
            ::metrics::gauge!(metrics::LAG_RECORDS, labels(&secondary)).set(to_f64(records));
            now.insert(secondary);
        }
        for gone in measured.difference(&now) {
            ::metrics::gauge!(metrics::LAG_SECONDS, labels(gone)).set(f64::NAN);
            ::metrics::gauge!(metrics::LAG_RECORDS, labels(gone)).set(f64::NAN);
        }
        *measured = now;
    }

    fn running(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().expect("no holder of this lock panics")
    }
}

/// Follows the role: a secondary follows its primary; a primary's streams are served by [`link::Accept`].
async fn run(shared: Arc<Shared>, stop: CancellationToken) {
    let mut roles = shared.feed.roles();
    let mut again = shared.again.subscribe();
    while !stop.is_cancelled() {
        roles.borrow_and_update();
        again.borrow_and_update();
        let role = shared.parts.store.role();
        let cut = stop.child_token();
        if shared.follows_another() {
            shared.cut_all();
        }
        let link = async {
            if role.is_secondary() {
                follower::follow(&shared, &cut).await;
            } else {
                cut.cancelled().await;
            }
        };
        // A secondary that was filled, or met a later generation, goes on with the same stream.
        let changed = async {
            while roles.changed().await.is_ok() {
                let now = shared.parts.store.role();
                if (now.is_primary(), now.is_secondary(), now.set()) != (role.is_primary(), role.is_secondary(), role.set()) {
                    shared.cut_all();
                    shared.status.clear();
                    return;
                }
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = link => {}
            () = changed => {}
            _ = again.changed() => {}
        }
    }
}

/// An address as a URL.
fn url_of(addr: &str) -> String {
    if addr.is_empty() || addr.contains("://") { addr.to_owned() } else { format!("https://{addr}") }
}

/// The link to a secondary has its name; that to the primary has none.
fn labels(secondary: &str) -> Vec<::metrics::Label> {
    if secondary.is_empty() { Vec::new() } else { vec![::metrics::Label::new("secondary", secondary.to_owned())] }
}

fn gauge(name: &'static str, value: u64) {
    ::metrics::gauge!(name).set(to_f64(value));
}

#[expect(clippy::cast_precision_loss, reason = "a gauge may be rough above 2^52")]
fn to_f64(value: u64) -> f64 {
    value as f64
}
