//! What operators see of the links: states, heartbeats, lag. In memory only, of the active node.
//!
//! Rendered in the JSON shapes that Vault's tools read (every `*_ms` is text), with lag in seconds and in records besides.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::applier::Phase;
use super::freshness::Freshness;
use crate::types::{Generation, Position, Timestamp, WalIndex};

/// State of the secondary's own channel, in gRPC's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Connection {
    /// Nothing is tried.
    #[default]
    Idle,
    /// Being opened.
    Connecting,
    /// Open.
    Ready,
    /// Broken; tried again.
    TransientFailure,
}

impl Connection {
    fn word(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Connecting => "connecting",
            Self::Ready => "ready",
            Self::TransientFailure => "transient_failure",
        }
    }
}

/// The other end of a link.
#[derive(Clone, Debug, Default)]
pub struct PeerStatus {
    /// URL of its active node's API.
    pub api_addr: String,
    /// `https://host:port` of its active node's cluster listener.
    pub cluster_addr: String,
    /// Whether there is a stream now.
    pub is_connected: bool,
    /// The last heartbeat, by our clock.
    pub last_heartbeat: Timestamp,
    /// How long the last heartbeat took, there and back.
    pub heartbeat_ms: u64,
    /// How far its clock is from ours.
    pub skew_ms: u64,
    /// Of a primary: the latest generation that it told.
    pub generation: Generation,
    /// How whole the copy is.
    pub freshness: Freshness,
    /// What is going on.
    pub word: &'static str,
}

/// The secondary's side.
#[derive(Clone, Debug, Default)]
struct Following {
    connection: Connection,
    phase: Phase,
    primary: PeerStatus,
    known_addrs: Vec<String>,
    since: Timestamp,
    last_error: Option<String>,
    started: Timestamp,
    /// Since when there is no link although one is wanted.
    lost: Option<Instant>,
    times_linked: u64,
}

#[derive(Debug, Default)]
struct Inner {
    following: Following,
    secondaries: BTreeMap<String, PeerStatus>,
}

/// What operators see of the links.
#[derive(Debug, Default)]
pub struct Status(Mutex<Inner>);

impl PeerStatus {
    /// How long the copy is known to have been behind. Of a link that is down nothing newer is known than the last mark it reached.
    fn lag_ms(&self, now: Timestamp) -> Option<u64> {
        if self.is_connected { self.freshness.lag_ms(now) } else { self.freshness.age_ms(now) }
    }
}

impl Status {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().expect("no holder of this lock panics")
    }

    /// A primary: changes what is known of a secondary.
    pub fn of_secondary(&self, id: &str, change: impl FnOnce(&mut PeerStatus)) {
        change(self.inner().secondaries.entry(id.to_owned()).or_default());
    }

    /// A primary: the secondary was revoked.
    pub fn forget_secondary(&self, id: &str) {
        self.inner().secondaries.remove(id);
    }

    /// A secondary: changes what is known of the primary.
    pub fn of_primary(&self, change: impl FnOnce(&mut PeerStatus)) {
        change(&mut self.inner().following.primary);
    }

    /// A secondary: the channel's state.
    pub fn connection(&self, connection: Connection, error: Option<String>, now: Timestamp) {
        let mut inner = self.inner();
        let following = &mut inner.following;
        if following.connection != connection {
            following.since = now;
        }
        following.connection = connection;
        following.primary.is_connected = connection == Connection::Ready;
        match connection {
            Connection::Ready => {
                (following.started, following.lost) = (now, None);
                following.times_linked += 1;
            }
            Connection::TransientFailure => following.lost = following.lost.or_else(|| Some(Instant::now())),
            Connection::Idle => following.lost = None,
            Connection::Connecting => {}
        }
        if error.is_some() {
            following.last_error = error;
        }
    }

    /// A secondary: what it does.
    pub fn phase(&self, phase: Phase, now: Timestamp) {
        let mut inner = self.inner();
        let following = &mut inner.following;
        if word_of(following.phase) != word_of(phase) {
            following.since = now;
        }
        if phase == Phase::Streaming {
            following.last_error = None;
        }
        following.phase = phase;
    }

    /// A secondary: where its primary may be found.
    pub fn known_addrs(&self, addrs: Vec<String>) {
        self.inner().following.known_addrs = addrs;
    }

    /// The role changed: nothing of before is true any more.
    pub fn clear(&self) {
        *self.inner() = Inner::default();
    }

    /// A secondary: whether it is comparing with its primary, and how many records it knows itself to be behind.
    pub fn catching_up(&self) -> (bool, u64) {
        let inner = self.inner();
        let following = &inner.following;
        let is_comparing = following.connection == Connection::Ready && matches!(following.phase, Phase::Comparing | Phase::Fetching(_));
        (is_comparing, following.primary.freshness.records_behind())
    }

    /// A secondary: whether it has a link, and how long ago it knew itself to have everything, in milliseconds.
    pub fn last_whole(&self, now: Timestamp) -> (bool, Option<u64>) {
        let inner = self.inner();
        let primary = &inner.following.primary;
        (primary.is_connected, primary.lag_ms(now))
    }

    /// A secondary: the latest generation that it was told of since this node is active.
    pub fn told_generation(&self) -> Generation {
        self.inner().following.primary.generation
    }

    /// A secondary: how long there has been no link.
    pub fn lost_for(&self) -> Option<Duration> {
        self.inner().following.lost.map(|since| since.elapsed())
    }

    /// A secondary: how many times there came to be a link.
    pub fn times_linked(&self) -> u64 {
        self.inner().following.times_linked
    }

    /// A primary: whether every secondary that is connected acknowledged `at`.
    pub fn is_drained(&self, at: WalIndex) -> bool {
        self.inner().secondaries.values().filter(|peer| peer.is_connected).all(|peer| peer.freshness.reached() >= at)
    }

    /// Lag of each secondary, or of this one: name, milliseconds if known, records.
    pub(super) fn lags(&self, now: Timestamp) -> Vec<(String, Option<u64>, u64)> {
        let inner = self.inner();
        let of = |name: &str, peer: &PeerStatus| (name.to_owned(), peer.lag_ms(now), peer.freshness.records_behind());
        let own = inner.following.primary.freshness.fresh_at().is_some().then(|| of("", &inner.following.primary));
        inner.secondaries.iter().map(|(id, peer)| of(id, peer)).chain(own).collect()
    }

    /// A primary: it stands at `at`, which secondaries without a stream have not heard of.
    pub fn stands(&self, at: WalIndex) {
        self.inner().secondaries.values_mut().filter(|peer| !peer.is_connected).for_each(|peer| peer.freshness.stands(at));
    }

    /// A secondary: its state in one word.
    pub fn state_word(&self) -> &'static str {
        let inner = self.inner();
        if inner.following.connection == Connection::Ready { word_of(inner.following.phase) } else { "idle" }
    }

    /// The primary's part of the status body.
    pub fn describe_primary(&self, now: Timestamp) -> Map<String, Value> {
        object(json!({ "state": "running", "secondaries": self.describe_secondaries(now) }))
    }

    /// The secondaries that this cluster serves.
    pub fn describe_secondaries(&self, now: Timestamp) -> Vec<Value> {
        let inner = self.inner();
        inner
            .secondaries
            .iter()
            .map(|(id, peer)| {
                let mut shown = peer_shown(peer, now);
                shown.insert("node_id".to_owned(), json!(id));
                shown.insert("state".to_owned(), json!(if peer.is_connected { peer.word } else { "idle" }));
                Value::Object(shown)
            })
            .collect()
    }

    /// The secondary's part of the status body. `at` is where its store stands.
    pub fn describe_secondary(&self, at: Position, now: Timestamp) -> Map<String, Value> {
        let inner = self.inner();
        let following = &inner.following;
        let primary = &following.primary;
        let mut shown = object(json!({
            "state": if following.connection == Connection::Ready { word_of(following.phase) } else { "idle" },
            "connection_state": following.connection.word(),
            "primary_cluster_addr": if primary.cluster_addr.is_empty() { following.known_addrs.first() } else { Some(&primary.cluster_addr) },
            "known_primary_cluster_addrs": following.known_addrs,
            "last_remote_wal": at.wal.0,
            "last_start": time_shown(following.started),
            "state_since": time_shown(following.since),
            "lag_records": primary.freshness.records_behind(),
            "lag_seconds": primary.lag_ms(now).map(seconds),
        }));
        let primaries = if primary.last_heartbeat.0 > 0 { vec![Value::Object(peer_shown(primary, now))] } else { Vec::new() };
        shown.insert("primaries".to_owned(), Value::Array(primaries));
        if let Some(error) = &following.last_error {
            shown.insert("last_error".to_owned(), json!(error));
            if shown["state"] == "idle" {
                shown.insert("state_reason".to_owned(), json!(error));
            }
        }
        if let Phase::Fetching(progress) = following.phase {
            let (done, total) = (progress.pages_done, progress.pages_total);
            shown.insert("sync_progress".to_owned(), json!(done));
            shown.insert("sync_total_keys".to_owned(), json!(total));
            shown.insert("merkle_sync_progress".to_owned(), json!({ "sync_progress": done, "sync_total_keys": total }));
            shown.insert("sync".to_owned(), json!({ "phase": "fetch", "pages_done": done, "pages_total": total, "rows": progress.rows }));
        }
        shown
    }
}

fn word_of(phase: Phase) -> &'static str {
    match phase {
        Phase::Idle => "idle",
        Phase::Comparing => "merkle-diff",
        Phase::Fetching(_) => "merkle-sync",
        Phase::Streaming => "stream-wals",
    }
}

#[expect(clippy::cast_precision_loss, reason = "a lag of more than 2^52 milliseconds may be shown roughly")]
fn seconds(ms: u64) -> f64 {
    ms as f64 / 1000.0
}

fn peer_shown(peer: &PeerStatus, now: Timestamp) -> Map<String, Value> {
    let whole_seconds = time_shown(Timestamp::from_secs(peer.last_heartbeat.secs())).replace(".000Z", "Z");
    let mut shown = object(json!({
        "api_address": peer.api_addr,
        "cluster_address": peer.cluster_addr,
        "connection_status": if peer.is_connected { "connected" } else { "disconnected" },
        "last_heartbeat": whole_seconds,
        "last_heartbeat_duration_ms": peer.heartbeat_ms.to_string(),
        "clock_skew_ms": peer.skew_ms.to_string(),
        "lag_records": peer.freshness.records_behind(),
        "lag_seconds": peer.lag_ms(now).map(seconds),
    }));
    // Before the copy was whole for the first time, it has no age: zero would say that it is fresh.
    if let Some(age) = peer.freshness.age_ms(now) {
        shown.insert("replication_primary_canary_age_ms".to_owned(), json!(age.to_string()));
    }
    shown
}

/// What never was is Go's zero time, as clients expect, not 1970.
fn time_shown(time: Timestamp) -> String {
    if time.0 == 0 { "0001-01-01T00:00:00Z".to_owned() } else { time.rfc3339() }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milliseconds_are_text_and_lag_is_a_number() {
        let status = Status::default();
        status.of_secondary("eu-west", |peer| {
            peer.is_connected = true;
            peer.heartbeat_ms = 11;
            peer.last_heartbeat = Timestamp(1_770_798_041_000);
            peer.freshness.mark(Timestamp(1000), WalIndex(4));
            peer.freshness.reach(WalIndex(4));
            peer.freshness.mark(Timestamp(2000), WalIndex(6));
        });
        let shown = Value::Object(status.describe_primary(Timestamp(3500)));
        let peer = &shown["secondaries"][0];
        assert_eq!(peer["node_id"], "eu-west");
        assert_eq!(peer["connection_status"], "connected");
        assert_eq!(peer["last_heartbeat"], "2026-02-11T08:20:41Z");
        assert_eq!(peer["last_heartbeat_duration_ms"], "11");
        assert_eq!(peer["replication_primary_canary_age_ms"], "2500");
        assert_eq!((&peer["lag_records"], &peer["lag_seconds"]), (&json!(2), &json!(2.5)));
    }

    #[test]
    fn a_copy_without_a_link_falls_behind() {
        let status = Status::default();
        status.of_secondary("eu-west", |peer| {
            peer.word = "stream-wals";
            peer.freshness.mark(Timestamp(1000), WalIndex(4));
            peer.freshness.reach(WalIndex(4));
        });
        status.stands(WalIndex(9));
        let shown = Value::Object(status.describe_primary(Timestamp(3500)));
        let peer = &shown["secondaries"][0];
        assert_eq!((&peer["state"], &peer["lag_records"], &peer["lag_seconds"]), (&json!("idle"), &json!(5), &json!(2.5)));
    }

    #[test]
    fn a_secondary_that_is_not_connected_is_idle_and_says_why() {
        let status = Status::default();
        status.known_addrs(vec!["https://p:8201".to_owned()]);
        status.connection(Connection::Connecting, None, Timestamp(1));
        let shown = Value::Object(status.describe_secondary(Position::default(), Timestamp(3)));
        assert_eq!((&shown["state"], &shown["connection_state"]), (&json!("idle"), &json!("connecting")));
        assert_eq!((&shown["primary_cluster_addr"], &shown["last_start"]), (&json!("https://p:8201"), &json!("0001-01-01T00:00:00Z")));
        assert_eq!((&shown["lag_seconds"], &shown["primaries"]), (&Value::Null, &json!([])));
        status.phase(Phase::Streaming, Timestamp(1));
        status.connection(Connection::TransientFailure, Some("no route".to_owned()), Timestamp(2));
        let shown = Value::Object(status.describe_secondary(Position::default(), Timestamp(3)));
        assert_eq!((&shown["state"], &shown["connection_state"]), (&json!("idle"), &json!("transient_failure")));
        assert_eq!((&shown["last_error"], &shown["state_reason"]), (&json!("no route"), &json!("no route")));
        status.connection(Connection::Connecting, None, Timestamp(3));
        assert!(status.lost_for().is_some(), "until there is a link again");
        status.connection(Connection::Ready, None, Timestamp(4));
        assert_eq!(status.describe_secondary(Position::default(), Timestamp(5))["state"], "stream-wals");
        assert_eq!((status.lost_for(), status.times_linked()), (None, 1));
    }
}
