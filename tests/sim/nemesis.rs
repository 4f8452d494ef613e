//! What goes wrong: one fault after another, each undone after a while, several at a time; then everything is mended.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use coffer::machine::Role;
use coffer::storage::Physical;
use serde_json::{Value, json};

use crate::clients::Clients;
use crate::disk::Loss;
use crate::net::{HostId, now};
use crate::operator::{active, ask, role};
use crate::plan::{Fault, Weather};
use crate::rng::Rng;
use crate::world::{Order, World};
use crate::{roles, seal, trace};

/// Breaks things until the plan says that it is enough.
pub async fn run(world: &Arc<World>, clients: &Arc<Clients>) {
    let plan = &world.plan;
    let mut rng = Rng::new(plan.seed, "nemesis");
    let end = now() + plan.chaos;
    let faults: Vec<Fault> = plan.faults.iter().copied().collect();
    let pace = u64::try_from(plan.pace.as_millis()).unwrap_or(1000);
    while now() < end {
        tokio::time::sleep(Duration::from_millis(rng.between(pace / 4, pace * 7 / 4))).await;
        if faults.is_empty() {
            continue;
        }
        let fault = *rng.pick(&faults);
        trace::line(format_args!("nemesis: {fault:?}"));
        let one = Act { world: world.clone(), clients: clients.clone(), rng: Rng::new(rng.number(), "act") };
        // Side by side, so that one that takes long does not hold the others up.
        tokio::spawn(one.carry_out(fault));
    }
}

/// Undoes everything.
pub async fn mend(world: &Arc<World>) {
    world.is_mended.store(true, Ordering::Relaxed);
    world.net.heal();
    world.net.change(Weather { loss_permille: 0, ..world.plan.weather.clone() });
    for slot in &world.slots {
        slot.disk.break_it(|faults| {
            (faults.fails_next, faults.is_full, faults.stall_permille) = (false, false, 0);
            faults.sync_micros = world.plan.sync_micros;
        });
        slot.clock.offset.store(0, Ordering::Relaxed);
        slot.is_late_by_ms.store(0, Ordering::Relaxed);
        world.order(Order::Hold(slot.id, false));
        if slot.is_wanted() {
            world.order(Order::Start(slot.id));
        }
    }
}

/// One fault that is being carried out.
pub struct Act {
    pub world: Arc<World>,
    pub clients: Arc<Clients>,
    pub rng: Rng,
}

impl Act {
    /// Waits for so long.
    pub async fn pause(&mut self, least_ms: u64, most_ms: u64) {
        tokio::time::sleep(Duration::from_millis(self.rng.between(least_ms, most_ms))).await;
    }

    fn cluster(&mut self) -> usize {
        self.rng.index(self.world.plan.sizes.len())
    }

    /// The active node now and then, else any.
    pub fn victim(&mut self, cluster: usize) -> HostId {
        let wanted = self.world.wanted(cluster);
        match active(&self.world, cluster) {
            Some(active) if self.rng.permille(500) => active,
            _ => *self.rng.pick(&wanted),
        }
    }

    /// Whether a cluster can lose one more host and still have a majority.
    pub fn can_spare(&self, cluster: usize) -> bool {
        let wanted = self.world.wanted(cluster);
        let up =
            wanted.iter().filter(|host| self.world.net.listens(**host) && !self.world.slot(**host).is_held.load(Ordering::Relaxed)).count();
        up > wanted.len() / 2 + 1
    }

    /// The same for acts that lead to others.
    pub fn carry_out_boxed(self, fault: Fault) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(self.carry_out(fault))
    }

    async fn carry_out(mut self, fault: Fault) {
        // The last one may be spawned in the moment in which everything is mended.
        if self.world.is_mended.load(Ordering::Relaxed) {
            return;
        }
        let cluster = self.cluster();
        let world = self.world.clone();
        match fault {
            Fault::Kill | Fault::Power => {
                let (host, loss) = (self.victim(cluster), if fault == Fault::Kill { Loss::Process } else { Loss::Power });
                // Seldom a majority, so that there is something to break.
                if !self.can_spare(cluster) && !self.rng.permille(100) {
                    return;
                }
                world.did(if fault == Fault::Kill { "kill" } else { "power" });
                world.be_down(host, loss, Duration::from_millis(self.rng.between(200, 5000))).await;
            }
            Fault::Blackout => {
                if !self.rng.permille(300) {
                    return;
                }
                world.did("blackout");
                let hosts = self.world.wanted(cluster);
                for host in &hosts {
                    world.order(Order::Down(*host, Loss::Power));
                }
                self.pause(500, 3000).await;
                for host in hosts.into_iter().filter(|host| world.slot(*host).is_wanted()) {
                    world.order(Order::Start(host));
                    self.pause(0, 400).await;
                }
            }
            Fault::Split => {
                let mut hosts = world.plan.all_of(cluster);
                self.rng.shuffle(&mut hosts);
                if let Some(active) = active(&world, cluster).filter(|_| self.rng.permille(500)) {
                    hosts.retain(|host| *host != active);
                    hosts.insert(0, active);
                }
                let (one, other) = hosts.split_at(self.rng.index(hosts.len() - 1) + 1);
                let pairs: Vec<(HostId, HostId)> = one.iter().flat_map(|a| other.iter().flat_map(move |b| [(*a, *b), (*b, *a)])).collect();
                self.cut_for_a_while("split", pairs).await;
            }
            Fault::OneWay => {
                let victim = self.victim(cluster);
                let others = world.plan.all_of(cluster).into_iter().filter(|host| *host != victim);
                let is_deaf = self.rng.permille(500);
                let pairs = others.map(|other| if is_deaf { (other, victim) } else { (victim, other) }).collect();
                self.cut_for_a_while("one way", pairs).await;
            }
            Fault::Between => {
                if world.plan.sizes.len() < 2 {
                    return;
                }
                let one = self.cluster();
                let other = *self.rng.pick(&world.plan.clusters_but(&[one]));
                let (ours, theirs) = (world.plan.all_of(one), world.plan.all_of(other));
                let way = self.rng.below(3);
                let pairs = ours.iter().flat_map(|a| {
                    theirs.iter().flat_map(move |b| match way {
                        0 => vec![(*a, *b), (*b, *a)],
                        1 => vec![(*a, *b)],
                        _ => vec![(*b, *a)],
                    })
                });
                let pairs = pairs.collect();
                self.cut_for_a_while("between", pairs).await;
            }
            Fault::Storm => {
                world.did("storm");
                let calm = &world.plan.weather;
                let storm = Weather {
                    near: (calm.near.0, calm.near.1 * self.rng.between(3, 15)),
                    far: (calm.far.0, calm.far.1 * self.rng.between(2, 6)),
                    loss_permille: self.rng.between(10, 150),
                    ..calm.clone()
                };
                world.net.change(storm);
                self.pause(500, 5000).await;
                world.net.change(world.plan.weather.clone());
            }
            Fault::SlowDisk => {
                world.did("slow disk");
                let slot = world.slot(self.victim(cluster));
                let (low, high) = world.plan.sync_micros;
                let times = self.rng.between(5, 60);
                slot.disk.break_it(|faults| faults.sync_micros = (low * times, high * times));
                self.pause(500, 6000).await;
                slot.disk.break_it(|faults| faults.sync_micros = (low, high));
            }
            Fault::DiskError => {
                if self.can_spare(cluster) {
                    world.did("disk error");
                    let host = self.victim(cluster);
                    world.slot(host).disk.break_it(|faults| faults.fails_next = true);
                }
            }
            Fault::DiskFull => {
                if self.can_spare(cluster) {
                    world.did("disk full");
                    let slot = world.slot(self.victim(cluster));
                    slot.disk.break_it(|faults| faults.is_full = true);
                    self.pause(500, 6000).await;
                    slot.disk.break_it(|faults| faults.is_full = false);
                }
            }
            Fault::LostEnd | Fault::NewDisk => self.change_disk(cluster, fault == Fault::LostEnd).await,
            Fault::Clock => {
                world.did("clock");
                let slot = world.slot(self.victim(cluster));
                let far = if self.rng.permille(200) { 600_000 } else { 30_000 };
                let off = i64::try_from(self.rng.between(0, 2 * far)).unwrap_or(0) - i64::try_from(far).unwrap_or(0);
                slot.clock.offset.store(off, Ordering::Relaxed);
                self.pause(1000, 15_000).await;
                slot.clock.offset.store(0, Ordering::Relaxed);
            }
            Fault::Transfer => self.at_active(cluster, "transfer", "sys/step-down", json!({})).await,
            Fault::Seal => self.at_active(cluster, "seal", "sys/seal", json!({})).await,
            Fault::Rotate => {
                let primary = (0..world.plan.sizes.len()).find(|cluster| takes_writes(&world, *cluster)).unwrap_or(0);
                // Two operators at once: only one of them may be the first.
                let rotate = || self.at_active(primary, "rotate", "sys/rotate", json!({}));
                tokio::join!(rotate(), rotate());
            }
            Fault::Members => self.change_members(cluster).await,
            Fault::Ambush => self.ambush(cluster).await,
            Fault::Comeback => self.come_back(cluster).await,
            Fault::Late => self.be_late(cluster).await,
            Fault::Pause => self.stand_still(cluster).await,
            Fault::Roles | Fault::Force | Fault::Revoke | Fault::Refill => {
                // One change at a time.
                if world.plan.sizes.len() < 2 || world.is_swapping.swap(true, Ordering::Relaxed) {
                    return;
                }
                let primary = (0..world.plan.sizes.len())
                    .find(|cluster| matches!(role(&world, *cluster), Some(Role::Primary { fenced_by: None, .. })));
                if let Some(primary) = primary {
                    let secondary = *self.rng.pick(&world.plan.clusters_but(&[primary]));
                    self.change_roles(fault, primary, secondary).await;
                }
                world.is_swapping.store(false, Ordering::Relaxed);
            }
            Fault::Rekey => {
                if let Some(primary) = (0..world.plan.sizes.len()).find(|cluster| takes_writes(&world, *cluster))
                    && self.can_spare(primary)
                {
                    seal::rekey(&world, primary, &mut self.rng).await;
                }
            }
        }
    }

    async fn change_roles(&mut self, fault: Fault, primary: usize, secondary: usize) {
        let (world, clients) = (&self.world, &self.clients);
        match fault {
            Fault::Roles => roles::swap(world, primary, secondary).await,
            Fault::Force if primary == 0 && secondary == 1 && !world.is_forced.swap(true, Ordering::Relaxed) => {
                roles::force(world, clients, primary, secondary, &mut self.rng).await;
            }
            Fault::Revoke => roles::throw_out(world, primary, &mut self.rng).await,
            Fault::Refill => roles::fill_anew(world, clients, primary, secondary, &mut self.rng).await,
            _ => {}
        }
    }

    /// Hosts of `pairs` do not hear each other for a while, the second of each not the first.
    pub async fn cut_for_a_while(&mut self, what: &'static str, pairs: Vec<(HostId, HostId)>) {
        self.world.did(what);
        trace::line(format_args!("cut {pairs:?}"));
        cut(&self.world, &pairs, true);
        self.pause(300, 8000).await;
        cut(&self.world, &pairs, false);
        trace::line(format_args!("mended {pairs:?}"));
    }

    pub async fn at_active(&self, cluster: usize, what: &'static str, path: &str, body: Value) {
        let Some(host) = active(&self.world, cluster) else { return };
        // Whatever comes of it: the next look at the cluster shows.
        if matches!(ask(&self.world, host, "PUT", path, &self.world.root(cluster), &body).await, Ok((200..300, _))) {
            self.world.did(what);
        }
    }
}

/// All ways between a host and the others of its cluster.
pub fn lines_of(world: &World, host: HostId) -> Vec<(HostId, HostId)> {
    let others = world.plan.all_of(world.slot(host).cluster).into_iter().filter(|other| *other != host);
    others.flat_map(|other| [(host, other), (other, host)]).collect()
}

/// Hosts of `pairs` do not hear each other, the second of each not the first, until the same is said with `false`.
pub fn cut(world: &World, pairs: &[(HostId, HostId)], is_cut: bool) {
    pairs.iter().for_each(|(from, to)| world.net.cut(*from, *to, is_cut));
}

/// Whether the cluster is a primary that was not replaced, or alone.
pub fn takes_writes(world: &World, cluster: usize) -> bool {
    !matches!(role(world, cluster), Some(Role::Secondary { .. } | Role::Primary { fenced_by: Some(_), .. }) | None)
        && active(world, cluster).is_some_and(|host| world.slot(host).store().role().may_write(coffer::types::Scope::Shared))
}
