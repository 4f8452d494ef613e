//! Carries out a plan: one thread for each hand, everything recorded, everything undone at the end.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::core::{Kind, Op, Process, Value};

use super::context::{Context, Installed};
use super::plan::{Act, Plan};

/// How often a fault is asked whether it is spent.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Carries out plans.
pub struct Villain {
    /// What it breaks.
    pub context: Context,
}

impl Villain {
    /// Carries out all acts at their times after `begin`; returns when the last is undone, or soon after `is_over`.
    pub fn act(&self, plan: &Plan, begin: Instant, is_over: &AtomicBool) {
        std::thread::scope(|scope| {
            for acts in &plan.hands {
                scope.spawn(move || {
                    for act in acts {
                        if !sleep_until(begin + Duration::from_millis(act.at_ms), is_over) {
                            return;
                        }
                        self.one(act, is_over);
                    }
                });
            }
        });
    }

    fn one(&self, act: &Act, is_over: &AtomicBool) {
        let (kind, value) = (act.fault.kind(), act.fault.value(&act.cluster));
        let start = format!("start-{kind}");
        self.record(&start, value.clone(), None);
        let result = act.fault.install(&self.context, &act.cluster, act.dice);
        match result {
            Err(why) => self.record(&start, value, Some(Err(why))),
            Ok(installed) => {
                self.record(&start, value.clone(), Some(Ok(installed.what.clone())));
                let end = Instant::now() + Duration::from_millis(act.for_ms);
                let is_spent = |installed: &Installed| installed.is_spent.as_ref().is_some_and(|is_spent| is_spent(&self.context));
                while Instant::now() < end && !is_spent(&installed) && sleep_until(end.min(Instant::now() + LOOK_EVERY), is_over) {}
                let stop = format!("stop-{kind}");
                self.record(&stop, value.clone(), None);
                let undone = (installed.undo)(&self.context);
                self.record(&stop, value, Some(undone));
            }
        }
    }

    /// Undoes whatever is in force: lines, pauses, clocks, disks, processes.
    ///
    /// # Errors
    /// If a cluster does not come back: a finding.
    pub fn heal(&self, limit: Duration) -> Result<(), String> {
        self.record("heal", Value::Nil, None);
        self.context.network.clear();
        for node in self.context.world.nodes() {
            crate::world::disk::empty(&node.data);
            if let Some(disk) = &node.disk {
                disk.set(crate::world::faultfs::Faults::default());
            }
            // Only a test build has a clock that can be off.
            let _ = crate::world::chaos::tell(node, "clock offset 0");
        }
        let healed = self.context.world.clusters.iter().try_for_each(|cluster| cluster.heal(limit));
        self.record("heal", Value::Nil, Some(healed.clone().map(|()| Value::Nil)));
        healed
    }

    /// A line of the nemesis: what it is about to do, or what came of it.
    pub fn record(&self, f: &str, value: Value, result: Option<Result<Value, String>>) {
        let op = Op::new(Kind::Info, Process::Nemesis, f, value);
        let op = match result {
            None => op,
            Some(Ok(what)) => op.with("outcome", Value::keyword("installed")).with("what", what),
            Some(Err(why)) => op.with("outcome", Value::keyword("skipped")).because(why),
        };
        self.context.recorder.record(op).expect("the disk takes the history");
    }
}

/// Sleeps; false if the run was over before.
fn sleep_until(moment: Instant, is_over: &AtomicBool) -> bool {
    while !is_over.load(Ordering::Relaxed) {
        let left = moment.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return true;
        }
        std::thread::sleep(left.min(Duration::from_millis(50)));
    }
    false
}
