//! Ambushes: whoever comes to a certain place in the product meets his end there, right after it, or an error. The places are the
//! product's failpoints, and the first commits of a new leader.

use std::sync::atomic::Ordering;
use std::time::Duration;

use coffer::chaos::{POINTS, Verdict};
use coffer::raft::Consensus;
use coffer::raft::simulated::HostStopped;
use serde_json::json;

use crate::disk::Loss;
use crate::nemesis::{Act, takes_writes};
use crate::net::HostId;
use crate::plan::Fault;
use crate::rng::Rng;
use crate::trace;
use crate::world::{Order, World};

/// Places that no host comes to here, or only before anything goes wrong.
const NOT_HERE: [&str; 5] = ["page-flush", "pointer-rename", "init-commit", "segment-begin", "test"];
/// Where Raft itself runs: its end must be the process's.
const OF_RAFT: [&str; 4] = ["vote-save.before", "vote-save.after", "apply-batch.before", "apply-batch.after"];
/// So long it is waited for somebody to come.
const PATIENCE: Duration = Duration::from_secs(8);
/// So long after a panic the process may still be there.
const ENDS_WITHIN: Duration = Duration::from_millis(100);

/// What a panic carries that was planned.
pub struct Planned;

/// What becomes of whoever comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    /// He dies on the spot.
    Dies(Loss),
    /// He goes on, until power fails: his, or that of the whole cluster.
    GoesOn,
    /// What he tries fails.
    Fails,
    /// He panics.
    Panics,
}

/// An ambush that is laid.
pub struct Ambush {
    number: u64,
    cluster: usize,
    point: &'static str,
    /// So many may pass before.
    passing: u64,
    then: Then,
    /// Who came.
    caught: Option<HostId>,
}

impl World {
    /// The product has come to one of its failpoints.
    pub fn comes_to(&self, point: &'static str) -> Verdict {
        // A host that only begins to run has nothing to lose yet; one that was caught does nothing any more.
        let Some(host) = trace::host().filter(|host| self.slot(*host).running().is_some()) else { return Verdict::Pass };
        if !self.net.listens(host) {
            std::panic::panic_any(HostStopped);
        }
        let then = {
            let mut ambushes = self.ambushes.lock().expect("no holder of this lock panics");
            let cluster = self.slot(host).cluster;
            let laid = ambushes.iter_mut().find(|it| it.caught.is_none() && it.cluster == cluster && it.point == point);
            let Some(laid) = laid else { return Verdict::Pass };
            if laid.passing > 0 {
                laid.passing -= 1;
                return Verdict::Pass;
            }
            laid.caught = Some(host);
            laid.then
        };
        trace::line(format_args!("ambush at {point}: {then:?}"));
        match then {
            Then::GoesOn => Verdict::Pass,
            Then::Fails => {
                self.slot(host).is_doomed.store(true, Ordering::Relaxed);
                Verdict::Fail
            }
            Then::Panics => {
                self.slot(host).is_doomed.store(true, Ordering::Relaxed);
                std::panic::panic_any(Planned)
            }
            Then::Dies(loss) => {
                match loss {
                    Loss::Process => self.net.close(host),
                    Loss::Power => self.net.darken(host),
                }
                self.order(Order::Down(host, loss));
                std::panic::panic_any(HostStopped)
            }
        }
    }

    fn lay(&self, ambush: Ambush) {
        self.ambushes.lock().expect("no holder of this lock panics").push(ambush);
    }

    fn caught(&self, number: u64) -> Option<HostId> {
        self.ambushes.lock().expect("no holder of this lock panics").iter().find(|it| it.number == number).and_then(|it| it.caught)
    }

    fn lift(&self, number: u64) {
        self.ambushes.lock().expect("no holder of this lock panics").retain(|it| it.number != number);
    }

    /// The newest term that a node of a cluster knows.
    fn term(&self, cluster: usize) -> u64 {
        let running = self.slots.iter().filter(|slot| slot.cluster == cluster).filter_map(crate::world::Slot::running);
        running.map(|running| running.raft.status().borrow().term.0).max().unwrap_or(0)
    }
}

impl Act {
    /// Lays an ambush in a cluster, lures somebody into it, and starts again who died.
    pub async fn ambush(mut self, cluster: usize) {
        let world = self.world.clone();
        if !self.can_spare(cluster) && !self.rng.permille(100) {
            return;
        }
        let after_an_election = self.rng.permille(120);
        let (point, then) = if after_an_election { ("apply-batch.after", Then::GoesOn) } else { self.draw() };
        let passing = if after_an_election { 0 } else { self.rng.below(4) };
        let number = self.rng.number();
        let before = world.term(cluster);
        let lay = || world.lay(Ambush { number, cluster, point, passing, then, caught: None });
        if after_an_election {
            self.at_active(cluster, "transfer", "sys/step-down", json!({})).await;
            let elected = world.wait("another leads", PATIENCE, || world.term(cluster) > before).await;
            if elected.is_err() {
                return;
            }
            lay();
        } else {
            lay();
            self.lure(cluster, point);
        }
        let came =
            world.wait("somebody comes", PATIENCE, || world.caught(number).is_some() || world.is_mended.load(Ordering::Relaxed)).await;
        let caught = world.caught(number);
        world.lift(number);
        let Some(host) = caught.filter(|_| came.is_ok() && !world.is_mended.load(Ordering::Relaxed)) else { return };
        world.did("ambush");
        let dead = match then {
            Then::Dies(_) => vec![host],
            Then::GoesOn => self.cut_power(cluster, host, after_an_election).await,
            Then::Fails => {
                // If it did not end by now, that was no reason to.
                self.pause(2000, 3000).await;
                return world.slot(host).is_doomed.store(false, Ordering::Relaxed);
            }
            Then::Panics => return self.must_end(host, point).await,
        };
        self.pause(200, 4000).await;
        for host in dead.into_iter().filter(|host| world.slot(*host).is_wanted()) {
            world.order(Order::Start(host));
        }
    }

    fn draw(&mut self) -> (&'static str, Then) {
        if self.rng.permille(100) {
            return (*self.rng.pick(&OF_RAFT), Then::Panics);
        }
        let here: Vec<_> = POINTS.iter().filter(|point| !NOT_HERE.iter().any(|prefix| point.name.starts_with(prefix))).collect();
        let point = *self.rng.pick(&here);
        let then = match self.rng.below(10) {
            0..3 => Then::Dies(Loss::Process),
            3..6 => Then::Dies(Loss::Power),
            6..8 if point.can_fail => Then::Fails,
            _ => Then::GoesOn,
        };
        (point.name, then)
    }

    /// Does what leads to a place, if the plan has it.
    fn lure(&mut self, cluster: usize, point: &str) {
        let plan = &self.world.plan;
        let all: &[Fault] = match point.split_once('.').map_or(point, |(place, _)| place) {
            "vote-save" => &[Fault::Transfer],
            "keyring-write" => &[Fault::Rotate],
            "seal-config-write" => &[Fault::Rekey],
            "generation-write" | "bootstrap-commit" | "wipe" => &[Fault::Roles, Fault::Refill, Fault::Revoke],
            _ => &[],
        };
        let may: Vec<Fault> = all.iter().copied().filter(|fault| plan.may(*fault)).collect();
        if may.is_empty() || (point.starts_with("seal-config") && !takes_writes(&self.world, cluster)) {
            return;
        }
        let fault = *self.rng.pick(&may);
        let one = Self { world: self.world.clone(), clients: self.clients.clone(), rng: Rng::new(self.rng.number(), "lure") };
        tokio::spawn(one.carry_out_boxed(fault));
    }

    /// Cuts the power of one host, or of its cluster, a moment after it came where it was waited for.
    async fn cut_power(&mut self, cluster: usize, host: HostId, at_once: bool) -> Vec<HostId> {
        let world = self.world.clone();
        self.pause(0, if at_once { 4 } else { 25 }).await;
        let hosts = if at_once || self.rng.permille(300) { self.wanted(cluster) } else { vec![host] };
        for host in &hosts {
            world.order(Order::Down(*host, Loss::Power));
        }
        hosts
    }

    /// Where Raft panicked, nothing goes on.
    async fn must_end(&mut self, host: HostId, point: &str) {
        let (world, starts) = (self.world.clone(), self.world.slot(host).begun());
        let has_ended = || world.slot(host).begun() != starts || world.slot(host).running().is_none();
        if world.wait("it ends", ENDS_WITHIN, has_ended).await.is_err() {
            world.fail(format!("{} goes on, though Raft panicked at {point}", trace::name(host)));
        }
    }
}
