//! The primary's side of one stream. Pure: a test is a list of events and the actions expected.
//!
//! A secondary says where it stands. If our records reach back to exactly that position, records follow it; else the stream gets a
//! snapshot to compare with, which stays the same however long the comparing takes. Nothing is read ahead of what the link takes,
//! so a slow secondary costs no memory.
//!
//! Not here: reading the store, timers, the network (`session`).

use std::collections::VecDeque;

use bytes::Bytes;

use super::link::{FromPrimary, FromSecondary};
use crate::machine::{PageId, PageSum};
use crate::types::limits::FRAME_BYTES_MAX;
use crate::types::{Generation, Position, Timestamp, WalIndex};

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum ShipEvent {
    /// The secondary said something.
    Said(FromSecondary),
    /// Answers [`ShipAction::LookUp`].
    Found(Option<Position>),
    /// Answers [`ShipAction::TakeSnapshot`]: its position.
    Snapshot(Position),
    /// Answers [`ShipAction::Compare`].
    Differing(Vec<PageId>),
    /// Answers [`ShipAction::ReadRecords`]; `None` if they no longer reach back.
    Read(Option<Vec<Bytes>>),
    /// Our history reaches this far.
    Grew(Position),
    /// The link took all that was sent.
    Drained,
    /// A second went by.
    Tick,
}

/// What to do.
#[derive(Clone, Debug, PartialEq)]
pub enum ShipAction {
    /// Look up our position with this number.
    LookUp(WalIndex),
    /// Hold a snapshot for this stream.
    TakeSnapshot,
    /// It is no longer needed.
    DropSnapshot,
    /// Compare these sums with the snapshot's.
    Compare(Vec<PageSum>),
    /// Send the snapshot's rows of a page, in parts.
    SendPage(PageId),
    /// Read records that follow this position.
    ReadRecords {
        /// What they follow.
        after: Position,
        /// About how many bytes.
        bytes_max: usize,
    },
    /// Send this.
    Send(FromPrimary),
    /// Send a heartbeat; `echo` answers the secondary's.
    Beat {
        /// The secondary's time, or zero.
        echo: Timestamp,
    },
    /// The secondary is committed up to here.
    Acked(Position),
    /// Another cluster was promoted: take no more shared writes.
    Fence(Generation),
    /// End the stream.
    Close(String),
}

#[derive(Clone, Debug, PartialEq)]
enum State {
    /// The secondary has not said where it stands.
    Waiting,
    LookingUp {
        have: Position,
        knows: Generation,
    },
    Snapshotting {
        why: &'static str,
    },
    Resyncing {
        to_send: VecDeque<PageId>,
    },
    Streaming {
        sent: Position,
        is_reading: bool,
    },
    Closed,
}

/// One stream to one secondary.
#[derive(Clone, Debug)]
pub struct Shipper {
    generation: Generation,
    grown: Position,
    state: State,
    is_drained: bool,
}

impl Shipper {
    /// A stream that was just accepted by a primary of `generation` that stands at `grown`.
    pub fn new(generation: Generation, grown: Position) -> Self {
        Self { generation, grown, state: State::Waiting, is_drained: true }
    }

    /// The word for its state in the status.
    pub fn word(&self) -> &'static str {
        match &self.state {
            State::Streaming { .. } => "stream-wals",
            State::Resyncing { to_send } if to_send.is_empty() => "merkle-diff",
            State::Snapshotting { .. } | State::Resyncing { .. } => "merkle-sync",
            State::Waiting | State::LookingUp { .. } | State::Closed => "idle",
        }
    }

    /// Takes an event and says what follows.
    pub fn step(&mut self, event: ShipEvent, out: &mut Vec<ShipAction>) {
        if self.state == State::Closed {
            return;
        }
        match event {
            ShipEvent::Said(said) => self.said(said, out),
            ShipEvent::Found(ours) => self.found(ours, out),
            ShipEvent::Snapshot(snapshot) => {
                if let State::Snapshotting { why } = self.state {
                    self.state = State::Resyncing { to_send: VecDeque::new() };
                    self.send(FromPrimary::Resync { why: why.to_owned(), generation: self.generation, snapshot }, out);
                }
            }
            ShipEvent::Differing(pages) => self.send(FromPrimary::Differing { pages }, out),
            ShipEvent::Read(records) => self.read(records, out),
            ShipEvent::Grew(_) if bug!(143) && !self.is_drained => {}
            ShipEvent::Grew(upto) => self.grown = upto,
            ShipEvent::Drained => self.is_drained = true,
            ShipEvent::Tick => out.push(ShipAction::Beat { echo: Timestamp(0) }),
        }
        self.go_on(out);
    }

    fn said(&mut self, said: FromSecondary, out: &mut Vec<ShipAction>) {
        match said {
            FromSecondary::Hello { have, generation, filling, .. } => {
                if generation > self.generation {
                    if !bug!(38) {
                        out.push(ShipAction::Fence(generation));
                    }
                    // Tells our generation, so that the secondary can tell its operator.
                    out.push(ShipAction::Beat { echo: Timestamp(0) });
                    self.close("this primary was replaced by one of a later generation", out);
                } else {
                    out.push(ShipAction::DropSnapshot);
                    if filling {
                        self.resync("the secondary is filled for the first time", out);
                    } else {
                        self.state = State::LookingUp { have, knows: generation };
                        out.push(ShipAction::LookUp(have.wal));
                    }
                }
            }
            FromSecondary::Ack { upto } => out.push(ShipAction::Acked(upto)),
            FromSecondary::Heartbeat { sent } => out.push(ShipAction::Beat { echo: sent }),
            FromSecondary::ComparePages { pages } => match self.state {
                State::Resyncing { .. } if pages.len() == crate::machine::PAGES => out.push(ShipAction::Compare(pages)),
                _ => self.close("pages to compare came out of turn", out),
            },
            FromSecondary::FetchPages { pages } => match &mut self.state {
                State::Resyncing { to_send } if to_send.len() + pages.len() <= crate::machine::PAGES => to_send.extend(pages),
                _ => self.close("pages were asked for out of turn", out),
            },
        }
    }

    fn found(&mut self, ours: Option<Position>, out: &mut Vec<ShipAction>) {
        let State::LookingUp { have, knows } = self.state else { return };
        match ours {
            Some(ours) if ours == have || bug!(50) => {
                self.state = State::Streaming { sent: have, is_reading: false };
                self.send(FromPrimary::Streaming { generation: self.generation, position: self.grown }, out);
                if knows < self.generation {
                    // Before the first record there is: whoever is promoted next must be of a later generation than this primary.
                    self.send(FromPrimary::Records { generation: self.generation, after: have, records: Vec::new() }, out);
                }
            }
            Some(_) => self.resync("the histories differ", out),
            None if bug!(34) && have.wal < self.grown.wal => {
                // What was trimmed is skipped: the stream goes on from where we stand.
                self.state = State::Streaming { sent: self.grown, is_reading: false };
                self.send(FromPrimary::Streaming { generation: self.generation, position: self.grown }, out);
            }
            None if have.wal > self.grown.wal => self.resync("the secondary is ahead of this primary", out),
            None => self.resync("the records kept no longer reach back to the secondary's position", out),
        }
    }

    fn read(&mut self, records: Option<Vec<Bytes>>, out: &mut Vec<ShipAction>) {
        let State::Streaming { sent, is_reading: is_reading @ true } = &mut self.state else { return };
        *is_reading = false;
        match records {
            None => self.resync("the records kept no longer reach back to the secondary's position", out),
            Some(records) if records.is_empty() => {}
            Some(records) => {
                let after = *sent;
                *sent = records.iter().fold(after, |position, record| position.then(record));
                if bug!(99) {
                    out.push(ShipAction::Acked(*sent));
                }
                self.send(FromPrimary::Records { generation: self.generation, after, records }, out);
            }
        }
    }

    fn resync(&mut self, why: &'static str, out: &mut Vec<ShipAction>) {
        self.state = State::Snapshotting { why };
        out.push(ShipAction::TakeSnapshot);
    }

    /// One thing at a time, when the link took what was before.
    fn go_on(&mut self, out: &mut Vec<ShipAction>) {
        if !self.is_drained {
            return;
        }
        match &mut self.state {
            State::Streaming { sent, is_reading: is_reading @ false } if sent.wal < self.grown.wal => {
                *is_reading = true;
                out.push(ShipAction::ReadRecords { after: *sent, bytes_max: FRAME_BYTES_MAX });
            }
            State::Resyncing { to_send } => {
                if let Some(page) = to_send.pop_front() {
                    self.is_drained = false;
                    out.push(ShipAction::SendPage(page));
                }
            }
            _ => {}
        }
    }

    fn send(&mut self, message: FromPrimary, out: &mut Vec<ShipAction>) {
        self.is_drained = false;
        out.push(ShipAction::Send(message));
    }

    fn close(&mut self, why: &str, out: &mut Vec<ShipAction>) {
        self.state = State::Closed;
        out.push(ShipAction::Close(why.to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::HistoryHash;

    const OURS: Generation = Generation(3);

    fn history(upto: u8) -> (Vec<Bytes>, Position) {
        let records: Vec<Bytes> = (1..=upto).map(|n| Bytes::from(vec![n; 4])).collect();
        let position = records.iter().fold(Position::default(), |position, record| position.then(record));
        (records, position)
    }
    fn hello(have: Position, generation: u64, filling: bool) -> ShipEvent {
        let (api_addr, cluster_addr) = (String::new(), String::new());
        ShipEvent::Said(FromSecondary::Hello { have, generation: Generation(generation), filling, api_addr, cluster_addr })
    }
    fn step(shipper: &mut Shipper, event: ShipEvent) -> Vec<ShipAction> {
        let mut out = Vec::new();
        shipper.step(event, &mut out);
        out
    }
    /// What the first answer to a hello is, given what our records say of its position.
    #[track_caller]
    fn check(have: Position, ours: Option<Position>, expected: &str) {
        let (_, grown) = history(9);
        let mut shipper = Shipper::new(OURS, grown);
        assert_eq!(step(&mut shipper, hello(have, 3, false)), [ShipAction::DropSnapshot, ShipAction::LookUp(have.wal)]);
        let actions = step(&mut shipper, ShipEvent::Found(ours));
        let answer = match &actions[0] {
            ShipAction::Send(FromPrimary::Streaming { position, generation: OURS }) if *position == grown => "streaming",
            ShipAction::TakeSnapshot => match shipper.state {
                State::Snapshotting { why } => why,
                _ => "no reason",
            },
            _ => "something else",
        };
        assert_eq!(answer, expected);
        assert_eq!(actions.len(), 1);
    }

    #[test]
    fn a_secondary_of_an_earlier_generation_is_told_ours_without_a_record() {
        let (_, five) = history(5);
        let mut shipper = Shipper::new(OURS, five);
        step(&mut shipper, hello(five, 2, false));
        let streaming = ShipAction::Send(FromPrimary::Streaming { generation: OURS, position: five });
        let told = ShipAction::Send(FromPrimary::Records { generation: OURS, after: five, records: Vec::new() });
        assert_eq!(step(&mut shipper, ShipEvent::Found(Some(five))), [streaming, told]);
    }

    #[test]
    fn records_follow_a_position_that_is_ours_and_no_other() {
        let (_, five) = history(5);
        let parted = Position { wal: five.wal, history: HistoryHash([1; 32]) };
        check(five, Some(five), "streaming");
        check(parted, Some(five), "the histories differ");
        check(five, None, "the records kept no longer reach back to the secondary's position");
        check(Position { wal: WalIndex(70), ..five }, None, "the secondary is ahead of this primary");
        check(Position::default(), Some(Position::default()), "streaming");
    }

    #[test]
    fn a_secondary_that_is_filled_is_compared_whatever_its_position() {
        let mut shipper = Shipper::new(OURS, Position::default());
        assert_eq!(step(&mut shipper, hello(Position::default(), 0, true)), [ShipAction::DropSnapshot, ShipAction::TakeSnapshot]);
    }

    #[test]
    fn a_later_generation_fences_this_primary() {
        let mut shipper = Shipper::new(OURS, Position::default());
        let actions = step(&mut shipper, hello(Position::default(), 4, false));
        assert_eq!(actions[0], ShipAction::Fence(Generation(4)));
        assert_eq!(actions[1], ShipAction::Beat { echo: Timestamp(0) });
        assert!(matches!(actions[2], ShipAction::Close(_)));
        assert_eq!(step(&mut shipper, ShipEvent::Tick), []);
    }

    /// Of a primary with two records, to a secondary that has both; and their position.
    fn streaming() -> (Shipper, Position) {
        let (_, two) = history(2);
        let mut shipper = Shipper::new(OURS, two);
        step(&mut shipper, hello(two, 3, false));
        step(&mut shipper, ShipEvent::Found(Some(two)));
        (shipper, two)
    }

    #[test]
    fn records_are_read_only_when_the_link_took_those_before() {
        let (records, grown) = history(4);
        let (mut shipper, two) = streaming();
        assert_eq!(step(&mut shipper, ShipEvent::Drained), []);
        let read = ShipAction::ReadRecords { after: two, bytes_max: FRAME_BYTES_MAX };
        assert_eq!(step(&mut shipper, ShipEvent::Grew(grown)), [read]);
        assert_eq!(step(&mut shipper, ShipEvent::Grew(grown)), []);
        let send = FromPrimary::Records { generation: OURS, after: two, records: records[2..3].to_vec() };
        assert_eq!(step(&mut shipper, ShipEvent::Read(Some(records[2..3].to_vec()))), [ShipAction::Send(send)]);
        let (_, three) = history(3);
        assert_eq!(step(&mut shipper, ShipEvent::Drained), [ShipAction::ReadRecords { after: three, bytes_max: FRAME_BYTES_MAX }]);
        assert_eq!(step(&mut shipper, ShipEvent::Read(None)), [ShipAction::TakeSnapshot]);
    }

    #[test]
    fn what_grows_while_the_link_is_busy_is_read_when_it_is_not() {
        let (_, grown) = history(4);
        let (mut shipper, two) = streaming();
        assert_eq!(step(&mut shipper, ShipEvent::Grew(grown)), []);
        let read = ShipAction::ReadRecords { after: two, bytes_max: FRAME_BYTES_MAX };
        assert_eq!(step(&mut shipper, ShipEvent::Drained), [read]);
    }

    #[test]
    fn pages_go_one_at_a_time_and_only_while_comparing() {
        let mut shipper = Shipper::new(OURS, Position::default());
        step(&mut shipper, hello(Position::default(), 0, true));
        let resync = step(&mut shipper, ShipEvent::Snapshot(Position::default()));
        assert!(matches!(&resync[0], ShipAction::Send(FromPrimary::Resync { .. })));
        step(&mut shipper, ShipEvent::Drained);
        let sums = vec![PageSum::default(); crate::machine::PAGES];
        let compare = FromSecondary::ComparePages { pages: sums.clone() };
        assert_eq!(step(&mut shipper, ShipEvent::Said(compare)), [ShipAction::Compare(sums)]);
        step(&mut shipper, ShipEvent::Differing(vec![PageId(1), PageId(2)]));
        let fetch = FromSecondary::FetchPages { pages: vec![PageId(1), PageId(2)] };
        assert_eq!(step(&mut shipper, ShipEvent::Said(fetch.clone())), []);
        assert_eq!(step(&mut shipper, ShipEvent::Drained), [ShipAction::SendPage(PageId(1))]);
        assert_eq!(step(&mut shipper, ShipEvent::Drained), [ShipAction::SendPage(PageId(2))]);
        assert_eq!(step(&mut shipper, ShipEvent::Drained), []);

        let mut streaming = Shipper::new(OURS, Position::default());
        step(&mut streaming, hello(Position::default(), 0, false));
        step(&mut streaming, ShipEvent::Found(Some(Position::default())));
        assert!(matches!(step(&mut streaming, ShipEvent::Said(fetch))[0], ShipAction::Close(_)));
    }
}
