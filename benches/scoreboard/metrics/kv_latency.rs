//! Metric 2: how long a write takes, alone and under half and most of the load that the system can take.

use super::kv_write::{PEERS, SYSTEMS, clients, open, rounds};
use crate::metric::Metric;
use crate::plots;
use crate::result::Measured;
use crate::stage::Stage;

/// Metric 2.
pub struct Latency;

impl Metric for Latency {
    fn number(&self) -> u8 {
        2
    }
    fn name(&self) -> &'static str {
        "kv-latency"
    }
    fn title(&self) -> &'static str {
        "how long a KV v2 write takes (open loop: from the time it should have been sent)"
    }
    fn run(&self, stage: &Stage) -> anyhow::Result<Measured> {
        let rounds = rounds(stage)?;
        let (alone, half, most) = (clients(1), open(50), open(80));
        let floor = rounds.probed(|probe| probe.round_trip_us + probe.sync_p10_us);
        let line = |case: &str, value: &str, unit: &str| rounds.line(case, value, unit, false, &PEERS);
        let p50 = line(&alone, "p50 us", "p50 µs").limit(Some(floor));
        let p50_bound = 1.5 * floor + 200.0;
        let p99_bound = 3.0 * p50.coffer.value().unwrap_or_default();
        let lines = vec![
            p50.bar_times("gate", 1.0, "openbao").bar_times("moonshot", 1.0, "etcd").bar("moonshot", p50_bound),
            line(&alone, "p99 us", "p99 µs").limit(Some(rounds.probed(|probe| probe.round_trip_us + probe.sync_p99_us))),
            line(&half, "p50 us", "p50 µs"),
            line(&half, "p99 us", "p99 µs").bar_times("gate", 1.0, "openbao").bar_times("moonshot", 1.0, "etcd").bar("moonshot", p99_bound),
            line(&most, "p50 us", "p50 µs"),
            line(&most, "p99 us", "p99 µs"),
            line(&half, "run-queue wait us", "µs waited for a processor, all nodes"),
        ];
        let picture = |title: &str, case: &str| plots::distribution(title, &rounds, &SYSTEMS, &[case]);
        let pictures = vec![
            picture("Latency of a KV v2 write, 1 client", &alone),
            picture("Latency of a KV v2 write, 64 clients", &clients(64)),
            picture("Latency of a KV v2 write at 50 % of each system's maximum", &half),
            picture("Latency of a KV v2 write at 80 % of each system's maximum", &most),
        ];
        Ok(Measured { lines, plots: pictures, ..rounds.measured() })
    }
}
