//! What clusters say of how far a copy is behind must be so: nobody says that a copy holds what it does not.
//!
//! A primary counts from what a secondary acknowledged to where it stood at its last heartbeat, a secondary from what it holds to what it
//! was last told. So neither may say less than what lies between where the primary stood a while ago and what the copy holds now.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use coffer::storage::Physical;
use serde_json::{Value, json};

use crate::nemesis::takes_writes;
use crate::net::HostId;
use crate::operator::{active, ask};
use crate::rng::Rng;
use crate::trace;
use crate::world::World;

const STATUS: &str = "sys/replication/performance/status";
/// How often a look may begin.
const SAMPLED: Duration = Duration::from_millis(100);
/// A primary makes a mark each second; a secondary that hears of none takes its link for broken after three.
const MARKED: Duration = Duration::from_millis(2500);
const HEARD: Duration = Duration::from_secs(6);

/// Looks at both ends of every link, now and then, until the simulation ends.
pub async fn watch(world: Arc<World>) {
    let mut rng = Rng::new(world.plan.seed, "honest");
    let clusters = 0..world.plan.sizes.len();
    loop {
        tokio::time::sleep(SAMPLED).await;
        if !rng.permille(80) {
            continue;
        }
        let Some(primary) = clusters.clone().find(|cluster| takes_writes(&world, *cluster)) else { continue };
        for copy in clusters.clone().filter(|cluster| *cluster != primary) {
            tokio::spawn(look(world.clone(), primary, copy));
        }
    }
}

/// Asks the primary, and later the copy, how far the copy is behind.
async fn look(world: Arc<World>, primary: usize, copy: usize) {
    let Some(asked) = active(&world, primary) else { return };
    let beliefs = (world.belief(primary), world.belief(copy));
    let is_as_before = || {
        active(&world, primary) == Some(asked)
            && takes_writes(&world, primary)
            && world.still_believes(primary, beliefs.0)
            && world.still_believes(copy, beliefs.1)
    };
    let stood = position(&world, asked);
    // One that is filled anew held more once, and those who do not hear of it believe so still.
    let holds = || world.reached[copy].load(Ordering::Relaxed);
    tokio::time::sleep(MARKED).await;
    let said = ask(&world, asked, "GET", STATUS, "", &json!({})).await;
    if let Ok((200, said)) = said
        && is_as_before()
    {
        let of_copy = |secondary: &&Value| secondary["api_address"].as_str().is_some_and(|address| is_of(&world, copy, address));
        for secondary in said["data"]["secondaries"].as_array().into_iter().flatten().filter(of_copy) {
            let holds = holds();
            judge(&world, asked, &secondary["lag_records"], stood, holds);
            // Of one that is away a primary counts to where it stands now, so it says how far it believes that one to be.
            let (stands, behind) = (said["data"]["last_performance_wal"].as_u64(), secondary["lag_records"].as_u64());
            if let (Some(stands), Some(behind)) = (stands, behind)
                && secondary["connection_status"] == "disconnected"
                && stands.saturating_sub(behind) > holds
            {
                let (name, believed) = (trace::name(asked), stands - behind);
                world.fail(format!("{name} says that a copy that is away holds {believed} records, and it holds {holds}"));
            }
        }
    }
    tokio::time::sleep(HEARD).await;
    let Some(asked) = active(&world, copy) else { return };
    let said = ask(&world, asked, "GET", STATUS, "", &json!({})).await;
    if let Ok((200, said)) = said
        && is_as_before()
        && said["data"]["state"] == "stream-wals"
    {
        judge(&world, asked, &said["data"]["lag_records"], stood, holds());
    }
}

fn judge(world: &World, asked: HostId, said: &Value, stood: u64, holds: u64) {
    let behind = stood.saturating_sub(holds);
    if said.as_u64().is_some_and(|said| said < behind) {
        let name = trace::name(asked);
        world.fail(format!("{name} says that a copy is {said} records behind, and it is {behind}: it holds {holds} of {stood}"));
    }
}

fn is_of(world: &World, cluster: usize, address: &str) -> bool {
    world.plan.all_of(cluster).iter().any(|host| address == world.api_addr(*host))
}

fn position(world: &World, host: HostId) -> u64 {
    world.slot(host).store().positions().performance.wal.0
}
