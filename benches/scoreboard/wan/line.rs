//! What a long line does to bytes: when those that arrive now come out at the other end. Pure: time goes in, time comes out.
//!
//! A line has a delay, a rate, and a share of segments that are lost. TCP shows a loss as a pause: what was sent after the lost segment
//! waits until it came again. Bytes are never lost, doubled, or overtaken.
//! Not here: congestion windows. A connection that has carried data for a while over a line that is not full is not held by its window.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Bytes of a segment: an Ethernet frame less the headers of IP and TCP with timestamps.
pub const SEGMENT_BYTES: usize = 1448;
/// The least that Linux waits before it sends a segment again, beyond the round trip.
const RETRANSMIT_MIN: Duration = Duration::from_millis(200);

/// How the line is at the moment; the same in both directions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// One way.
    pub delay: Duration,
    /// 0: as fast as the machine.
    pub bytes_per_s: u64,
    /// Share of segments that are lost once.
    pub loss: f64,
}

impl Line {
    /// How long a lost segment holds up those behind it: nothing tells its sender before the timer does. The worst case, as it is for
    /// the last segment of a burst; those in the middle of one are missed after a round trip.
    pub fn stall(&self) -> Duration {
        2 * self.delay + RETRANSMIT_MIN
    }
}

/// One direction of a line, shared by its connections: they queue for its rate.
#[derive(Debug)]
pub struct Direction {
    /// When the last byte so far has been put on the line.
    free_at: Duration,
    random: u64,
    /// Segments that were lost so far.
    pub stalls: u64,
}

impl Direction {
    /// Loses others than a direction with another seed, and the same in each run.
    pub fn new(seed: u64) -> Self {
        Self { free_at: Duration::ZERO, random: seed | 1, stalls: 0 }
    }

    /// When `bytes` that arrive at `now` have come out whole. `after` is when what this connection sent before comes out.
    pub fn arrival(&mut self, line: &Line, now: Duration, bytes: usize, after: Duration) -> Duration {
        let mut leaves = self.free_at.max(now);
        if line.bytes_per_s > 0 {
            leaves += Duration::from_secs_f64(bytes as f64 / line.bytes_per_s as f64);
            self.free_at = leaves;
        }
        let mut arrives = leaves + line.delay;
        for _ in 0..bytes.div_ceil(SEGMENT_BYTES) {
            if self.is_lost(line.loss) {
                self.stalls += 1;
                arrives += line.stall();
            }
        }
        arrives.max(after)
    }

    fn is_lost(&mut self, loss: f64) -> bool {
        if loss <= 0.0 {
            return false;
        }
        // xorshift64*
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        let share = (self.random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) as f64 / (1_u64 << 53) as f64;
        share < loss
    }
}
