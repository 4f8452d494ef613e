//! The secondary's side of one stream. Pure: a test is a list of events and the actions expected.
//!
//! Frames become entries of our own Raft group, one in flight, as many records in each as fit; what is committed is acknowledged.
//! `apply` is the judge of order and generation: if it refuses a frame, we say again where we stand.
//!
//! Not here: comparing (`resync`), reconnecting (`follower`).

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use super::link::{FromPrimary, FromSecondary};
use super::resync::{Need, Progress, Resync};
use crate::machine::{Command, PageId, PageSum, Refusal};
use crate::types::limits::FRAME_BYTES_MAX;
use crate::types::{Generation, Position, Timestamp};

/// Records and rows that wait to be proposed, in bytes, before the stream is no longer read.
const WAITING_BYTES_MAX: usize = 4 * FRAME_BYTES_MAX;

/// How often in a row the state machine may find a frame out of order before the stream is given up.
const OUT_OF_ORDER_MAX: u32 = 2;

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum ApplyEvent {
    /// The stream is open.
    Connected,
    /// The primary said something.
    Said(FromPrimary),
    /// Answers [`ApplyAction::ReadOwnSums`].
    OwnSums(Vec<PageSum>),
    /// Answers [`ApplyAction::ReadOwnRows`].
    OwnRows(Vec<(Arc<str>, Bytes)>),
    /// What was proposed is committed; our shared history reaches this far.
    Committed(Position),
    /// The state machine refused what was proposed.
    Refused(Refusal),
    /// What became of it is not known, or we no longer lead.
    Lost(String),
}

/// What to do.
#[derive(Clone, Debug, PartialEq)]
pub enum ApplyAction {
    /// Say where we stand, as the store has it now.
    Greet,
    /// Send this.
    Send(FromSecondary),
    /// Read the sums of our own pages.
    ReadOwnSums,
    /// Read our own rows of a page.
    ReadOwnRows(PageId),
    /// Propose this; one at a time.
    Propose(Command),
    /// The primary told its time, place and addresses.
    Beat {
        /// The primary's time.
        now: Timestamp,
        /// Our own time that this answers, or zero: then answer it.
        echo: Timestamp,
        /// Where the primary stands.
        position: Position,
        /// Its nodes.
        cluster_addrs: Vec<String>,
        /// Its active node.
        api_addr: String,
        /// Its active node.
        cluster_addr: String,
    },
    /// End the stream.
    Close(String),
}

/// What the status shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Phase {
    /// Not connected, or not yet answered.
    #[default]
    Idle,
    /// Comparing with a snapshot.
    Comparing,
    /// Fetching what differs.
    Fetching(Progress),
    /// Replaying records.
    Streaming,
}

#[derive(Clone, Debug)]
enum State {
    Greeting,
    Streaming(VecDeque<Frame>),
    Resyncing(Box<Resync>, VecDeque<Rows>),
    Closed,
}

#[derive(Clone, Debug)]
struct Frame {
    generation: Generation,
    after: Position,
    records: Vec<Bytes>,
    bytes: usize,
}

/// Rows whose page's own rows are not read yet.
#[derive(Clone, Debug)]
struct Rows {
    page: PageId,
    rows: Vec<(String, Bytes)>,
    is_last: bool,
}

/// One stream from the primary.
#[derive(Clone, Debug)]
pub struct Applier {
    state: State,
    is_proposing: bool,
    /// A snapshot to compare with, once what is in flight is settled.
    snapshot: Option<(Position, Generation)>,
    /// Of pages that differ, these are made equal before all others.
    first: Arc<[PageId]>,
    out_of_order: u32,
}

impl Default for Applier {
    fn default() -> Self {
        Self::new(Arc::default())
    }
}

impl Applier {
    /// A stream that was not answered yet. Of pages that differ, those in `first` are made equal before all others.
    pub fn new(first: Arc<[PageId]>) -> Self {
        Self { state: State::Greeting, is_proposing: false, snapshot: None, first, out_of_order: 0 }
    }

    /// What the status shows.
    pub fn phase(&self) -> Phase {
        match &self.state {
            State::Greeting | State::Closed => Phase::Idle,
            State::Streaming(_) => Phase::Streaming,
            State::Resyncing(resync, _) if resync.progress().pages_total == 0 => Phase::Comparing,
            State::Resyncing(resync, _) => Phase::Fetching(resync.progress()),
        }
    }

    /// Whether the stream may be read on: false while too much waits to be proposed.
    pub fn is_hungry(&self) -> bool {
        match &self.state {
            State::Streaming(queue) => queue.iter().map(|frame| frame.bytes).sum::<usize>() < WAITING_BYTES_MAX,
            State::Resyncing(resync, _) => resync.waiting_bytes() < WAITING_BYTES_MAX,
            State::Greeting | State::Closed => true,
        }
    }

    /// Takes an event and says what follows.
    pub fn step(&mut self, event: ApplyEvent, out: &mut Vec<ApplyAction>) {
        if matches!(self.state, State::Closed) {
            return;
        }
        match event {
            ApplyEvent::Connected => out.push(ApplyAction::Greet),
            ApplyEvent::Said(said) => self.said(said, out),
            ApplyEvent::OwnSums(pages) => self.resync(out, |resync, needs| resync.own_sums(pages, needs)),
            ApplyEvent::OwnRows(rows) => {
                if let State::Resyncing(resync, _) = &mut self.state {
                    resync.own_rows(rows);
                }
                self.rows_in(out);
            }
            ApplyEvent::Committed(position) => self.committed(position, out),
            ApplyEvent::Refused(refusal) => self.refused(&refusal, out),
            ApplyEvent::Lost(why) => self.close(why, out),
        }
        self.propose_records(out);
    }

    fn said(&mut self, said: FromPrimary, out: &mut Vec<ApplyAction>) {
        match said {
            FromPrimary::Streaming { .. } => self.state = State::Streaming(VecDeque::new()),
            FromPrimary::Resync { generation, snapshot, .. } => {
                self.state = State::Greeting;
                self.snapshot = Some((snapshot, generation));
                self.compare(out);
            }
            FromPrimary::Records { generation, after, records } => {
                // Anything else: sent before the primary heard our last greeting.
                if let State::Streaming(queue) = &mut self.state {
                    let bytes = records.iter().map(Bytes::len).sum();
                    queue.push_back(Frame { generation, after, records, bytes });
                }
            }
            FromPrimary::Differing { pages } => self.resync(out, |resync, needs| resync.differing(pages, needs)),
            FromPrimary::Rows { page, rows, is_last } => {
                if let State::Resyncing(_, waiting) = &mut self.state {
                    waiting.push_back(Rows { page, rows, is_last });
                }
                self.rows_in(out);
            }
            FromPrimary::Heartbeat { now, echo, position, generation: _, cluster_addrs, api_addr, cluster_addr } => {
                out.push(ApplyAction::Beat { now, echo, position, cluster_addrs, api_addr, cluster_addr });
            }
        }
    }

    fn compare(&mut self, out: &mut Vec<ApplyAction>) {
        if self.is_proposing {
            return;
        }
        if let Some((snapshot, generation)) = self.snapshot.take() {
            let mut needs = Vec::new();
            let resync = Resync::begin(snapshot, generation, self.first.clone(), &mut needs);
            self.state = State::Resyncing(Box::new(resync), VecDeque::new());
            self.fulfil(needs, out);
        }
    }

    /// Compares rows that came in, once our own of their page are read.
    fn rows_in(&mut self, out: &mut Vec<ApplyAction>) {
        let State::Resyncing(resync, waiting) = &mut self.state else { return };
        let mut needs = Vec::new();
        while let Some(rows) = waiting.pop_front() {
            if resync.wants_own(rows.page) {
                out.push(ApplyAction::ReadOwnRows(rows.page));
                waiting.push_front(rows);
                break;
            }
            if let Err(wrong) = resync.rows(rows.page, rows.rows, rows.is_last, &mut needs) {
                return self.close(wrong.to_string(), out);
            }
        }
        self.fulfil(needs, out);
    }

    fn committed(&mut self, position: Position, out: &mut Vec<ApplyAction>) {
        self.is_proposing = false;
        self.out_of_order = 0;
        out.push(ApplyAction::Send(FromSecondary::Ack { upto: position }));
        if let State::Resyncing(resync, _) = &mut self.state {
            let mut needs = Vec::new();
            let is_done = resync.committed(&mut needs);
            self.fulfil(needs, out);
            if is_done {
                self.state = State::Greeting;
                out.push(ApplyAction::Greet);
            }
        }
        self.compare(out);
    }

    fn refused(&mut self, refusal: &Refusal, out: &mut Vec<ApplyAction>) {
        self.is_proposing = false;
        self.out_of_order += 1;
        if self.snapshot.is_some() {
            self.compare(out);
        } else if *refusal == Refusal::OutOfOrder && self.out_of_order < OUT_OF_ORDER_MAX {
            self.state = State::Greeting;
            out.push(ApplyAction::Greet);
        } else {
            self.close(refusal.to_string(), out);
        }
    }

    fn resync(&mut self, out: &mut Vec<ApplyAction>, step: impl FnOnce(&mut Resync, &mut Vec<Need>)) {
        if let State::Resyncing(resync, _) = &mut self.state {
            let mut needs = Vec::new();
            step(resync, &mut needs);
            self.fulfil(needs, out);
        }
    }

    fn fulfil(&mut self, needs: Vec<Need>, out: &mut Vec<ApplyAction>) {
        out.extend(needs.into_iter().map(|need| match need {
            Need::OwnSums => ApplyAction::ReadOwnSums,
            Need::OwnRows(page) => ApplyAction::ReadOwnRows(page),
            Need::Send(message) => ApplyAction::Send(message),
            Need::Propose(command) => {
                self.is_proposing = true;
                ApplyAction::Propose(command)
            }
        }));
    }

    fn propose_records(&mut self, out: &mut Vec<ApplyAction>) {
        let State::Streaming(queue) = &mut self.state else { return };
        if self.is_proposing {
            return;
        }
        let Some(mut frame) = queue.pop_front() else { return };
        while let Some(next) = queue.pop_front_if(|next| next.generation == frame.generation && frame.bytes + next.bytes <= FRAME_BYTES_MAX)
        {
            frame.bytes += next.bytes;
            frame.records.extend(next.records);
        }
        self.is_proposing = true;
        if bug!(108) {
            let upto = frame.records.iter().fold(frame.after, |position, record| position.then(record));
            out.push(ApplyAction::Send(FromSecondary::Ack { upto }));
        }
        out.push(ApplyAction::Propose(Command::Ship { generation: frame.generation, after: frame.after, records: frame.records }));
    }

    fn close(&mut self, why: String, out: &mut Vec<ApplyAction>) {
        self.state = State::Closed;
        out.push(ApplyAction::Close(why));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GENERATION: Generation = Generation(2);

    fn step(applier: &mut Applier, event: ApplyEvent) -> Vec<ApplyAction> {
        let mut out = Vec::new();
        applier.step(event, &mut out);
        out
    }
    fn records(after: Position, bytes: &[u8]) -> (FromPrimary, Position) {
        let records: Vec<Bytes> = bytes.iter().map(|n| Bytes::from(vec![*n])).collect();
        let upto = records.iter().fold(after, |position, record| position.then(record));
        (FromPrimary::Records { generation: GENERATION, after, records }, upto)
    }
    fn streaming() -> Applier {
        let mut applier = Applier::default();
        assert_eq!(step(&mut applier, ApplyEvent::Connected), [ApplyAction::Greet]);
        step(&mut applier, ApplyEvent::Said(FromPrimary::Streaming { generation: GENERATION, position: Position::default() }));
        applier
    }
    fn ship(after: Position, bytes: &[u8]) -> ApplyAction {
        let records = bytes.iter().map(|n| Bytes::from(vec![*n])).collect();
        ApplyAction::Propose(Command::Ship { generation: GENERATION, after, records })
    }

    #[test]
    fn one_entry_is_in_flight_and_what_waits_goes_together() {
        let mut applier = streaming();
        let start = Position::default();
        let (first, one) = records(start, &[1]);
        let (second, two) = records(one, &[2]);
        let (third, three) = records(two, &[3, 4]);
        assert_eq!(step(&mut applier, ApplyEvent::Said(first)), [ship(start, &[1])]);
        assert_eq!(step(&mut applier, ApplyEvent::Said(second)), []);
        assert_eq!(step(&mut applier, ApplyEvent::Said(third)), []);
        let ack = |upto| ApplyAction::Send(FromSecondary::Ack { upto });
        assert_eq!(step(&mut applier, ApplyEvent::Committed(one)), [ack(one), ship(one, &[2, 3, 4])]);
        assert_eq!(step(&mut applier, ApplyEvent::Committed(three)), [ack(three)]);
    }

    #[test]
    fn frames_from_before_the_last_greeting_are_passed_over() {
        let mut applier = streaming();
        let (first, one) = records(Position::default(), &[1]);
        let (late, _) = records(one, &[2]);
        step(&mut applier, ApplyEvent::Said(first));
        assert_eq!(step(&mut applier, ApplyEvent::Refused(Refusal::OutOfOrder)), [ApplyAction::Greet]);
        assert_eq!(step(&mut applier, ApplyEvent::Said(late)), []);
        assert_eq!(applier.phase(), Phase::Idle);
    }

    #[test]
    fn refusals_end_the_stream_unless_a_greeting_can_mend_them() {
        let end = |refusals: &[Refusal]| {
            let mut applier = streaming();
            let mut last = Vec::new();
            for refusal in refusals {
                step(&mut applier, ApplyEvent::Said(FromPrimary::Streaming { generation: GENERATION, position: Position::default() }));
                step(&mut applier, ApplyEvent::Said(records(Position::default(), &[1]).0));
                last = step(&mut applier, ApplyEvent::Refused(refusal.clone()));
            }
            matches!(last.as_slice(), [ApplyAction::Close(_)])
        };
        assert!(!end(&[Refusal::OutOfOrder]));
        assert!(end(&[Refusal::OutOfOrder, Refusal::OutOfOrder]));
        assert!(end(&[Refusal::NotSecondary]));
        assert!(end(&[Refusal::BadRecord]));
        assert!(end(&[Refusal::OldGeneration { theirs: Generation(1), ours: Generation(2) }]));
    }

    #[test]
    fn an_unknown_outcome_ends_the_stream() {
        let mut applier = streaming();
        step(&mut applier, ApplyEvent::Said(records(Position::default(), &[1]).0));
        assert_eq!(step(&mut applier, ApplyEvent::Lost("x".to_owned())), [ApplyAction::Close("x".to_owned())]);
        assert_eq!(step(&mut applier, ApplyEvent::Committed(Position::default())), []);
    }

    #[test]
    fn a_comparison_ends_in_a_new_greeting_from_the_snapshot() {
        let mut applier = Applier::default();
        let snapshot = Position::default().then(b"x");
        let resync = FromPrimary::Resync { why: String::new(), generation: GENERATION, snapshot };
        assert_eq!(step(&mut applier, ApplyEvent::Said(resync)), [ApplyAction::ReadOwnSums]);
        assert_eq!(applier.phase(), Phase::Comparing);
        let compare = ApplyAction::Send(FromSecondary::ComparePages { pages: Vec::new() });
        assert_eq!(step(&mut applier, ApplyEvent::OwnSums(Vec::new())), [compare]);
        let pages = vec![PageId(7)];
        let fetch = ApplyAction::Send(FromSecondary::FetchPages { pages: pages.clone() });
        assert_eq!(step(&mut applier, ApplyEvent::Said(FromPrimary::Differing { pages })), [fetch]);
        let rows = FromPrimary::Rows { page: PageId(7), rows: vec![("a".to_owned(), Bytes::new())], is_last: true };
        assert_eq!(step(&mut applier, ApplyEvent::Said(rows)), [ApplyAction::ReadOwnRows(PageId(7))]);
        let own = vec![(Arc::from("b"), Bytes::new())];
        let proposed = step(&mut applier, ApplyEvent::OwnRows(own));
        let [ApplyAction::Propose(Command::Repair { ops, done: Some(done), .. })] = proposed.as_slice() else { panic!("{proposed:?}") };
        assert_eq!((ops.len(), *done), (2, snapshot));
        let after = step(&mut applier, ApplyEvent::Committed(snapshot));
        assert_eq!(after, [ApplyAction::Send(FromSecondary::Ack { upto: snapshot }), ApplyAction::Greet]);
    }

    #[test]
    fn a_snapshot_waits_until_what_is_in_flight_is_settled() {
        let mut applier = streaming();
        let (first, one) = records(Position::default(), &[1]);
        step(&mut applier, ApplyEvent::Said(first));
        let resync = FromPrimary::Resync { why: String::new(), generation: GENERATION, snapshot: one };
        assert_eq!(step(&mut applier, ApplyEvent::Said(resync)), []);
        let ack = ApplyAction::Send(FromSecondary::Ack { upto: one });
        assert_eq!(step(&mut applier, ApplyEvent::Committed(one)), [ack, ApplyAction::ReadOwnSums]);
    }

    #[test]
    fn a_full_applier_is_not_hungry() {
        let mut applier = streaming();
        let big = Bytes::from(vec![0; FRAME_BYTES_MAX]);
        for _ in 0..5 {
            assert!(applier.is_hungry());
            let frame = FromPrimary::Records { generation: GENERATION, after: Position::default(), records: vec![big.clone()] };
            step(&mut applier, ApplyEvent::Said(frame));
        }
        assert!(!applier.is_hungry());
    }
}
