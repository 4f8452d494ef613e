//! Metric 17: how soon a cluster with many secrets and leases takes writes again after all its nodes were killed; and what the checkpoints
//! cost that its nodes make of themselves while it is filled.
//!
//! Each lease is that of a service token.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::cluster::vault::MOUNT;
use crate::cluster::{Cluster, LONG, System, wait_for};
use crate::counters::resident_mib;
use crate::load::generator::generate;
use crate::load::latencies::quantile;
use crate::load::plan::{Pace, Plan, Target, Work};
use crate::metric::Metric;
use crate::result::{Line, Measured, Reading, Turn};
use crate::rounds::slowly;
use crate::stage::Stage;

const SYSTEMS: [System; 2] = [System::Coffer, System::OpenBao];
/// Secrets, and as many leases.
const MANY: u32 = 1_000_000;
const MANY_QUICK: u32 = 10_000;
const RESTARTS: u32 = 3;
const CLIENTS: u32 = 64;
/// Leases are made in stretches of so many seconds until there are enough.
const STRETCH_S: f64 = 1.0;
const TOKEN: &str = r#"{"policies":["bench"],"ttl":"24h"}"#;

const CASE: &str = "all nodes killed and started";
const CHECKPOINTS: &str = "checkpoints while leases are made";
const P99_WITH: &str = "p99 us with";
const P99_WITHOUT: &str = "p99 us without";

/// The metric.
pub struct Restart;

impl Metric for Restart {
    fn number(&self) -> u8 {
        17
    }
    fn name(&self) -> &'static str {
        "restart"
    }
    fn title(&self) -> &'static str {
        "Restart with many secrets and leases; checkpoints while they are made"
    }
    fn run(&self, stage: &Stage) -> anyhow::Result<Measured> {
        let many = if stage.settings.quick { MANY_QUICK } else { MANY };
        let rounds = slowly(stage, &SYSTEMS, |system| turn(stage, system, system.share_of(many)))?;
        let line = |value: &str, unit: &str| rounds.line(CASE, value, unit, false, &[System::OpenBao]);
        let taken = |value: &str, unit: &str| rounds.line(CHECKPOINTS, value, unit, false, &[]);
        let p99 = |which: &str| rounds.reading(System::Coffer, CHECKPOINTS, which).value();
        let times = Reading::from(p99(P99_WITH).zip(p99(P99_WITHOUT)).map(|(with, without)| with / without));
        let lines = vec![
            line("ready s", "s to the first write").bar("gate", 2.0).bar_times("moonshot", 10.0, "openbao"),
            line("resident MiB a node", "MiB resident a node"),
            taken("mean ms", "ms, mean"),
            taken("mean ms before", "ms, mean while secrets were written before"),
            taken("longest ms", "ms, longest of a turn").bar("moonshot", 100.0),
            taken(P99_WITH, "us, p99 in seconds with one"),
            taken(P99_WITHOUT, "us, p99 in seconds without").context(),
            Line::new(CHECKPOINTS, "times the p99 without", false, times).bar("moonshot", 2.0),
        ];
        let mut measured = Measured { lines, ..rounds.measured() };
        measured.notes.push(format!(
            "Coffer held {many} secrets and {many} leases, OpenBao {0} and {0}; keys are given as soon as a node asks, in turn",
            System::OpenBao.share_of(many)
        ));
        Ok(measured)
    }
}

fn turn(stage: &Stage, system: System, count: u32) -> anyhow::Result<Vec<Turn>> {
    let mut cluster = stage.start(system, false)?;
    stage.say(&format!("{}: {count} secrets", system.name()));
    let fill = plan(stage, cluster.as_ref(), Work::Fill, count)?;
    let filled = generate(&fill, |_| Ok(()))?;
    anyhow::ensure!(filled.failed.is_empty(), "secrets could not be written: {:?}", filled.failed);
    stage.say(&format!("{}: {count} leases", system.name()));
    let (mut turns, leases) = leases(stage, cluster.as_ref(), count)?;
    for _ in 0..if stage.settings.quick { 1 } else { RESTARTS } {
        turns.push(restart(stage, cluster.as_mut(), leases)?);
    }
    Ok(turns)
}

/// Makes at least `count` leases, and tells how many, and what checkpoints cost meanwhile.
fn leases(stage: &Stage, cluster: &dyn Cluster, count: u32) -> anyhow::Result<(Vec<Turn>, u64)> {
    let create = Work::Call { method: "POST".into(), path: "auth/token/create".into(), body: TOKEN.into(), keep_token: false };
    let lease = Plan { seconds: STRETCH_S, warm_up_seconds: STRETCH_S / 10.0, ..plan(stage, cluster, create, count)? };
    let before = cluster.checkpoints();
    let (mut leases, mut seen, mut longest) = (0, before.unwrap_or_default(), None);
    let (mut with, mut without) = (BTreeMap::new(), BTreeMap::new());
    while leases < u64::from(count) {
        let made = generate(&lease, |_| Ok(()))?;
        anyhow::ensure!(made.completed > 0, "no lease was made in {STRETCH_S} s: {:?}", made.failed);
        leases += made.completed;
        let Some(now) = cluster.checkpoints() else { continue };
        let pile = if now.count > seen.count { &mut with } else { &mut without };
        for (us, times) in made.latencies_us {
            *pile.entry(us).or_insert(0) += times;
        }
        if now.count > seen.count {
            longest = longest.into_iter().chain(now.longest_ms).reduce(f64::max);
        }
        seen = now;
    }
    let Some(before) = before else { return Ok((Vec::new(), leases)) };
    let mut turn = Turn { system: cluster.system().name().into(), case: CHECKPOINTS.into(), ..Turn::default() };
    let p99 = |pile: BTreeMap<u64, u64>| quantile(&pile.into_iter().collect::<Vec<_>>(), 0.99);
    let mean = |ms: f64, count: f64| (count > 0.0).then(|| ms / count);
    let taken = seen.count - before.count;
    let values = [
        ("checkpoints", Some(taken)),
        ("mean ms", mean(seen.ms - before.ms, taken)),
        ("mean ms before", mean(before.ms, before.count)),
        ("longest ms", longest),
        (P99_WITH, p99(with)),
        (P99_WITHOUT, p99(without)),
    ];
    turn.values.extend(values.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
    Ok((vec![turn], leases))
}

fn plan(stage: &Stage, cluster: &dyn Cluster, work: Work, keys: u32) -> anyhow::Result<Plan> {
    Ok(Plan {
        target: cluster.target()?,
        work,
        pace: Pace::Closed,
        clients: CLIENTS,
        keys,
        value_bytes: stage.settings.value_bytes,
        warm_up_seconds: 0.0,
        seconds: stage.settings.seconds,
        until_killed: false,
        ledger: None,
    })
}

fn restart(stage: &Stage, cluster: &mut dyn Cluster, leases: u64) -> anyhow::Result<Turn> {
    stage.say(&format!("{}: {CASE}", cluster.system().name()));
    cluster.kill();
    let begun = Instant::now();
    cluster.restart()?;
    let Target::Vault { address, token } = cluster.target()? else { anyhow::bail!("a cluster of another kind") };
    wait_for("a write after the restart", LONG, || {
        let written =
            ureq::put(format!("http://{address}/v1/{MOUNT}/data/restarted")).header("X-Vault-Token", &token).send(r#"{"data":{"a":"b"}}"#);
        written.ok()
    })?;
    let ready = begun.elapsed();
    let resident: Vec<f64> = cluster.pids().into_iter().filter_map(resident_mib).collect();
    let mut turn = Turn { system: cluster.system().name().into(), case: CASE.into(), ..Turn::default() };
    let mean = resident.iter().sum::<f64>() / resident.len().max(1) as f64;
    for (name, value) in [("ready s", ready.as_secs_f64()), ("resident MiB a node", mean), ("leases", leases as f64)] {
        turn.values.insert(name.into(), value);
    }
    Ok(turn)
}
