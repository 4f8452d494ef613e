//! Metric 18, in part: a page of names out of many, and what so many secrets take in memory.

use crate::cluster::System;
use crate::cluster::vault::MOUNT;
use crate::load::plan::{Pace, Work};
use crate::metric::Metric;
use crate::result::Measured;
use crate::rounds::interleaved;
use crate::session::{Case, Session};
use crate::stage::Stage;

const SYSTEMS: [System; 2] = [System::Coffer, System::OpenBao];
const PAGE: &str = "page of 1,000 from the middle, 1 client";

/// Metric 18.
pub struct Listing;

impl Metric for Listing {
    fn number(&self) -> u8 {
        18
    }
    fn name(&self) -> &'static str {
        "list"
    }
    fn title(&self) -> &'static str {
        "a page of names, and resident memory (deleting a large mount: not measured yet)"
    }
    fn run(&self, stage: &Stage) -> anyhow::Result<Measured> {
        let keys = stage.settings.keys * 5;
        let rounds = interleaved(stage, &SYSTEMS, |system| {
            let mut session = Session::begin_with(stage, system, false, keys)?;
            let path = format!("{MOUNT}/metadata?after=bench-{:08}&limit=1000", keys / 2);
            let work = Work::Call { method: "LIST".into(), path, body: String::new(), keep_token: false };
            session.measure(&Case { name: PAGE.into(), work, clients: 1, pace: Pace::Closed })?;
            Ok(session.end())
        })?;
        let line = |value: &str, unit: &str| rounds.line(PAGE, value, unit, false, &[System::OpenBao]);
        let lines = vec![
            line("p50 us", "p50 µs"),
            line("p99 us", "p99 µs").bar("moonshot", 5000.0),
            line("cpu us", "CPU-µs"),
            line("resident MiB a node", "MiB resident a node").bar_times("moonshot", 3.0, "openbao"),
        ];
        let mut measured = Measured { lines, ..rounds.measured() };
        measured.notes.push(format!("with {keys} secrets, not the million that the bar is meant for"));
        Ok(measured)
    }
}
