//! Metric 11: what one audit device of type `file` adds to a read: processor time, bytes, latency; and to the disk.

use crate::cluster::System;
use crate::load::plan::{Pace, Work};
use crate::metric::Metric;
use crate::result::{Measured, Turn};
use crate::rounds::interleaved;
use crate::session::{Case, Session};
use crate::stage::Stage;

const SYSTEMS: [System; 2] = [System::Coffer, System::OpenBao];
const WITHOUT: &str = "64 clients, no audit";
const WITH: &str = "64 clients, audit";
const CALM_WITHOUT: &str = "1 client, no audit";
const CALM: &str = "1 client, audit";

/// Metric 11.
pub struct Audit;

impl Metric for Audit {
    fn number(&self) -> u8 {
        11
    }
    fn name(&self) -> &'static str {
        "audit"
    }
    fn title(&self) -> &'static str {
        "what an audit file adds to a KV v2 read"
    }
    fn run(&self, stage: &Stage) -> anyhow::Result<Measured> {
        let rounds = interleaved(stage, &SYSTEMS, |system| turn(stage, system))?;
        let line = |case: &str, value: &str, unit: &str| rounds.line(case, value, unit, false, &[System::OpenBao]);
        let lines = vec![
            line(WITHOUT, "cpu us", "CPU-µs a read"),
            line(WITH, "cpu us", "CPU-µs a read"),
            line(WITH, "added cpu us", "CPU-µs added").bar("moonshot", 10.0),
            line(CALM, "added p99 us", "p99 µs added"),
            line(WITH, "audit bytes", "bytes a read in the file"),
            line(WITH, "flushes a node", "flushes").limit(Some(0.0)),
        ];
        Ok(Measured { lines, ..rounds.measured() })
    }
}

fn turn(stage: &Stage, system: System) -> anyhow::Result<Vec<Turn>> {
    let case = |name: &str, clients: u32| Case { name: name.into(), work: Work::Read, clients, pace: Pace::Closed };
    let mut turns = Vec::new();
    for (audit, calm, busy) in [(false, CALM_WITHOUT, WITHOUT), (true, CALM, WITH)] {
        let mut session = Session::begin(stage, system, audit)?;
        session.measure(&case(calm, 1))?;
        let bytes = session.measure(&case(busy, 64))?.values["audit bytes"];
        // OpenBao refuses some ways of declaring a device in silence: without this, one would measure without audit.
        anyhow::ensure!((bytes > 0.0) == audit, "{}: {bytes} bytes of audit a read, audit was {audit}", system.name());
        turns.extend(session.end());
    }
    for (with, without, value, added) in [(2, 0, "p99 us", "added p99 us"), (3, 1, "cpu us", "added cpu us")] {
        let more = turns[with].values[value] - turns[without].values[value];
        turns[with].values.insert(added.into(), more);
    }
    Ok(turns)
}
