//! Writes of a KV version 2 secret: how many a second, how long each takes, what each costs. One set of rounds, four metrics.

use std::rc::Rc;

use crate::cluster::System;
use crate::load::plan::{Pace, Work};
use crate::metric::Metric;
use crate::probe::Probe;
use crate::result::{Line, Measured, Plot, Series, Turn};
use crate::rounds::{Rounds, interleaved};
use crate::session::{Case, Session};
use crate::stage::Stage;

const SYSTEMS: [System; 3] = [System::Coffer, System::OpenBao, System::Etcd];
const CLIENTS: [u32; 3] = [1, 16, 64];
/// Connections that an open loop has, so that a slow answer holds up few of those behind it.
const OPEN_CLIENTS: u32 = 64;

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
        "KV v2 writes, 3 nodes, against OpenBao and etcd put"
    }
    fn run(&self, stage: &Stage) -> anyhow::Result<Measured> {
        let rounds = rounds(stage)?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from) as f64;
        let line = |count: u32| {
            let name = clients(count);
            let reading = |system: System| rounds.reading(system, &name, "per second");
            let generator = rounds.reading(System::Coffer, &name, "generator cpu us").value().unwrap_or_default();
            let cpu = rounds.probed(Probe::write_cpu_us) + generator;
            let limit = (f64::from(count) * rounds.probed(|probe| probe.three_syncs_per_s)).min(cores * 1_000_000.0 / cpu);
            let line = Line::new(&name, "writes/s", true, reading(System::Coffer))
                .peer("openbao", reading(System::OpenBao))
                .peer("etcd", reading(System::Etcd))
                .limit(Some(limit));
            match count {
                1 => line.bar_times("gate", 2.0, "openbao").bar_times("moonshot", 4.0, "openbao"),
                64 => line
                    .bar_times("gate", 3.0, "openbao")
                    .bar_times("gate", 0.5, "etcd")
                    .bar("gate", limit * 0.4)
                    .bar_times("moonshot", 5.0, "openbao")
                    .bar_times("moonshot", 1.0, "etcd")
                    .bar("moonshot", limit * 0.8),
                _ => line,
            }
        };
        let lines: Vec<Line> = CLIENTS.into_iter().map(line).collect();
        Ok(Measured { plots: vec![plot(&rounds)], lines, ..measured(&rounds) })
    }
}

/// Raw numbers and notes of the rounds.
pub fn measured(rounds: &Rounds) -> Measured {
    Measured { turns: rounds.turns.clone(), probes: rounds.probes.clone(), notes: rounds.notes.clone(), ..Measured::default() }
}

fn plot(rounds: &Rounds) -> Plot {
    let series = SYSTEMS.into_iter().map(|system| Series {
        name: system.name().into(),
        points: CLIENTS
            .into_iter()
            .filter_map(|count| Some((f64::from(count), rounds.reading(system, &clients(count), "per second").value()?)))
            .collect(),
    });
    Plot {
        title: "KV v2 writes a second by clients".into(),
        x: "clients".into(),
        y: "writes/s".into(),
        kind: "lines",
        log_x: true,
        log_y: true,
        series: series.collect(),
    }
}
