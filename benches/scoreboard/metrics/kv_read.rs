//! Metric 5: reads of a KV version 2 secret, from the active node.

use super::kv_write::clients;
use crate::cluster::System;
use crate::load::plan::{Pace, Work};
use crate::metric::Metric;
use crate::plots;
use crate::probe::Probe;
use crate::result::Measured;
use crate::rounds::interleaved;
use crate::session::{Case, Session};
use crate::stage::Stage;

const SYSTEMS: [System; 2] = [System::Coffer, System::OpenBao];
const CLIENTS: [u32; 2] = [1, 64];

/// Metric 5.
pub struct Reads;

impl Metric for Reads {
    fn number(&self) -> u8 {
        5
    }
    fn name(&self) -> &'static str {
        "kv-read"
    }
    fn title(&self) -> &'static str {
        "KV v2 reads at the active node"
    }
    fn run(&self, stage: &Stage) -> anyhow::Result<Measured> {
        let rounds = interleaved(stage, &SYSTEMS, |system| {
            let mut session = Session::begin(stage, system, false)?;
            for count in CLIENTS {
                session.measure(&Case { name: clients(count), work: Work::Read, clients: count, pace: Pace::Closed })?;
            }
            Ok(session.end())
        })?;
        let line = |count: u32, value: &str, unit: &str, up: bool| rounds.line(&clients(count), value, unit, up, &[System::OpenBao]);
        let floor = rounds.probed(Probe::read_cpu_us);
        let generator = rounds.reading(System::Coffer, &clients(64), "generator cpu us").value().unwrap_or_default();
        let cores = std::thread::available_parallelism().map_or(1, usize::from) as f64;
        let most = cores * 1_000_000.0 / (floor + generator);
        let lines = vec![
            line(64, "per second", "reads/s", true)
                .limit(Some(most))
                .bar_times("gate", 3.0, "openbao")
                .bar_times("moonshot", 6.0, "openbao"),
            line(64, "cpu us", "CPU-µs, all nodes", false).limit(Some(floor)).bar("gate", 75.0).bar("moonshot", 30.0),
            line(64, "p99 us", "p99 µs", false),
            line(1, "per second", "reads/s", true),
            line(1, "p50 us", "p50 µs", false).limit(Some(rounds.probed(|probe| probe.round_trip_us))),
        ];
        let picture = plots::distribution("Latency of a KV v2 read", &rounds, &SYSTEMS, &[&clients(1), &clients(64)]);
        Ok(Measured { lines, plots: vec![picture], ..rounds.measured() })
    }
}
