//! Writes through the secondary's nodes, reads through the primary's: acknowledged there means committed here, once.

use crate::check::{Verdict, register as check};
use crate::core::History;

use super::actor::Actor;
use super::stage::Stage;
use super::{Workload, decided, kv, register};

const MOUNT: &str = "forward";
const KEYS: u64 = 8;

/// The workload.
pub struct Forward;

impl Workload for Forward {
    fn name(&self) -> &'static str {
        "forward"
    }

    fn is_across(&self) -> bool {
        true
    }

    fn set_up(&self, stage: &Stage) -> Result<(), String> {
        kv::mount(stage.world.first(), MOUNT, 0)
    }

    fn step(&self, actor: &mut Actor<'_>) {
        let world = &actor.stage.world;
        let (here, there) = (world.first(), world.clusters.last().unwrap_or(world.first()));
        let (near, far) = (&here.nodes[actor.slot % here.nodes.len()], &there.nodes[actor.slot % there.nodes.len()]);
        let key = format!("k{}", actor.rng.below(KEYS));
        actor.move_to(near);
        match actor.rng.below(10) {
            0..4 => {
                register::read(actor, MOUNT, &key);
            }
            4..7 => {
                actor.move_to(far);
                register::write(actor, MOUNT, &key);
            }
            _ => {
                let Some(version) = register::read(actor, MOUNT, &key) else { return };
                actor.move_to(far);
                register::replace(actor, MOUNT, &key, version);
            }
        }
    }

    fn finish(&self, actor: &mut Actor<'_>) {
        for key in 0..KEYS {
            register::read(actor, MOUNT, &format!("k{key}"));
        }
    }

    fn check(&self, history: &History) -> Verdict {
        decided(self.name(), check::check(history))
    }
}
