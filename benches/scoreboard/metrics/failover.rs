//! Metric 16: how long nobody takes writes after the active node was killed, and whether load alone ever makes the nodes elect.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use anyhow::Context;
use serde_json::json;

use crate::cluster::vault::MOUNT;
use crate::cluster::{Cluster, System};
use crate::load::generator::generate;
use crate::load::latencies::quantile;
use crate::load::plan::{Pace, Plan, Target, Work};
use crate::metric::Metric;
use crate::result::{Line, Measured, Reading, Turn};
use crate::rounds::{Rounds, interleaved};
use crate::stage::Stage;

const SYSTEMS: [System; 3] = [System::Coffer, System::OpenBao, System::Etcd];
/// Kills in one turn.
const KILLS: u32 = 2;
/// A cluster that takes no writes for so long has failed.
const AWAY_MAX: Duration = Duration::from_secs(90);
/// A node that does not answer for so long is asked again.
const ANSWER_MAX: Duration = Duration::from_secs(1);
/// Between two tries at a node that refused.
const PAUSE: Duration = Duration::from_millis(3);
/// How long a cluster rests after a killed node is back.
const REST: Duration = Duration::from_secs(2);

const KILLED: &str = "kill -9 of the active node";
const LOADED: &str = "64 clients without pause";

/// The metric.
pub struct Failover;

impl Metric for Failover {
    fn number(&self) -> u8 {
        16
    }
    fn name(&self) -> &'static str {
        "failover"
    }
    fn title(&self) -> &'static str {
        "Failover: kill -9 of the active node to the first accepted write; elections under load"
    }
    fn run(&self, stage: &Stage) -> anyhow::Result<Measured> {
        let rounds = interleaved(stage, &SYSTEMS, |system| turn(stage, system))?;
        let mut measured = Measured { lines: lines(&rounds), ..rounds.measured() };
        measured
            .notes
            .push("the write is tried at both other nodes all the time, each answer waited for at most 1 s; default settings".into());
        Ok(measured)
    }
}

fn lines(rounds: &Rounds) -> Vec<Line> {
    let pooled = |system: System, share: f64| -> Reading {
        let mut counts: Vec<(u64, u64)> = rounds.counting(system, KILLED).flat_map(|turn| turn.latencies_us.clone()).collect();
        counts.sort_unstable();
        match quantile(&counts, share) {
            Some(us) => Reading::Value(us / 1000.0),
            // Says why there is none.
            None => rounds.reading(system, KILLED, "ms"),
        }
    };
    let kills = rounds.counting(System::Coffer, KILLED).count();
    let line = |name: &str, share: f64| {
        Line::new(format!("{KILLED}, {name} of {kills}"), "ms", false, pooled(System::Coffer, share))
            .peer("openbao", pooled(System::OpenBao, share))
            .peer("etcd", pooled(System::Etcd, share))
    };
    let sum = |value: &str| rounds.reading_by(|values| values.iter().sum(), System::Coffer, LOADED, value);
    let seconds = sum("seconds").value().unwrap_or_default();
    vec![
        line("p50", 0.5).bar("gate", 1000.0).bar("moonshot", 1000.0),
        line("p99", 0.99).bar("moonshot", 2000.0),
        Line::new(format!("{LOADED}, {seconds:.0} s in all"), "elections", false, sum("elections")).bar("gate", 0.0),
    ]
}

fn turn(stage: &Stage, system: System) -> anyhow::Result<Vec<Turn>> {
    let mut cluster = stage.start(system, false)?;
    let mut turns = Vec::new();
    for _ in 0..if stage.settings.quick { 1 } else { KILLS } {
        stage.say(&format!("{}: {KILLED}", system.name()));
        turns.push(kill(cluster.as_mut())?);
        cluster.restart()?;
        std::thread::sleep(REST);
    }
    // Elections are counted for Coffer alone: ten minutes in all, which three systems would take half an hour for.
    if system == System::Coffer {
        stage.say(&format!("{}: {LOADED}", system.name()));
        turns.push(load(stage, cluster.as_ref())?);
    }
    Ok(turns)
}

/// Kills the active node, and tries to write at the others until one takes it.
fn kill(cluster: &mut dyn Cluster) -> anyhow::Result<Turn> {
    let address = |target: &Target| match target {
        Target::Vault { address, .. } | Target::Etcd { address } => address.clone(),
    };
    let active = address(&cluster.target()?);
    let targets = cluster.targets();
    let place = targets.iter().position(|target| address(target) == active).context("the active node is one of the cluster's")?;
    let (done, stop) = (channel(), Arc::new(AtomicBool::new(false)));
    let others = targets.into_iter().enumerate().filter(|(node, _)| *node != place);
    let killed = Instant::now();
    cluster.servers_mut()[place].kill();
    for (_, target) in others {
        let (taken, stop) = (done.0.clone(), Arc::clone(&stop));
        std::thread::spawn(move || write_until(&target, &taken, &stop));
    }
    let accepted = done.1.recv_timeout(AWAY_MAX);
    stop.store(true, Ordering::Relaxed);
    let took = accepted.context("no node took a write after the active one was killed")? - killed;
    let mut turn = Turn { system: cluster.system().name().into(), case: KILLED.into(), ..Turn::default() };
    turn.values.insert("ms".into(), took.as_secs_f64() * 1000.0);
    turn.latencies_us = vec![(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), 1)];
    Ok(turn)
}

fn write_until(target: &Target, taken: &Sender<Instant>, stop: &AtomicBool) {
    let agent: ureq::Agent = ureq::Agent::config_builder().timeout_global(Some(ANSWER_MAX)).max_redirects(0).build().into();
    while !stop.load(Ordering::Relaxed) {
        let answer = match target {
            Target::Vault { address, token } => {
                let body = json!({"data": {"after": "failover"}}).to_string();
                agent.put(format!("http://{address}/v1/{MOUNT}/data/failover")).header("X-Vault-Token", token).send(body)
            }
            // Base64 of "failover" and "after".
            Target::Etcd { address } => {
                agent.post(format!("http://{address}/v3/kv/put")).send(r#"{"key":"ZmFpbG92ZXI=","value":"YWZ0ZXI="}"#)
            }
        };
        if answer.is_ok_and(|answer| answer.status().is_success()) {
            let _ = taken.send(Instant::now());
            return;
        }
        std::thread::sleep(PAUSE);
    }
}

/// Load without pause, and the elections in that time. Six times as long as other cases: ten minutes over all turns.
fn load(stage: &Stage, cluster: &dyn Cluster) -> anyhow::Result<Turn> {
    let settings = &stage.settings;
    let plan = Plan {
        target: cluster.target()?,
        work: Work::Write,
        pace: Pace::Closed,
        clients: 64,
        keys: settings.keys,
        value_bytes: settings.value_bytes,
        warm_up_seconds: settings.warm_up_seconds,
        seconds: if settings.quick { settings.seconds } else { settings.seconds * 6.0 },
        until_killed: false,
        ledger: None,
    };
    let before = cluster.term().context("nobody tells the term")?;
    let outcome = generate(&plan, |_| Ok(()))?;
    let after = cluster.term().context("nobody tells the term")?;
    let mut turn =
        Turn { system: cluster.system().name().into(), case: LOADED.into(), latencies_us: outcome.latencies_us, ..Turn::default() };
    let failed = outcome.failed.values().sum::<u64>();
    for (name, value) in [
        ("elections", after - before),
        ("seconds", outcome.seconds),
        ("per second", outcome.completed as f64 / outcome.seconds),
        ("failed", failed as f64),
    ] {
        turn.values.insert(name.into(), value);
    }
    if failed > 0 {
        turn.remarks.push(format!("failed requests: {:?}", outcome.failed));
    }
    Ok(turn)
}
