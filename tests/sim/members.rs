//! Nodes that go for good, and those that take their place: members that come and go, disks that are replaced.

use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::json;

use crate::disk::Loss;
use crate::nemesis::{Act, cut, lines_of};
use crate::net::HostId;
use crate::operator::{self, active, ask, join, votes};
use crate::trace;
use crate::world::Order;

impl Act {
    /// Replaces a disk of a cluster that is whole, and waits until its host votes again.
    pub async fn change_disk(&mut self, cluster: usize, loses_end: bool) {
        let world = self.world.clone();
        // One change of a cluster at a time: more would be a majority that lost what it had acknowledged.
        if !operator::is_whole(&world, cluster) || world.is_changing[cluster].swap(true, Ordering::Relaxed) {
            return;
        }
        let host = self.victim(cluster);
        self.replace_disk(host, loses_end).await;
        let is_back = || !world.slot(host).is_wanted() || operator::is_whole(&world, cluster);
        // If it does not come back, it is left alone, and the last look at everything shows it.
        if world.wait("it votes again", operator::STEP, is_back).await.is_ok() {
            world.is_changing[cluster].store(false, Ordering::Relaxed);
        }
    }

    /// A host comes back with an empty disk, and joins as if it were new; before that it is started with one that lost most of its log
    /// perhaps, which must not be opened.
    async fn replace_disk(&mut self, host: HostId, loses_end: bool) {
        let world = self.world.clone();
        let slot = world.slot(host);
        world.order(Order::Down(host, Loss::Power));
        self.pause(50, 500).await;
        // Another act may have started it again.
        if loses_end && slot.running().is_none() {
            if !slot.disk.lose_end(&slot.folder.join("raft")) {
                return world.order(Order::Start(host));
            }
            world.did("lost end");
            slot.has_lost_log.store(true, Ordering::Relaxed);
            world.order(Order::Start(host));
            self.pause(1000, 4000).await;
        }
        world.did("new disk");
        world.order(Order::Wipe(host));
        self.pause(50, 500).await;
        if slot.is_wanted() {
            world.order(Order::Start(host));
            self.pause(100, 500).await;
            // Whatever comes of it: those that have lost their way in are looked after.
            if let Some(leader) = active(&world, slot.cluster).filter(|leader| *leader != host) {
                let done = join(&world, host, leader).await;
                operator::told(&format!("{} joins with a new disk", trace::name(host)), &done);
            }
        }
    }

    /// Adds a node, or removes one that is not active; a removed one is wiped, and may come back as a new one.
    pub async fn change_members(&mut self, cluster: usize) {
        let world = self.world.clone();
        if !world.is_changing[cluster].swap(true, Ordering::Relaxed) {
            self.replace(cluster).await;
            world.is_changing[cluster].store(false, Ordering::Relaxed);
        }
    }

    async fn replace(&mut self, cluster: usize) {
        let world = self.world.clone();
        let all = world.plan.all_of(cluster);
        let (inside, outside): (Vec<HostId>, Vec<HostId>) = all.into_iter().partition(|host| world.slot(*host).is_wanted());
        let Some(leader) = active(&world, cluster) else { return };
        let grows = inside.len() <= world.plan.sizes[cluster];
        if let Some(new) = outside.first().copied().filter(|_| grows) {
            world.did("join");
            world.slot(new).want(true);
            world.order(Order::Wipe(new));
            world.order(Order::Start(new));
            self.pause(100, 500).await;
            // Now and then one voter does not hear of it, and the leader is gone when he comes back.
            let is_apart = self.can_spare(cluster) && self.rng.permille(300);
            let apart = inside.iter().copied().find(|host| is_apart && *host != leader);
            let lines = apart.map(|host| lines_of(&world, host)).unwrap_or_default();
            cut(&world, &lines, true);
            let done = join(&world, new, leader).await;
            if apart.is_some() {
                let _ = world.wait("the new one votes", Duration::from_secs(8), || votes(&world, cluster, new)).await;
                tokio::spawn({
                    let (world, down) = (world.clone(), Duration::from_millis(self.rng.between(500, 4000)));
                    async move { world.be_down(leader, Loss::Process, down).await }
                });
                cut(&world, &lines, false);
            }
            operator::told(&format!("{} joins", trace::name(new)), &done);
            if done.is_err() {
                world.slot(new).want(false);
                world.order(Order::Down(new, Loss::Process));
                self.remove(cluster, new).await;
            }
        } else {
            let Some(old) = inside.into_iter().find(|host| *host != leader) else { return };
            if !self.can_spare(cluster) {
                return;
            }
            world.did("remove");
            if self.remove(cluster, old).await {
                world.slot(old).want(false);
                self.pause(200, 3000).await;
                world.order(Order::Wipe(old));
            }
        }
    }

    /// A member that is gone already is removed too, as far as the API is concerned.
    async fn remove(&mut self, cluster: usize, host: HostId) -> bool {
        let body = json!({ "server_id": self.world.names[host.0] });
        for _ in 0..40 {
            if let Some(leader) = active(&self.world, cluster)
                && let Ok((200..300, _)) =
                    ask(&self.world, leader, "PUT", "sys/storage/raft/remove-peer", &self.world.root(cluster), &body).await
            {
                return true;
            }
            self.pause(200, 600).await;
        }
        false
    }
}
