//! A leader that is badly reached: who could lead faster.
//!
//! A commit takes as long as the leader's way to a majority and back. Raft replaces a leader that falls silent, and none whose packets
//! are late or lost one by one: everybody waits for it as long as that lasts. So a leader watches how long its heartbeats take. When they
//! stay slow it asks its followers for the same: each sends a few pings to all other voters and tells what a majority takes. If one is
//! much faster, it is named as heir in the status, and whoever decides who is active (`core::lifecycle`) hands over to it. Where all
//! lines are long (nodes on three continents) nobody is faster, and nothing happens. Nor does it where the leader is slow because of all
//! that it has to do, which would move with its office: a leader whose timers are late blames itself, and one that was handed leadership
//! keeps it for a while. Not here: leaders that died (`succession`).

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use openraft::ServerState;
use openraft::async_runtime::watch::WatchReceiver;
use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex as AsyncMutex, watch};
use tokio::time::{Instant, sleep, timeout};

use super::adapter::StateMachine;
use super::contact::RoundTrips;
use super::metrics;
use super::transport::{Call, Transport};
use super::types::{Seat, Types};
use super::wire::{decode, encode};
use crate::types::NodeId;

/// A leader looks at its lines once in so many heartbeats.
const LOOK_BEATS: u32 = 5;
/// So many looks in a row must find it badly reached before it asks: a busy moment is none.
const BAD_LOOKS: u32 = 3;
/// A follower must be faster by this factor: an election costs everybody a moment, and the next leader must not think the same.
const MUCH_FASTER: u32 = 4;
/// How many pings a follower sends to each of the others.
const PINGS: u32 = 10;
/// A leader whose timer is late by this part of a heartbeat's interval is busy.
const BUSY: u32 = 10;
/// Whoever was handed leadership keeps it for so many heartbeats.
const TENURE_BEATS: u32 = 300;
/// An heir is named for so many heartbeats; then the leader, if it still is one, looks again,
const NAMED_BEATS: u32 = 50;
/// after a pause of so many, and twice as many after each time in vain,
const PAUSE_BEATS: u32 = 20;
/// up to so many.
const PAUSE_BEATS_MAX: u32 = 1280;

/// What a follower answers.
#[derive(Serialize, Deserialize)]
struct Measured {
    micros: u64,
}

/// How long a voter takes to reach a majority and back, if these are its lines to the other voters; `None` if it cannot.
fn of_majority(mut others: Vec<Option<Duration>>) -> Option<Duration> {
    let voters = others.len() + 1;
    // Itself is one of the majority.
    let needed = voters / 2;
    others.sort_by_key(|line| line.unwrap_or(Duration::MAX));
    if needed == 0 { Some(Duration::ZERO) } else { others[needed - 1] }
}

/// The fastest of these, if it is much faster than this leader, who takes `mine`.
fn much_faster(measured: &[(NodeId, Duration)], mine: Duration) -> Option<NodeId> {
    let (id, took) = measured.iter().min_by_key(|(_, took)| *took)?;
    took.checked_mul(MUCH_FASTER).is_some_and(|least| least <= mine).then_some(*id)
}

/// What this node needs to measure its lines and to ask others for theirs.
pub struct Reach {
    pub raft: openraft::Raft<Types, StateMachine>,
    pub transport: Arc<dyn Transport>,
    /// A heartbeat's interval, which is also its life, and a ping's.
    pub beat: Duration,
    /// As long, one that was missed counts.
    pub missed: Duration,
    /// Held while this node measures.
    pub measuring: AsyncMutex<()>,
    /// When this node was asked last to take over.
    pub handed: Mutex<Option<Instant>>,
}

impl Reach {
    /// This node was asked to take over.
    pub fn note_handed(&self) {
        *self.handed.lock().expect("no holder of this lock panics") = Some(Instant::now());
    }

    fn was_just_handed(&self) -> bool {
        let handed = *self.handed.lock().expect("no holder of this lock panics");
        handed.is_some_and(|at| at.elapsed() < self.beat * TENURE_BEATS)
    }

    /// The other voters, and whether this node leads.
    fn others(&self) -> (Vec<(u64, Seat)>, bool) {
        let metrics = self.raft.metrics();
        let now = metrics.borrow_watched();
        let membership = now.membership_config.membership();
        let others = membership.voter_ids().filter(|id| *id != now.id);
        let seats = others.filter_map(|id| membership.get_node(&id).map(|seat| (id, seat.clone())));
        (seats.collect(), now.state == ServerState::Leader)
    }

    /// Measures the lines to the other voters, and answers what a majority takes.
    ///
    /// # Errors
    /// If it is measuring already, or no majority answers.
    pub async fn answer(&self) -> Result<Bytes, String> {
        let _one = self.measuring.try_lock().map_err(|_| "this node is measuring its lines already".to_owned())?;
        let (others, _) = self.others();
        let lines = join_all(others.iter().map(|(id, seat)| self.measure(*id, seat))).await;
        let took = of_majority(lines.into_iter().map(Some).collect()).ok_or("no majority answers")?;
        Ok(encode(&Measured { micros: u64::try_from(took.as_micros()).unwrap_or(u64::MAX) }))
    }

    async fn measure(&self, to: u64, seat: &Seat) -> Duration {
        let ping = |life: Duration| timeout(life, self.transport.call(NodeId(to), &seat.member, Call::Ping, Bytes::new()));
        // The first may have to open a connection, which is no property of the line.
        let _ = ping(self.missed).await;
        let mut sum = Duration::ZERO;
        for _ in 0..PINGS {
            let began = Instant::now();
            sum += if matches!(ping(self.beat).await, Ok(Ok(_))) { began.elapsed() } else { self.missed };
            sleep(self.beat / 2).await;
        }
        sum / PINGS
    }

    /// How long each follower takes to reach a majority, as far as they answer.
    async fn ask(&self, others: &[(u64, Seat)]) -> Vec<(NodeId, Duration)> {
        // Pings that are all missed take twice as long as those that are answered; and the line to this leader is bad.
        let patience = self.missed * 2 + self.beat * PINGS * 2;
        let asked = others.iter().map(|(id, seat)| async move {
            let answer = timeout(patience, self.transport.call(NodeId(*id), &seat.member, Call::Reach, Bytes::new())).await;
            let measured: Measured = decode(&answer.ok()?.ok()?).ok()?;
            Some((NodeId(*id), Duration::from_micros(measured.micros)))
        });
        join_all(asked).await.into_iter().flatten().collect()
    }

    /// Watches the lines while this node leads, and names an heir when it is badly reached and another is not.
    pub async fn watch(self: Arc<Self>, lines: RoundTrips, heir: watch::Sender<Option<NodeId>>) {
        let (mut bad_looks, mut pause) = (0, PAUSE_BEATS);
        loop {
            let began = Instant::now();
            sleep(self.beat * LOOK_BEATS).await;
            let is_busy = began.elapsed() > self.beat * LOOK_BEATS + self.beat / BUSY;
            let (others, is_leader) = self.others();
            if !is_leader {
                (bad_looks, pause) = (0, PAUSE_BEATS);
                metrics::reaches_majority(None);
                continue;
            }
            let mine = of_majority(others.iter().map(|(id, _)| lines.of(*id).mean()).collect());
            metrics::reaches_majority(mine);
            // A leader that has heard of no majority yet was just elected; one that hears of none any more is no leader for long.
            let Some(mine) = mine.filter(|mine| *mine >= self.beat / 2 && !is_busy && !self.was_just_handed()) else {
                bad_looks = 0;
                continue;
            };
            bad_looks += 1;
            if bad_looks < BAD_LOOKS {
                continue;
            }
            bad_looks = 0;
            let measured = self.ask(&others).await;
            if let Some(faster) = much_faster(&measured, mine) {
                tracing::warn!(?mine, ?measured, heir = %faster, "this leader is badly reached, and another node would not be");
                metrics::badly_reached();
                heir.send_replace(Some(faster));
                sleep(self.beat * NAMED_BEATS).await;
                if !bug!(153) {
                    heir.send_replace(None);
                }
            } else {
                tracing::info!(?mine, ?measured, "this leader is badly reached, and so would be every other node that answers");
            }
            sleep(self.beat * pause).await;
            pause = (pause * 2).min(PAUSE_BEATS_MAX);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_majority_takes_as_long_as_its_last_member() {
        let check = |others: &[Option<u64>], expected: Option<u64>| {
            let lines = others.iter().map(|line| line.map(Duration::from_millis)).collect();
            assert_eq!(of_majority(lines), expected.map(Duration::from_millis), "{others:?}");
        };
        check(&[], Some(0));
        check(&[Some(7)], Some(7));
        check(&[None], None);
        check(&[Some(300), Some(2)], Some(2));
        check(&[None, Some(2)], Some(2));
        check(&[None, None], None);
        check(&[Some(9), Some(2), Some(5)], Some(5));
        check(&[Some(9), Some(2), None, Some(5)], Some(5));
        check(&[Some(9), None, None, None], None);
    }

    #[test]
    fn only_a_much_faster_node_is_an_heir() {
        let heir = |measured: &[(u64, u64)], mine: u64| {
            let measured: Vec<_> = measured.iter().map(|(id, millis)| (NodeId(*id), Duration::from_millis(*millis))).collect();
            much_faster(&measured, Duration::from_millis(mine)).map(|id| id.0)
        };
        assert_eq!(heir(&[], 500), None);
        assert_eq!(heir(&[(2, 150), (3, 400)], 500), None);
        assert_eq!(heir(&[(2, 150), (3, 2)], 500), Some(3));
        assert_eq!(heir(&[(2, 20)], 80), Some(2));
        assert_eq!(heir(&[(2, 20)], 79), None);
        assert_eq!(heir(&[(2, u64::MAX)], 80), None);
    }
}
