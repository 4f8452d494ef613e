//! What a node says of its own health must be so: load balancers believe it. A standby that says it is well knows an active node, and that
//! one has not been gone for long.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use coffer::core::Standing;
use coffer::raft::Consensus;
use serde_json::Value;

use crate::net::{HostId, now};
use crate::operator::ask;
use crate::trace;
use crate::world::{Slot, World};

/// How often it is looked who is active.
const SAMPLED: Duration = Duration::from_millis(100);
/// A node is asked at every so manieth look.
const ASKED_EVERY: u32 = 8;
/// A standby that hears nothing may take as long to notice.
const NOTICED: Duration = Duration::from_secs(10);
/// What `sys/health` says of a standby that can hand requests on.
const STANDBY: u16 = 429;
/// What is said twice around a look at the leader was so in between, unless it changed twice.
const TIMES: usize = 3;

/// What is known of each host: when it led last, and whom it has named as active since when.
#[derive(Clone, Default)]
struct Known {
    led_at: Duration,
    named: Option<(HostId, Duration)>,
}

type All = Arc<Mutex<Vec<Known>>>;

/// Looks at all nodes until the simulation ends.
pub async fn watch(world: Arc<World>) {
    let all: All = Arc::new(Mutex::new(vec![Known::default(); world.slots.len()]));
    for look in 0_u32.. {
        tokio::time::sleep(SAMPLED).await;
        for slot in &world.slots {
            if leads(slot) {
                all.lock().expect("no holder of this lock panics")[slot.id.0].led_at = now();
            }
        }
        if look % ASKED_EVERY == 0 {
            for host in world.slots.iter().filter(|slot| slot.running().is_some()).map(|slot| slot.id) {
                tokio::spawn(ask_one(world.clone(), host, all.clone()));
            }
        }
    }
}

async fn ask_one(world: Arc<World>, host: HostId, all: All) {
    let begun = now();
    let mut named = Vec::new();
    for _ in 0..TIMES {
        if !says_standby(&world, host).await {
            all.lock().expect("no holder of this lock panics")[host.0].named = None;
            return;
        }
        let Ok((200, leader)) = ask(&world, host, "GET", "sys/leader", "", &Value::Null).await else { return };
        named.push(leader["leader_address"].as_str().unwrap_or_default().to_owned());
    }
    if !says_standby(&world, host).await {
        return;
    }
    let name = trace::name(host);
    if named.iter().all(String::is_empty) {
        return world.fail(format!("{name} says that it is a good standby, and knows no active node"));
    }
    let it = world.slots.iter().find(|slot| named.iter().all(|named| *named == world.api_addr(slot.id)));
    let mut all = all.lock().expect("no holder of this lock panics");
    all[host.0].named = it.map(|slot| match all[host.0].named {
        Some((before, since)) if before == slot.id => (before, since),
        _ => (slot.id, begun),
    });
    if let (Some(slot), Some((_, since))) = (it, all[host.0].named) {
        let gone = begun.saturating_sub(all[slot.id.0].led_at.max(since));
        if gone > NOTICED && !leads(slot) {
            let gone = gone.as_millis();
            world.fail(format!(
                "{name} says that it is a good standby of {}, which has not been active for {gone} ms",
                trace::name(slot.id)
            ));
        }
    }
}

/// Whether a node is active, or about to be.
fn leads(slot: &Slot) -> bool {
    slot.running().is_some_and(|running| running.core.standing() == Standing::Active || running.raft.status().borrow().is_leader)
}

async fn says_standby(world: &World, host: HostId) -> bool {
    matches!(ask(world, host, "GET", "sys/health", "", &Value::Null).await, Ok((STANDBY, _)))
}
