//! When nodes last heard of each other: a leader of its peers, a follower of its leader. Read on demand; kept as one number per peer.
//!
//! Not here: what is healthy (`core::autopilot`), leases and elections, which openraft measures for itself.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use openraft::{Instant as _, RaftMetrics};
use tokio::time::Instant;

use super::types::{LogId, Types};
use crate::types::{Index, NodeId, Term};

/// How a peer answers this leader.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Contact {
    /// How long ago the last message that it answered was sent; `None` if it has answered none yet.
    pub answered: Option<Duration>,
    /// How long the last heartbeat took, there and back.
    pub round_trip: Option<Duration>,
    /// The last entry that it is known to hold.
    pub matched: Index,
    /// The term of that entry.
    pub matched_term: Term,
}

/// When this node last heard of others.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Contacts {
    /// On a follower: how long ago its leader's last message arrived.
    pub leader: Option<Duration>,
    /// The last entry in this node's log.
    pub last: Index,
    /// On a leader: the other nodes, learners too.
    pub peers: BTreeMap<NodeId, Contact>,
}

/// A duration that is stored by one task and read by others; none at first.
#[derive(Debug, Default)]
pub struct Gauged(AtomicU64);

impl Gauged {
    pub fn set(&self, time: Duration) {
        self.0.store(u64::try_from(time.as_micros()).unwrap_or(u64::MAX).max(1), Ordering::Relaxed);
    }

    pub fn get(&self) -> Option<Duration> {
        match self.0.load(Ordering::Relaxed) {
            0 => None,
            micros => Some(Duration::from_micros(micros)),
        }
    }
}

/// How long heartbeats to one peer take, there and back.
#[derive(Debug, Default)]
pub struct Line {
    last: Gauged,
    mean: Gauged,
}

/// Each heartbeat moves the mean by this part of the difference: at ten a second, it is of the last second or two.
const WEIGHT: f64 = 1.0 / 8.0;

impl Line {
    /// A heartbeat was answered.
    pub fn answered(&self, took: Duration) {
        self.last.set(took);
        self.weigh(took);
    }

    /// One was not, or not in time; it counts as if it had taken so long. Not before the first answer: a peer that has just joined, to which
    /// a connection must be opened, says nothing of the line.
    pub fn missed(&self, counts_as: Duration) {
        if self.mean.get().is_some() {
            self.weigh(counts_as);
        }
    }

    fn weigh(&self, sample: Duration) {
        let mean = self.mean.get().map_or(sample, |mean| mean.mul_f64(1.0 - WEIGHT) + sample.mul_f64(WEIGHT));
        self.mean.set(mean);
    }

    /// How long the last one that was answered took; `None` before the first.
    pub fn last(&self) -> Option<Duration> {
        self.last.get()
    }

    /// How long they take of late, those that were missed included; `None` before the first.
    pub fn mean(&self) -> Option<Duration> {
        self.mean.get()
    }
}

/// The lines of a leader, by peer.
#[derive(Clone, Debug, Default)]
pub struct RoundTrips(Arc<Mutex<BTreeMap<u64, Arc<Line>>>>);

impl RoundTrips {
    /// Forgets what was known of the line to `peer`, and returns where it is kept from now on.
    pub fn begin(&self, peer: u64) -> Arc<Line> {
        let line = Arc::<Line>::default();
        self.0.lock().expect("no holder of this lock panics").insert(peer, line.clone());
        line
    }

    /// The line to `peer`.
    pub fn of(&self, peer: u64) -> Arc<Line> {
        self.0.lock().expect("no holder of this lock panics").entry(peer).or_default().clone()
    }
}

/// When the leader's last message arrived.
#[derive(Debug)]
pub struct Heard {
    began: Instant,
    at: Gauged,
}

impl Default for Heard {
    fn default() -> Self {
        Self { began: Instant::now(), at: Gauged::default() }
    }
}

impl Heard {
    /// Just now.
    pub fn note(&self) {
        self.at.set(self.began.elapsed());
    }

    /// How long ago.
    pub fn ago(&self) -> Option<Duration> {
        self.at.get().map(|at| self.began.elapsed().saturating_sub(at))
    }
}

/// The other nodes, as a leader knows them: when the last message was sent that they answered, how long ago, and the last entry that they
/// are known to hold. Nobody on a node that does not lead.
pub fn followers(now: &RaftMetrics<Types>) -> impl Iterator<Item = (u64, Option<Duration>, Option<LogId>)> {
    let others = now.heartbeat.iter().flatten().filter(|(id, _)| **id != now.id);
    others.map(|(id, sent)| {
        let matched = now.replication.as_ref().and_then(|peers| peers.get(id).cloned().flatten());
        (*id, sent.as_ref().map(|sent| sent.elapsed()), matched)
    })
}

/// What openraft and the transport know now.
pub fn contacts(now: &RaftMetrics<Types>, round_trips: &RoundTrips, heard: &Heard) -> Contacts {
    let peers = followers(now).map(|(id, answered, matched)| {
        let contact = Contact {
            answered,
            round_trip: round_trips.of(id).last(),
            matched: Index(matched.as_ref().map_or(0, |id| id.index)),
            matched_term: Term(matched.as_ref().map_or(0, |id| *id.leader_id)),
        };
        (NodeId(id), contact)
    });
    let is_leader = now.heartbeat.is_some();
    Contacts { leader: if is_leader { None } else { heard.ago() }, last: Index(now.last_log_index.unwrap_or(0)), peers: peers.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seen on a slow machine: a leader handed over two seconds after a node had joined, for the first heartbeat that it had missed.
    #[test]
    fn what_is_missed_counts_from_the_first_answer_on() {
        let (line, missed, fast) = (Line::default(), Duration::from_secs(1), Duration::from_millis(2));
        line.missed(missed);
        line.missed(missed);
        assert_eq!(line.mean(), None);
        line.answered(fast);
        assert_eq!((line.last(), line.mean()), (Some(fast), Some(fast)));
        line.missed(missed);
        assert!(line.last() == Some(fast) && line.mean() > Some(missed / 10), "{line:?}");
    }
}
