//! Ambushes: whoever comes to a certain place in the product meets his end there, right after it, or an error. The places are the
//! product's failpoints, and the first commits of a new leader.

use std::sync::MutexGuard;
use std::sync::atomic::Ordering;
use std::time::Duration;

use coffer::chaos::{POINTS, Verdict};
use coffer::raft::Consensus;
use coffer::raft::simulated::HostStopped;
use serde_json::json;

use crate::disk::Loss;
use crate::nemesis::{Act, takes_writes};
use crate::net::{HostId, now};
use crate::plan::Fault;
use crate::rng::Rng;
use crate::trace;
use crate::world::{Order, Slot, World};

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

impl Ambush {
    /// An audit file whose disk is full stays so for a while, for all who come.
    fn lasts(&self) -> bool {
        self.then == Then::Fails && self.point.starts_with("audit-write")
    }
}

impl World {
    /// The product has come to one of its failpoints.
    pub fn comes_to(&self, point: &'static str) -> Verdict {
        // A host that only begins to run has nothing to lose yet; one that was caught does nothing any more.
        let Some(host) = trace::host().filter(|host| self.slot(*host).running().is_some()) else { return Verdict::Pass };
        if self.is_ending(host) {
            std::panic::panic_any(HostStopped);
        }
        if self.is_mended.load(Ordering::Relaxed) {
            return Verdict::Pass;
        }
        let then = {
            let mut ambushes = self.ambushes();
            let cluster = self.slot(host).cluster;
            let laid = ambushes.iter_mut().find(|it| (it.caught.is_none() || it.lasts()) && it.cluster == cluster && it.point == point);
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
                self.net.end(host, loss);
                self.order(Order::Down(host, loss));
                std::panic::panic_any(HostStopped)
            }
        }
    }

    fn ambushes(&self) -> MutexGuard<'_, Vec<Ambush>> {
        self.ambushes.lock().expect("no holder of this lock panics")
    }

    fn lay(&self, ambush: Ambush) {
        self.ambushes().push(ambush);
    }

    fn caught(&self, number: u64) -> Option<HostId> {
        self.ambushes().iter().find(|it| it.number == number).and_then(|it| it.caught)
    }

    fn lift(&self, number: u64) {
        self.ambushes().retain(|it| it.number != number);
    }

    /// The newest term that a node of a cluster knows.
    fn term(&self, cluster: usize) -> u64 {
        let running = self.slots.iter().filter(|slot| slot.cluster == cluster).filter_map(Slot::running);
        running.map(|running| running.raft.status().borrow().term.0).max().unwrap_or(0)
    }

    /// Whether a cluster has a leader of a term after `term`, of which another node has an entry.
    fn is_followed_since(&self, cluster: usize, term: u64) -> bool {
        self.slots.iter().filter(|slot| slot.cluster == cluster).filter_map(Slot::running).any(|running| {
            let status = running.raft.status().borrow().clone();
            let mut peers = running.raft.contacts().peers.into_values();
            status.is_leader && status.term.0 > term && peers.any(|peer| peer.matched_term == status.term)
        })
    }
}

impl Act {
    /// Lays an ambush in a cluster, lures somebody into it, and starts again who died.
    pub async fn ambush(mut self, cluster: usize) {
        let world = self.world.clone();
        if !self.can_spare(cluster) && !self.rng.permille(100) {
            return;
        }
        let dead = if self.rng.permille(120) { self.at_an_election(cluster).await } else { self.at_a_point(cluster).await };
        if !dead.is_empty() {
            self.pause(200, 4000).await;
        }
        for host in dead.into_iter().filter(|host| world.slot(*host).is_wanted()) {
            world.order(Order::Start(host));
        }
    }

    /// Who comes to a failpoint; gives back who is to be started again.
    async fn at_a_point(&mut self, cluster: usize) -> Vec<HostId> {
        let world = self.world.clone();
        let ((point, then), number, passing) = (self.draw(), self.rng.number(), self.rng.below(4));
        world.lay(Ambush { number, cluster, point, passing, then, caught: None });
        self.lure(cluster, point);
        let has_come = || world.caught(number).is_some() || world.is_mended.load(Ordering::Relaxed);
        let came = world.wait("somebody comes", PATIENCE, has_come).await;
        let caught = world.caught(number).filter(|_| came.is_ok() && !world.is_mended.load(Ordering::Relaxed));
        let dead = match caught {
            Some(host) => self.meets(host, cluster, point, then).await,
            None => Vec::new(),
        };
        world.lift(number);
        dead
    }

    /// What becomes of who came; gives back who is to be started again.
    async fn meets(&mut self, host: HostId, cluster: usize, point: &str, then: Then) -> Vec<HostId> {
        self.world.did("ambush");
        match then {
            Then::Dies(_) => return vec![host],
            Then::GoesOn => {
                let hosts = if self.rng.permille(300) { self.world.wanted(cluster) } else { vec![host] };
                self.pause(0, 25).await;
                return self.cut_power(hosts);
            }
            Then::Fails => {
                // If it did not end by now, that was no reason to.
                self.pause(2000, 3000).await;
                self.world.slot(host).is_doomed.store(false, Ordering::Relaxed);
            }
            Then::Panics => self.must_end(host, point).await,
        }
        Vec::new()
    }

    /// A cluster whose new leader was just told that another node has what it wrote first.
    async fn at_an_election(&mut self, cluster: usize) -> Vec<HostId> {
        let world = self.world.clone();
        let (before, end) = (world.term(cluster), now() + PATIENCE);
        self.at_active(cluster, "transfer", "sys/step-down", json!({})).await;
        while !world.is_followed_since(cluster, before) {
            if now() > end || world.is_mended.load(Ordering::Relaxed) {
                return Vec::new();
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        world.did("ambush");
        self.pause(0, 2).await;
        self.cut_power(self.world.wanted(cluster))
    }

    fn cut_power(&self, hosts: Vec<HostId>) -> Vec<HostId> {
        if self.world.is_mended.load(Ordering::Relaxed) {
            return Vec::new();
        }
        hosts.iter().for_each(|host| self.world.order(Order::Down(*host, Loss::Power)));
        hosts
    }

    fn draw(&mut self) -> (&'static str, Then) {
        if self.rng.permille(100) {
            return (*self.rng.pick(&OF_RAFT), Then::Panics);
        }
        if self.world.plan.audits && self.rng.permille(150) {
            return ("audit-write.before", Then::Fails);
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

    /// Where Raft panicked, nothing goes on.
    async fn must_end(&mut self, host: HostId, point: &str) {
        let (world, starts) = (self.world.clone(), self.world.slot(host).begun());
        let has_ended = || world.slot(host).begun() != starts || world.slot(host).running().is_none();
        if world.wait("it ends", ENDS_WITHIN, has_ended).await.is_err() {
            world.fail(format!("{} goes on, though Raft panicked at {point}", trace::name(host)));
        }
    }
}
