//! Metric 7: tokens made a second: service tokens, which are kept, and batch tokens, which are not.

use super::kv_write::clients;
use crate::cluster::System;
use crate::load::plan::{Pace, Work};
use crate::metric::Metric;
use crate::result::{Measured, Turn};
use crate::rounds::interleaved;
use crate::session::{Case, Session};
use crate::stage::Stage;

const SYSTEMS: [System; 2] = [System::Coffer, System::OpenBao];

/// Metric 7.
pub struct Tokens;

impl Metric for Tokens {
    fn number(&self) -> u8 {
        7
    }
    fn name(&self) -> &'static str {
        "tokens"
    }
    fn title(&self) -> &'static str {
        "tokens made a second (AppRole logins: not built yet)"
    }
    fn run(&self, stage: &Stage) -> anyhow::Result<Measured> {
        let rounds = interleaved(stage, &SYSTEMS, |system| turn(stage, system))?;
        let line = |case: &str, value: &str, unit: &str, up: bool| rounds.line(case, value, unit, up, &[System::OpenBao]);
        let (one, many) = (service(1), service(64));
        let (batch_one, batch_many) = (batch(1), batch(64));
        let by_disk = rounds.probed(|probe| probe.three_syncs_per_s);
        let lines = vec![
            line(&one, "per second", "tokens/s", true).limit(Some(by_disk)).bar_times("moonshot", 6.0, "openbao"),
            line(&many, "per second", "tokens/s", true).bar_times("gate", 5.0, "openbao").bar_times("moonshot", 5.0, "openbao"),
            line(&many, "cpu us", "CPU-µs, all nodes", false),
            rounds.line(&one, "own raft entries", "Raft entries", false, &[]).limit(Some(1.0)).bar("gate", 1.01).bar("moonshot", 1.01),
            line(&batch_one, "per second", "tokens/s", true),
            line(&batch_many, "per second", "tokens/s", true),
            line(&batch_many, "cpu us", "CPU-µs, all nodes", false)
                .limit(Some(rounds.probed(|probe| probe.echo_cpu_us + probe.seal_cpu_us)))
                .bar("moonshot", 30.0),
            line(&batch_many, "flushes a node", "flushes", false).limit(Some(0.0)),
            rounds.line(&batch_many, "own raft entries", "Raft entries", false, &[]).limit(Some(0.0)).bar("moonshot", 0.001),
        ];
        Ok(Measured { lines, ..rounds.measured() })
    }
}

fn service(count: u32) -> String {
    format!("service tokens, {}", clients(count))
}

fn batch(count: u32) -> String {
    format!("batch tokens, {}", clients(count))
}

fn turn(stage: &Stage, system: System) -> anyhow::Result<Vec<Turn>> {
    let create = |name: String, kind: &str, count: u32| Case {
        name,
        work: Work::Call {
            method: "POST".into(),
            path: "auth/token/create".into(),
            body: format!("{{\"type\":\"{kind}\",\"policies\":[\"bench\"],\"ttl\":\"1h\"}}"),
            keep_token: kind == "service",
        },
        clients: count,
        pace: Pace::Closed,
    };
    let mut session = Session::begin(stage, system, false)?;
    session.measure(&create(batch(1), "batch", 1))?;
    session.measure(&create(batch(64), "batch", 64))?;
    session.measure(&create(service(1), "service", 1))?;
    session.measure_and_crash(&create(service(64), "service", 64))
}
