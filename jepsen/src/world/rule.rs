//! What one direction of one pair of nodes does to packets: a pure function of the rule, the pair's own dice and the packet.
//!
//! Each pair draws from dice of its own, so a change in one pair does not shift what happens in another.
//! Not here: waiting and delivering (`switch`).

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::packet;
use crate::core::Rng;

/// Damage done to packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Damage {
    /// A flipped bit, which the checksums of TCP and IP notice.
    #[default]
    Plain,
    /// A flipped bit of the payload under a checksum made right again: only what runs above TCP can notice.
    Hidden,
}

/// How packets from one node to another fare. Chances are out of a million.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rule {
    /// Nothing passes.
    pub drop: bool,
    /// Each packet waits this long at least, in microseconds.
    pub delay_us: u64,
    /// And up to this much longer, in microseconds. Packets keep their order unless `reorder` says otherwise.
    pub jitter_us: u64,
    /// Lost.
    pub loss: u32,
    /// Arrives twice.
    pub duplicate: u32,
    /// Overtakes those that wait: delivered without delay.
    pub reorder: u32,
    /// Has a bit flipped.
    pub corrupt: u32,
    /// Which kind of flip.
    pub damage: Damage,
    /// Bytes per second; 0 is no limit.
    pub rate: u64,
}

/// The chance that is certain.
pub const CERTAIN: u32 = 1_000_000;
/// A limited link holds back this much before it loses packets, as a router would.
const QUEUE: Duration = Duration::from_millis(500);

impl Rule {
    /// The rule of a cut line.
    pub fn cut() -> Self {
        Self { drop: true, ..Self::default() }
    }

    /// Whether packets pass as if there were no rule.
    pub fn is_clear(&self) -> bool {
        *self == Self { damage: self.damage, ..Self::default() }
    }
}

/// One direction of one pair: its rule, its dice, and when its line is free again.
pub struct Direction {
    /// In force now.
    pub rule: Rule,
    rng: Rng,
    last_due: Duration,
    free_at: Duration,
}

/// A packet on its way.
pub struct Flight {
    /// When to deliver it, on the switch's clock.
    pub due: Duration,
    /// Its bytes.
    pub packet: Vec<u8>,
}

impl Direction {
    /// An open line with dice of its own.
    pub fn new(rng: Rng) -> Self {
        Self { rule: Rule::default(), rng, last_due: Duration::ZERO, free_at: Duration::ZERO }
    }

    /// What becomes of a packet that is sent at `now`: no flight, one, or two.
    pub fn pass(&mut self, now: Duration, packet: &[u8]) -> Vec<Flight> {
        if self.rule.drop || self.happens(self.rule.loss) {
            return Vec::new();
        }
        let mut packet = packet.to_vec();
        if self.happens(self.rule.corrupt) {
            packet::corrupt(&mut packet, self.rng.next_u64(), self.rule.damage == Damage::Hidden);
        }
        let Some(sent) = self.transmit(now, packet.len()) else { return Vec::new() };
        let due = if self.happens(self.rule.reorder) { sent } else { self.in_order(sent) };
        let mut flights = vec![Flight { due, packet }];
        if self.happens(self.rule.duplicate) {
            flights.push(Flight { due, packet: flights[0].packet.clone() });
        }
        flights
    }

    fn happens(&mut self, chance: u32) -> bool {
        chance > 0 && self.rng.below(u64::from(CERTAIN)) < u64::from(chance)
    }

    /// When the last byte has left, on a line of limited rate; `None` if too many wait.
    fn transmit(&mut self, now: Duration, bytes: usize) -> Option<Duration> {
        if self.rule.rate == 0 {
            return Some(now);
        }
        let begin = self.free_at.max(now);
        if begin - now > QUEUE {
            return None;
        }
        let nanos = u64::try_from(bytes).unwrap_or(u64::MAX).saturating_mul(1_000_000_000) / self.rule.rate;
        self.free_at = begin + Duration::from_nanos(nanos);
        Some(self.free_at)
    }

    fn in_order(&mut self, sent: Duration) -> Duration {
        let jitter = self.rng.below(self.rule.jitter_us);
        let due = (sent + Duration::from_micros(self.rule.delay_us + jitter)).max(self.last_due);
        self.last_due = due;
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(rule: Rule) -> Direction {
        Direction { rule, ..Direction::new(Rng::new(7)) }
    }

    /// Sends a thousand packets, one each millisecond; for each: when it arrives, as often as it does.
    fn thousand(rule: Rule) -> Vec<Vec<Duration>> {
        let mut line = line(rule);
        (0..1000).map(|n| line.pass(Duration::from_millis(n), &[0x45; 100]).iter().map(|flight| flight.due).collect()).collect()
    }

    #[test]
    fn an_open_line_delivers_at_once_and_a_cut_one_never() {
        assert!(thousand(Rule::default()).iter().enumerate().all(|(n, dues)| *dues == [Duration::from_millis(n as u64)]));
        assert!(thousand(Rule::cut()).iter().all(Vec::is_empty));
    }

    #[test]
    fn a_tenth_is_a_tenth() {
        let lost = thousand(Rule { loss: 100_000, ..Rule::default() }).iter().filter(|dues| dues.is_empty()).count();
        let twice = thousand(Rule { duplicate: 100_000, ..Rule::default() }).iter().filter(|dues| dues.len() == 2).count();
        assert!((60..140).contains(&lost) && (60..140).contains(&twice), "{lost} {twice}");
    }

    #[test]
    fn jitter_keeps_the_order_and_reordering_does_not() {
        let rule = Rule { delay_us: 20_000, jitter_us: 30_000, ..Rule::default() };
        let dues: Vec<Duration> = thousand(rule.clone()).concat();
        assert!(dues.is_sorted() && dues[0] >= Duration::from_millis(20));
        assert!(!thousand(Rule { reorder: 100_000, ..rule }).concat().is_sorted());
    }

    #[test]
    fn a_slow_line_passes_its_rate_and_loses_what_waits_too_long() {
        let dues = thousand(Rule { rate: 10_000, ..Rule::default() }).concat();
        let last = dues.last().unwrap().as_secs_f64();
        let rate = dues.len() as f64 * 100.0 / last;
        assert!((9_000.0..10_100.0).contains(&rate), "{rate} bytes per second");
        assert!(dues.len() < 1000);
    }

    #[test]
    fn equal_seeds_give_equal_fates() {
        let rule = Rule { loss: 300_000, jitter_us: 5000, duplicate: 50_000, ..Rule::default() };
        assert_eq!(thousand(rule.clone()), thousand(rule));
    }
}
