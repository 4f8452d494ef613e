//! The decisions of the lifecycle, without I/O: events in, a list of actions out.

use std::time::Duration;

use super::Standing;
use crate::raft::Peer;
use crate::types::Term;

/// The first pause after a start that failed.
const RETRY_FIRST: Duration = Duration::from_secs(1);
/// The longest pause after starts that failed.
const RETRY_MAX: Duration = Duration::from_secs(30);
/// The first pause after handing leadership over: it may be handed back by a node that cannot be active either.
const HAND_OVER_FIRST: Duration = Duration::from_millis(250);
/// The longest such pause: a cluster whose nodes are all sealed passes leadership around for as long as it takes.
const HAND_OVER_MAX: Duration = Duration::from_secs(3);
/// How often leadership comes back to a node that stepped down before it takes it after all: nobody else seems to be able to.
const RETURNS_MAX: u32 = 2;

/// What makes two runs of the active parts different: they are restarted when it changes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Run {
    /// The Raft term led in: leadership may have been away meanwhile.
    pub term: Term,
    /// The mode of the cluster in replication, `filling` left out, and the replication set.
    pub role: (u8, Option<String>),
    /// Counts unseals: keys were dropped meanwhile.
    pub unseals: u64,
}

/// All that decides.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Situation {
    /// The cluster exists.
    pub initialized: bool,
    /// This node has no keys.
    pub sealed: bool,
    /// This node was removed from its cluster.
    pub removed: bool,
    /// It leads its Raft group.
    pub leads: bool,
    /// Who leads, if another node does.
    pub leader: Option<Peer>,
    /// Whether there is another voter that could lead.
    pub has_other_voters: bool,
    /// It was asked to step down a moment ago; the how manieth time that was.
    pub resting: Option<u64>,
    /// Of a run that would start now.
    pub run: Run,
}

/// What happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// The situation is this now.
    Observed(Situation),
    /// All parts of the run that was started are running.
    Started,
    /// A part did not start, or the run was cut short; what had started was stopped again.
    NotStarted,
    /// All parts are stopped.
    Stopped,
    /// No other node took leadership.
    NotHandedOver,
    /// The pause that was asked for is over.
    PauseOver,
}

/// What to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// Tell everyone how this node stands.
    Announce(Standing),
    /// Prove that this node leads, then start all parts in order. Ends in `Started` or `NotStarted`.
    Start,
    /// Give up the start that is under way. Ends in `NotStarted`.
    CutShort,
    /// Stop all parts in reverse. Ends in `Stopped`.
    Stop,
    /// Hand leadership on.
    HandOver,
    /// Drop the keys.
    Seal,
    /// Come back with `PauseOver`.
    Pause(Duration),
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Phase {
    Idle,
    Starting(Run),
    Active(Run),
    Stopping,
}

/// The machine.
#[derive(Debug)]
pub struct Machine {
    now: Situation,
    phase: Phase,
    announced: Standing,
    failures: u32,
    hand_overs: u32,
    /// How often leadership came back since this node stepped down.
    returns: u32,
    pausing: Option<Wait>,
}

/// What a pause holds back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Wait {
    Start,
    HandOver,
}

impl Machine {
    /// Nothing is known and nothing runs.
    pub fn new() -> Self {
        Self {
            now: Situation { sealed: true, ..Situation::default() },
            phase: Phase::Idle,
            announced: Standing::Uninitialized,
            failures: 0,
            hand_overs: 0,
            returns: 0,
            pausing: None,
        }
    }

    /// Takes `event` and says what to do.
    pub fn step(&mut self, event: Event) -> Vec<Action> {
        let mut out = Vec::new();
        match event {
            Event::Observed(situation) => {
                // Asked again, it tries again, whatever came of it before.
                if self.now.resting != situation.resting {
                    self.returns = 0;
                }
                if situation.leads && !self.now.leads {
                    self.failures = 0;
                    self.returns = self.returns.saturating_add(1);
                    if self.pausing == Some(Wait::Start) {
                        self.pausing = None;
                    }
                }
                self.now = situation;
            }
            Event::Started => {
                if let Phase::Starting(run) = &self.phase {
                    self.phase = Phase::Active(run.clone());
                    self.failures = 0;
                }
            }
            Event::NotStarted => {
                self.phase = Phase::Idle;
                if self.wants_active() {
                    self.failures = self.failures.saturating_add(1);
                    if self.now.has_other_voters {
                        out.push(Action::HandOver);
                    }
                    let pause = RETRY_FIRST.saturating_mul(1 << (self.failures - 1).min(5)).min(RETRY_MAX);
                    self.pause(Wait::Start, pause, &mut out);
                }
            }
            Event::NotHandedOver => self.returns = self.returns.saturating_add(1),
            Event::Stopped => self.phase = Phase::Idle,
            Event::PauseOver => self.pausing = None,
        }
        self.settle(&mut out);
        out
    }

    fn wants_active(&self) -> bool {
        let now = &self.now;
        now.initialized && !now.sealed && !now.removed && now.leads && !self.refuses()
    }

    /// Stepped down a moment ago, and somebody else could lead.
    fn refuses(&self) -> bool {
        self.now.resting.is_some() && self.now.has_other_voters && self.returns < RETURNS_MAX
    }

    fn pause(&mut self, wait: Wait, length: Duration, out: &mut Vec<Action>) {
        self.pausing = Some(wait);
        out.push(Action::Pause(length));
    }

    /// Brings what runs in line with what should run.
    fn settle(&mut self, out: &mut Vec<Action>) {
        if self.now.removed && !self.now.sealed {
            out.push(Action::Seal);
            self.now.sealed = true;
        }
        let may_stay = |run: &Run, machine: &Self| machine.wants_active() && *run == machine.now.run;
        match &self.phase {
            Phase::Active(run) if !may_stay(run, self) => {
                self.phase = Phase::Stopping;
                self.announce(out);
                out.push(Action::Stop);
            }
            Phase::Starting(run) if !may_stay(run, self) => out.push(Action::CutShort),
            Phase::Idle if self.wants_active() && self.pausing != Some(Wait::Start) => {
                self.hand_overs = 0;
                self.phase = Phase::Starting(self.now.run.clone());
                out.push(Action::Start);
            }
            _ => {}
        }
        let leads_in_vain = self.now.leads && self.now.has_other_voters && !self.wants_active();
        let gives_up = bug!(159) && self.hand_overs > 5;
        if leads_in_vain && !gives_up && self.pausing.is_none() && self.phase == Phase::Idle {
            out.push(Action::HandOver);
            let pause = HAND_OVER_FIRST.saturating_mul(1 << self.hand_overs.min(5)).min(HAND_OVER_MAX);
            self.hand_overs = self.hand_overs.saturating_add(1);
            self.pause(Wait::HandOver, pause, out);
        }
        self.announce(out);
    }

    fn announce(&mut self, out: &mut Vec<Action>) {
        let now = &self.now;
        let standing = if now.removed {
            Standing::Removed
        } else if !now.initialized {
            Standing::Uninitialized
        } else if now.sealed {
            Standing::Sealed
        } else if matches!(self.phase, Phase::Active(_)) {
            Standing::Active
        } else {
            Standing::Standby { active: now.leader.clone() }
        };
        if standing != self.announced {
            self.announced = standing.clone();
            out.push(Action::Announce(standing));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Action::{Announce, CutShort, HandOver, Pause, Seal, Start, Stop};
    use super::*;

    fn sealed_member() -> Situation {
        Situation { initialized: true, sealed: true, ..Situation::default() }
    }
    fn leader() -> Situation {
        Situation { initialized: true, leads: true, run: Run { term: Term(1), ..Run::default() }, ..Situation::default() }
    }
    fn leader_of_three() -> Situation {
        Situation { has_other_voters: true, ..leader() }
    }
    fn follower() -> Situation {
        Situation { initialized: true, has_other_voters: true, leader: Some(other()), ..Situation::default() }
    }
    fn other() -> Peer {
        Peer { id: crate::types::NodeId(2), member: crate::raft::Member::default(), is_voter: true }
    }
    fn nobody() -> Standing {
        Standing::Standby { active: None }
    }
    fn behind_other() -> Standing {
        Standing::Standby { active: Some(other()) }
    }
    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }
    fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[track_caller]
    fn check(steps: Vec<(Event, Vec<Action>)>) {
        let mut machine = Machine::new();
        for (number, (event, expected)) in steps.into_iter().enumerate() {
            assert_eq!(machine.step(event.clone()), expected, "step {number}: {event:?}");
        }
    }

    use Event::{NotHandedOver, NotStarted, Observed, PauseOver, Started, Stopped};

    #[test]
    fn a_single_node_becomes_active_once_unsealed() {
        check(vec![
            (Observed(Situation { sealed: true, ..Situation::default() }), vec![]),
            (Observed(sealed_member()), vec![Announce(Standing::Sealed)]),
            (Observed(Situation { leads: true, ..sealed_member() }), vec![]),
            (Observed(leader()), vec![Start, Announce(nobody())]),
            (Started, vec![Announce(Standing::Active)]),
            (Observed(Situation { sealed: true, ..leader() }), vec![Announce(Standing::Sealed), Stop]),
            (Stopped, vec![]),
        ]);
    }

    #[test]
    fn a_sealed_leader_hands_leadership_on() {
        check(vec![
            (Observed(Situation { sealed: true, ..leader_of_three() }), vec![HandOver, Pause(millis(250)), Announce(Standing::Sealed)]),
            (PauseOver, vec![HandOver, Pause(millis(500))]),
            (Observed(Situation { sealed: true, ..follower() }), vec![]),
            (Observed(Situation { sealed: true, ..leader_of_three() }), vec![]),
            (PauseOver, vec![HandOver, Pause(secs(1))]),
            (Observed(leader_of_three()), vec![Start, Announce(nobody())]),
        ]);
    }

    #[test]
    fn a_sealed_leader_hands_over_until_somebody_takes_it() {
        let mut machine = Machine::new();
        machine.step(Observed(Situation { sealed: true, ..leader_of_three() }));
        for pause in [500, 1000, 2000, 3000, 3000, 3000, 3000, 3000].map(millis) {
            assert_eq!(machine.step(PauseOver), vec![HandOver, Pause(pause)]);
        }
    }

    #[test]
    fn losing_leadership_stops_before_another_start() {
        check(vec![
            (Observed(leader_of_three()), vec![Start, Announce(nobody())]),
            (Started, vec![Announce(Standing::Active)]),
            (Observed(follower()), vec![Announce(behind_other()), Stop]),
            (Observed(Situation { run: Run { term: Term(3), ..Run::default() }, ..leader_of_three() }), vec![Announce(nobody())]),
            (Stopped, vec![Start]),
            (Started, vec![Announce(Standing::Active)]),
        ]);
    }

    #[test]
    fn losing_leadership_cuts_a_start_short() {
        check(vec![
            (Observed(leader_of_three()), vec![Start, Announce(nobody())]),
            (Observed(follower()), vec![CutShort, Announce(behind_other())]),
            (NotStarted, vec![]),
        ]);
    }

    #[test]
    fn a_start_that_came_too_late_is_stopped() {
        check(vec![
            (Observed(leader_of_three()), vec![Start, Announce(nobody())]),
            (Observed(follower()), vec![CutShort, Announce(behind_other())]),
            (Started, vec![Stop]),
            (Stopped, vec![]),
        ]);
    }

    #[test]
    fn a_new_term_or_role_restarts_the_parts() {
        let run = Run { term: Term(1), role: (1, Some("set".into())), unseals: 0 };
        check(vec![
            (Observed(leader()), vec![Start, Announce(nobody())]),
            (Started, vec![Announce(Standing::Active)]),
            (Observed(Situation { run: run.clone(), ..leader() }), vec![Announce(nobody()), Stop]),
            (Stopped, vec![Start]),
            (Started, vec![Announce(Standing::Active)]),
            (Observed(Situation { run: Run { term: Term(2), ..run }, ..leader() }), vec![Announce(nobody()), Stop]),
        ]);
    }

    #[test]
    fn a_part_that_fails_to_start_hands_over_and_tries_again_later() {
        check(vec![
            (Observed(leader_of_three()), vec![Start, Announce(nobody())]),
            (NotStarted, vec![HandOver, Pause(secs(1))]),
            (PauseOver, vec![Start]),
            (NotStarted, vec![HandOver, Pause(secs(2))]),
            (Observed(follower()), vec![Announce(behind_other())]),
            (PauseOver, vec![]),
        ]);
    }

    #[test]
    fn a_single_node_tries_to_start_again_and_again() {
        let mut machine = Machine::new();
        machine.step(Observed(leader()));
        let pauses = [1, 2, 4, 8, 16, 30, 30].map(secs);
        for pause in pauses {
            assert_eq!(machine.step(NotStarted), vec![Pause(pause)]);
            assert_eq!(machine.step(Observed(leader())), vec![]);
            assert_eq!(machine.step(PauseOver), vec![Start]);
        }
    }

    #[test]
    fn a_node_that_stepped_down_gives_leadership_away_unless_nobody_takes_it() {
        let resting = || Observed(Situation { resting: Some(1), ..leader_of_three() });
        check(vec![
            (Observed(leader_of_three()), vec![Start, Announce(nobody())]),
            (Started, vec![Announce(Standing::Active)]),
            (resting(), vec![Announce(nobody()), Stop]),
            (Stopped, vec![HandOver, Pause(millis(250))]),
            (Observed(Situation { resting: Some(1), ..follower() }), vec![Announce(behind_other())]),
            (resting(), vec![Announce(nobody())]),
            (PauseOver, vec![HandOver, Pause(millis(500))]),
            (Observed(Situation { resting: Some(1), ..follower() }), vec![Announce(behind_other())]),
            (resting(), vec![Start, Announce(nobody())]),
            (Started, vec![Announce(Standing::Active)]),
            // Asked once more before that rest is over, it tries once more.
            (Observed(Situation { resting: Some(2), ..leader_of_three() }), vec![Announce(nobody()), Stop]),
            (Stopped, vec![]),
            (PauseOver, vec![HandOver, Pause(millis(250))]),
        ]);
        check(vec![(resting(), vec![HandOver, Pause(millis(250)), Announce(nobody())]), (NotHandedOver, vec![Start])]);
        check(vec![(Observed(Situation { resting: Some(1), ..leader() }), vec![Start, Announce(nobody())])]);
    }

    #[test]
    fn a_removed_node_seals_itself() {
        check(vec![
            (Observed(follower()), vec![Announce(behind_other())]),
            (Observed(Situation { removed: true, ..follower() }), vec![Seal, Announce(Standing::Removed)]),
        ]);
    }
}
