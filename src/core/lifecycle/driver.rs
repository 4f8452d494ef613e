//! The task that carries the machine's decisions out.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::{BoxFuture, OptionFuture};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, Sleep, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::machine::{Action, Event, Machine, Run, Situation};
use super::{ActivePart, Standing};
use crate::core::Context;
use crate::core::seal::Seal;
use crate::machine::Role;
use crate::raft::{MembershipError, RaftStatus};
use crate::types::Timestamp;
use crate::types::limits::{RESTING, START_TIMEOUT};

/// How long a node that stops waits for another one to lead.
const HAND_OVER_MAX: Duration = Duration::from_secs(5);

/// Decides what runs on this node, and tells how it stands.
pub struct Lifecycle {
    ctx: Arc<Context>,
    seal: Arc<Seal>,
    standing: watch::Sender<Standing>,
    active_since: Mutex<Option<Timestamp>>,
    nobody_since: Mutex<Option<Instant>>,
    /// How often it was asked to step down, and until when it rests.
    rest: Mutex<(u64, Option<Instant>)>,
    look: Notify,
}

impl fmt::Debug for Lifecycle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lifecycle({:?})", *self.standing.borrow())
    }
}

impl Lifecycle {
    /// Nothing runs until [`Self::run`].
    pub fn new(ctx: Arc<Context>, seal: Arc<Seal>) -> Arc<Self> {
        // Asked before the first look around: a node that was initialized must not pass for one that was not, even for a moment.
        let standing = watch::Sender::new(if seal.is_initialized() { Standing::Sealed } else { Standing::Uninitialized });
        seal.follow_standing(standing.subscribe());
        Arc::new(Self {
            ctx,
            seal,
            standing,
            active_since: Mutex::default(),
            nobody_since: Mutex::default(),
            rest: Mutex::default(),
            look: Notify::new(),
        })
    }

    /// How this node stands now.
    pub fn standing(&self) -> Standing {
        self.standing.borrow().clone()
    }

    /// Follows how this node stands.
    pub fn follow_standing(&self) -> watch::Receiver<Standing> {
        self.standing.subscribe()
    }

    /// Since when this node is active, if it is.
    pub fn active_since(&self) -> Option<Timestamp> {
        *self.active_since.lock().expect("no holder of this lock panics")
    }

    /// How long this node, which could hand requests on, has known no active node to hand them to.
    pub fn without_active_for(&self) -> Option<Duration> {
        self.nobody_since.lock().expect("no holder of this lock panics").map(|since| since.elapsed())
    }

    /// The role of this cluster, or everything, may have changed. Does not block.
    pub fn look_again(&self) {
        self.look.notify_one();
    }

    /// Gives leadership up and stays out of it for a while, if another node can take it. Returns at once.
    pub fn step_down(&self) {
        {
            let mut rest = self.rest.lock().expect("no holder of this lock panics");
            *rest = (rest.0 + 1, Some(Instant::now() + RESTING));
        }
        tracing::warn!("stepping down");
        self.look_again();
    }

    /// Runs until `shutdown`, then stops the parts and hands leadership on.
    pub async fn run(self: Arc<Self>, parts: Vec<Arc<dyn ActivePart>>, shutdown: CancellationToken) {
        let mut driver = Driver {
            raft: self.ctx.raft.status(),
            lifecycle: self,
            parts: parts.into(),
            machine: Machine::new(),
            work: None,
            cut: CancellationToken::new(),
            pause: None,
            hand_over: None,
        };
        driver.run(&shutdown).await;
        driver.end().await;
    }

    /// How often this node was asked to step down, and until when it rests, if it does now.
    fn rest(&self, now: Instant) -> Option<(u64, Instant)> {
        let (times, until) = *self.rest.lock().expect("no holder of this lock panics");
        until.filter(|until| now < *until).map(|until| (times, until))
    }

    fn situation(&self, raft: &RaftStatus, now: Instant) -> Situation {
        let is_other_voter = |peer: &&crate::raft::Peer| peer.is_voter && peer.id != raft.id;
        let role = self.ctx.store.role();
        let mode = match role {
            Role::Alone => 0,
            Role::Primary { .. } => 1,
            Role::Secondary { .. } => 2,
        };
        Situation {
            initialized: self.seal.is_initialized(),
            sealed: self.ctx.is_sealed(),
            removed: raft.is_removed,
            leads: raft.is_leader,
            leader: if raft.is_leader { None } else { raft.leader_peer().cloned() },
            has_other_voters: raft.peers.iter().any(|peer| is_other_voter(&peer)),
            resting: self.rest(now).map(|(times, _)| times),
            run: Run { term: raft.term, role: (mode, role.set().map(|set| set.as_str().to_owned())), unseals: self.seal.unseals() },
        }
    }

    fn announce(&self, standing: Standing) {
        let is_active = standing == Standing::Active;
        let now = self.ctx.now();
        let before = std::mem::replace(&mut *self.active_since.lock().expect("no holder of this lock panics"), is_active.then_some(now));
        if let Some(since) = before.filter(|_| !is_active) {
            metrics::histogram!(super::metrics::LEADERSHIP_LOST).record(now.since(since).as_secs_f64() * 1000.0);
        }
        {
            let mut nobody_since = self.nobody_since.lock().expect("no holder of this lock panics");
            let is_nobody = standing == Standing::Standby { active: None };
            *nobody_since = is_nobody.then(|| nobody_since.unwrap_or_else(Instant::now));
        }
        metrics::gauge!(super::metrics::ACTIVE).set(if is_active { 1.0 } else { 0.0 });
        metrics::gauge!(super::metrics::UNSEALED).set(if self.ctx.is_sealed() { 0.0 } else { 1.0 });
        tracing::info!(?standing, "this node stands differently");
        self.standing.send_replace(standing);
    }
}

struct Driver {
    lifecycle: Arc<Lifecycle>,
    raft: watch::Receiver<RaftStatus>,
    parts: Arc<[Arc<dyn ActivePart>]>,
    machine: Machine,
    /// The start or stop under way.
    work: Option<BoxFuture<'static, Event>>,
    /// Cuts the start under way short.
    cut: CancellationToken,
    pause: Option<Pin<Box<Sleep>>>,
    hand_over: Option<BoxFuture<'static, Result<(), MembershipError>>>,
}

impl Driver {
    async fn run(&mut self, shutdown: &CancellationToken) {
        let lifecycle = self.lifecycle.clone();
        let mut seal_changes = lifecycle.seal.changes();
        let mut seen = None;
        loop {
            let now = Instant::now();
            let situation = {
                let raft = self.raft.borrow_and_update();
                if raft.heir.is_some() && lifecycle.standing() == Standing::Active && lifecycle.rest(now).is_none() {
                    lifecycle.step_down();
                }
                lifecycle.situation(&raft, now)
            };
            if seen.as_ref() != Some(&situation) {
                seen = Some(situation.clone());
                self.take(Event::Observed(situation));
            }
            let rested = lifecycle.rest(now).map(|(_, until)| until);
            tokio::select! {
                () = shutdown.cancelled() => return,
                changed = self.raft.changed() => {
                    if changed.is_err() {
                        tracing::error!("Raft has ended");
                        return;
                    }
                }
                _ = seal_changes.changed() => {}
                () = lifecycle.look.notified() => {}
                Some(()) = OptionFuture::from(rested.map(sleep_until)) => {}
                Some(event) = OptionFuture::from(self.work.as_mut()) => {
                    self.work = None;
                    self.take(event);
                }
                Some(()) = OptionFuture::from(self.pause.as_mut()) => {
                    self.pause = None;
                    self.take(Event::PauseOver);
                }
                Some(result) = OptionFuture::from(self.hand_over.as_mut()) => {
                    self.hand_over = None;
                    if let Err(error) = result {
                        tracing::warn!(%error, "leadership was not handed over");
                        self.take(Event::NotHandedOver);
                    }
                }
            }
        }
    }

    fn take(&mut self, event: Event) {
        for action in self.machine.step(event) {
            match action {
                Action::Announce(standing) => self.lifecycle.announce(standing),
                Action::Start => {
                    self.cut = CancellationToken::new();
                    self.work = Some(Box::pin(start(self.lifecycle.ctx.clone(), self.parts.clone(), self.cut.clone())));
                }
                Action::CutShort => self.cut.cancel(),
                Action::Stop => {
                    let parts = self.parts.clone();
                    self.work = Some(Box::pin(async move {
                        stop(&parts).await;
                        Event::Stopped
                    }));
                }
                Action::HandOver => {
                    let raft = self.lifecycle.ctx.raft.clone();
                    if self.hand_over.is_none() {
                        tracing::info!("handing leadership over");
                        self.hand_over = Some(Box::pin(async move { raft.hand_over().await }));
                    }
                }
                Action::Seal => self.lifecycle.seal.seal(),
                Action::Pause(length) => self.pause = Some(Box::pin(sleep(length))),
            }
        }
    }

    /// Ends what runs, then hands leadership on.
    async fn end(&mut self) {
        self.cut.cancel();
        let runs = match self.work.take() {
            Some(work) => matches!(work.await, Event::Started),
            None => self.lifecycle.standing() == Standing::Active,
        };
        if runs {
            self.lifecycle.announce(Standing::Standby { active: None });
            stop(&self.parts).await;
        }
        let (leads, has_others) = {
            let raft = self.raft.borrow();
            (raft.is_leader, raft.peers.iter().any(|peer| peer.is_voter && peer.id != raft.id))
        };
        if leads && has_others {
            let _ = timeout(HAND_OVER_MAX, self.lifecycle.ctx.raft.hand_over()).await;
        }
    }
}

/// Starts all of `parts`, or none.
async fn start(ctx: Arc<Context>, parts: Arc<[Arc<dyn ActivePart>]>, cut: CancellationToken) -> Event {
    let fresh = tokio::select! {
        () = cut.cancelled() => return Event::NotStarted,
        fresh = timeout(START_TIMEOUT, ctx.raft.read_barrier()) => fresh,
    };
    if !matches!(fresh, Ok(Ok(()))) {
        tracing::warn!("this node leads but cannot prove it");
        return Event::NotStarted;
    }
    for (number, part) in parts.iter().enumerate() {
        let started = tokio::select! {
            () = cut.cancelled() => Err("it is no longer wanted".to_owned()),
            started = timeout(START_TIMEOUT, part.start()) => match started {
                Ok(Ok(())) => Ok(()),
                Ok(Err(error)) => Err(error.to_string()),
                Err(_) => Err("it took too long".to_owned()),
            },
        };
        if let Err(reason) = started {
            tracing::error!(part = part.name(), reason, "a part did not start");
            metrics::counter!(super::metrics::START_FAILED, "part" => part.name()).increment(1);
            stop(&parts[..=number]).await;
            return Event::NotStarted;
        }
    }
    Event::Started
}

/// Stops `parts`, the last first.
async fn stop(parts: &[Arc<dyn ActivePart>]) {
    for part in parts.iter().rev() {
        if timeout(START_TIMEOUT, part.stop()).await.is_err() {
            tracing::error!(part = part.name(), "a part did not stop in time");
        }
    }
}
