//! Metric 3: what a write costs the disk: flushes of the device, and bytes written, a node.

use super::kv_write::{PEERS, clients, rounds};
use crate::metric::Metric;
use crate::result::Measured;
use crate::stage::Stage;

/// Metric 3.
pub struct Disk;

impl Metric for Disk {
    fn number(&self) -> u8 {
        3
    }
    fn name(&self) -> &'static str {
        "kv-disk"
    }
    fn title(&self) -> &'static str {
        "flushes and KiB written for a KV v2 write, a node"
    }
    fn run(&self, stage: &Stage) -> anyhow::Result<Measured> {
        let rounds = rounds(stage)?;
        let mut lines = Vec::new();
        for (count, gate, moonshot, kib) in [(1, 2.0, 1.0, 8.0), (64, 0.2, 0.06, 2.0)] {
            let line = |value: &str, unit: &str| rounds.line(&clients(count), value, unit, false, &PEERS);
            lines.push(line("flushes a node", "flushes").limit(Some(1.0 / f64::from(count))).bar("gate", gate).bar("moonshot", moonshot));
            let blocks = if count == 1 { 4.0 } else { 4.0 / f64::from(count) };
            lines.push(line("KiB written a node", "KiB").limit(Some(blocks)).bar("moonshot", kib));
            lines.push(rounds.line(&clients(count), "own syncs", "syncs that Coffer counts itself", false, &[]));
        }
        let mut measured = Measured { lines, ..rounds.measured() };
        measured.notes.push(
            "flushes are those of the whole disk: whatever else runs adds to them, and flushes of nodes at the same time merge".into(),
        );
        Ok(measured)
    }
}
