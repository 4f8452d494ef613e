//! Changes of the active node to one that is not ready for it: it was away, stood still, or is late with what it applies.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::json;

use crate::disk::Loss;
use crate::nemesis::{Act, cut, lines_of};
use crate::net::HostId;
use crate::operator::active;
use crate::world::{Order, World};

impl Act {
    /// A process stands still, the active node's now and then, and goes on as if no time had passed.
    pub async fn stand_still(&mut self, cluster: usize) {
        let world = self.world.clone();
        let host = self.victim(cluster);
        if !self.can_spare(cluster) && !self.rng.permille(200) {
            return;
        }
        world.did("pause");
        world.order(Order::Hold(host, true));
        self.pause(50, 9000).await;
        world.order(Order::Hold(host, false));
    }

    /// The active node hears of nothing for a while, in which the others go on without it; then it comes back, and is the active one again.
    /// What it remembers is of another time. Sometimes one of the others restarts just then, and what it promised has to hold.
    pub async fn come_back(&mut self, cluster: usize) {
        let world = self.world.clone();
        let Some(gone) = active(&world, cluster) else { return };
        let others: Vec<HostId> = world.plan.all_of(cluster).into_iter().filter(|host| *host != gone).collect();
        if self.rng.permille(300) && self.can_spare(cluster) && others.len() > 1 {
            // One of the others would take over, and needs the vote of one who still hears the active node: just that one restarts, at once.
            let waits = *self.rng.pick(&others);
            let hears = *others.iter().find(|host| **host != waits && world.slot(**host).is_wanted()).unwrap_or(&waits);
            cut(&world, &[(gone, waits), (waits, gone)], true);
            self.pause(800, 3000).await;
            tokio::spawn(restart(world.clone(), hears, 0, self.rng.between(0, 30)));
        } else if self.rng.permille(400) && self.can_spare(cluster) {
            tokio::spawn(restart(world.clone(), *self.rng.pick(&others), self.rng.between(0, 150), self.rng.between(0, 100)));
        }
        self.cut_for_a_while("away", lines_of(&world, gone)).await;
        for _ in 0..8 {
            self.pause(300, 1500).await;
            match active(&world, cluster) {
                Some(active) if active == gone => return world.did("come back"),
                Some(_) => self.at_active(cluster, "transfer", "sys/step-down", json!({})).await,
                None => {}
            }
        }
    }

    /// A standby's store holds up what it applies, and the office goes to it perhaps, before it has applied all that was acknowledged.
    pub async fn be_late(&mut self, cluster: usize) {
        let world = self.world.clone();
        let standbys: Vec<HostId> = self.world.wanted(cluster).into_iter().filter(|host| Some(*host) != active(&world, cluster)).collect();
        if standbys.is_empty() {
            return;
        }
        world.did("late");
        let slot = world.slot(*self.rng.pick(&standbys));
        slot.is_late_by_ms.store(self.rng.between(200, 1500), Ordering::Relaxed);
        self.pause(500, 2000).await;
        self.at_active(cluster, "transfer", "sys/step-down", json!({})).await;
        self.pause(500, 4000).await;
        slot.is_late_by_ms.store(0, Ordering::Relaxed);
    }
}

/// A process ends soon, and is started again almost at once.
async fn restart(world: Arc<World>, host: HostId, after_ms: u64, down_ms: u64) {
    tokio::time::sleep(Duration::from_millis(after_ms)).await;
    if world.slot(host).is_wanted() && !world.is_mended.load(Ordering::Relaxed) {
        world.did("restart");
        world.be_down(host, Loss::Process, Duration::from_millis(down_ms)).await;
    }
}
