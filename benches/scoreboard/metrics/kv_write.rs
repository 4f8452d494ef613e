//! Metric 1: how many KV version 2 secrets are written a second. Its rounds serve the metrics of latency, disk and processor too.

use std::rc::Rc;

use crate::cluster::System;
use crate::load::plan::{Pace, Work};
use crate::metric::Metric;
use crate::plots;
use crate::probe::Probe;
use crate::result::{Line, Measured, Turn};
use crate::rounds::{Rounds, interleaved};
use crate::session::{Case, Session};
use crate::stage::Stage;

pub const SYSTEMS: [System; 3] = [System::Coffer, System::OpenBao, System::Etcd];
pub const PEERS: [System; 2] = [System::OpenBao, System::Etcd];
const CLIENTS: [u32; 3] = [1, 16, 64];
const ONE_KEY: &str = "64 clients, all on one key";
/// Connections that an open loop has, so that a slow answer holds up few of those behind it.
pub const OPEN_CLIENTS: u32 = 64;

/// The rounds, made when the first metric asks for them.
pub fn rounds(stage: &Stage) -> anyhow::Result<Rc<Rounds>> {
    if let Some(made) = stage.kv_writes.borrow().as_ref() {
        return Ok(Rc::clone(made));
    }
    let made = Rc::new(interleaved(stage, &SYSTEMS, |system| turn(stage, system))?);
    *stage.kv_writes.borrow_mut() = Some(Rc::clone(&made));
    Ok(made)
}

/// The name of a case with so many clients.
pub fn clients(count: u32) -> String {
    if count == 1 { "1 client".into() } else { format!("{count} clients") }
}

/// The name of an open loop's case.
pub fn open(percent: u32) -> String {
    format!("{percent} % of own maximum")
}

fn turn(stage: &Stage, system: System) -> anyhow::Result<Vec<Turn>> {
    let mut session = Session::begin(stage, system, false)?;
    let mut most = 0.0_f64;
    for count in CLIENTS {
        let case = Case { name: clients(count), work: Work::Write, clients: count, pace: Pace::Closed };
        most = most.max(session.measure(&case)?.values["per second"]);
    }
    session.measure(&Case { name: ONE_KEY.into(), work: Work::WriteOne, clients: 64, pace: Pace::Closed })?;
    let at = |percent: u32| Case {
        name: open(percent),
        work: Work::Write,
        clients: OPEN_CLIENTS,
        pace: Pace::Open { rate: (most * f64::from(percent) / 100.0).max(1.0) },
    };
    session.measure(&at(50))?;
    session.measure_and_crash(&at(80))
}

/// Metric 1.
pub struct Throughput;

impl Metric for Throughput {
    fn number(&self) -> u8 {
        1
    }
    fn name(&self) -> &'static str {
        "kv-write"
    }
    fn title(&self) -> &'static str {
        "KV v2 writes a second, against OpenBao and etcd put"
    }
    fn run(&self, stage: &Stage) -> anyhow::Result<Measured> {
        let rounds = rounds(stage)?;
        let cases = CLIENTS.map(|count| (count, clients(count)));
        let hot = rounds.line(ONE_KEY, "per second", "writes/s", true, &PEERS);
        let title = "KV v2 writes a second by clients";
        Ok(Measured {
            lines: CLIENTS.into_iter().map(|count| line(&rounds, count)).chain([hot]).collect(),
            plots: vec![plots::by_clients(title, "writes/s", &rounds, &SYSTEMS, &cases, "per second")],
            ..rounds.measured()
        })
    }
}

fn line(rounds: &Rounds, count: u32) -> Line {
    let case = clients(count);
    let cores = std::thread::available_parallelism().map_or(1, usize::from) as f64;
    let generator = rounds.reading(System::Coffer, &case, "generator cpu us").value().unwrap_or_default();
    let by_cpu = cores * 1_000_000.0 / (rounds.probed(Probe::write_cpu_us) + generator);
    let by_disk = f64::from(count) * rounds.probed(|probe| probe.three_syncs_per_s);
    let limit = by_disk.min(by_cpu);
    let line = rounds.line(&case, "per second", "writes/s", true, &PEERS).limit(Some(limit));
    match count {
        1 => line.bar_times("gate", 2.0, "openbao").bar_times("moonshot", 4.0, "openbao"),
        64 => line
            .bar_times("gate", 3.0, "openbao")
            .bar_times("gate", 0.7, "etcd")
            .bar("gate", limit * 0.4)
            .bar_times("moonshot", 5.0, "openbao")
            .bar_times("moonshot", 1.0, "etcd")
            .bar("moonshot", limit * 0.8),
        _ => line,
    }
}
