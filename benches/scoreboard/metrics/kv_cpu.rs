//! Metric 4: what a write costs in processor time, over all nodes.

use super::kv_write::{PEERS, clients, rounds};
use crate::metric::Metric;
use crate::probe::Probe;
use crate::result::Measured;
use crate::stage::Stage;

/// Metric 4.
pub struct Processor;

impl Metric for Processor {
    fn number(&self) -> u8 {
        4
    }
    fn name(&self) -> &'static str {
        "kv-cpu"
    }
    fn title(&self) -> &'static str {
        "processor time of a KV v2 write, sum of all nodes"
    }
    fn run(&self, stage: &Stage) -> anyhow::Result<Measured> {
        let rounds = rounds(stage)?;
        let line = |count: u32| rounds.line(&clients(count), "cpu us", "CPU-µs", false, &PEERS);
        let limit = Some(rounds.probed(Probe::write_cpu_us));
        let lines = vec![
            line(1).limit(limit),
            line(64).limit(limit).bar("gate", 400.0).bar("moonshot", 150.0),
            rounds.line(&clients(64), "generator cpu us", "CPU-µs of the load generator", false, &PEERS).context(),
            rounds.line(&clients(64), "busy share", "share of all cores in use", true, &PEERS).context(),
        ];
        Ok(Measured { lines, ..rounds.measured() })
    }
}
