//! One cluster's time on the stage: filled, loaded case by case, killed under load, read back.

use std::path::PathBuf;
use std::time::Duration;

use crate::cluster::{Cluster, NODES, OwnCounters, System};
use crate::counters::{Counters, resident_mib};
use crate::load::generator::generate;
use crate::load::latencies::quantile;
use crate::load::plan::{Event, Outcome, Pace, Plan, Work};
use crate::result::Turn;
use crate::stage::Stage;

/// How long the load goes on after measuring before the nodes are killed under it.
const BEFORE_KILL: Duration = Duration::from_millis(300);
/// Share of failed requests above which a turn does not count.
const FAILED_MAX: f64 = 0.01;

/// A case: what is done, by how many, how fast.
#[derive(Clone, Debug)]
pub struct Case {
    /// `64 clients`.
    pub name: String,
    pub work: Work,
    pub clients: u32,
    pub pace: Pace,
}

/// A cluster under measurement.
pub struct Session<'s> {
    stage: &'s Stage,
    pub cluster: Box<dyn Cluster>,
    ledger: PathBuf,
    keys: u32,
    turns: Vec<Turn>,
}

impl<'s> Session<'s> {
    /// Starts a cluster and writes every key once.
    ///
    /// # Errors
    /// If it does not start or a key cannot be written.
    pub fn begin(stage: &'s Stage, system: System, audit: bool) -> anyhow::Result<Self> {
        Self::begin_with(stage, system, audit, stage.settings.keys)
    }

    /// The same with another number of keys.
    ///
    /// # Errors
    /// If it does not start or a key cannot be written.
    pub fn begin_with(stage: &'s Stage, system: System, audit: bool, keys: u32) -> anyhow::Result<Self> {
        let cluster = stage.start(system, audit)?;
        let ledger = stage.folder("ledger");
        let session = Self { stage, cluster, ledger, keys, turns: Vec::new() };
        stage.say(&format!("{}: write {keys} keys", system.name()));
        let case = Case { name: String::new(), work: Work::Fill, clients: 64, pace: Pace::Closed };
        let filled = generate(&session.plan(&case, false)?, |_| Ok(()))?;
        anyhow::ensure!(filled.failed.is_empty(), "keys could not be written: {:?}", filled.failed);
        Ok(session)
    }

    /// What the load generator is told for a case.
    ///
    /// # Errors
    /// If the cluster has no active node.
    pub fn plan(&self, case: &Case, until_killed: bool) -> anyhow::Result<Plan> {
        let settings = &self.stage.settings;
        Ok(Plan {
            target: self.cluster.target()?,
            work: case.work.clone(),
            pace: case.pace,
            clients: case.clients,
            keys: self.keys,
            value_bytes: settings.value_bytes,
            warm_up_seconds: settings.warm_up_seconds,
            seconds: settings.seconds,
            until_killed,
            ledger: Some(self.ledger.clone()),
        })
    }

    /// Measures a case; returns its numbers.
    ///
    /// # Errors
    /// If the load generator fails.
    pub fn measure(&mut self, case: &Case) -> anyhow::Result<&Turn> {
        self.load(case, false)
    }

    /// Measures a case, kills all nodes while it goes on, starts them again and reads back what was acknowledged in the whole session.
    /// If anything is missing, no turn of the session counts.
    ///
    /// # Errors
    /// If the load generator fails, or the cluster does not come back.
    pub fn measure_and_crash(mut self, case: &Case) -> anyhow::Result<Vec<Turn>> {
        self.load(case, true)?;
        let name = self.cluster.system().name();
        self.stage.say(&format!("{name}: all killed; start again and read back"));
        self.cluster.restart()?;
        let all = Case { name: String::new(), work: Work::ReadBack, clients: 1, pace: Pace::Closed };
        let read = generate(&self.plan(&all, false)?, |_| Ok(()))?;
        let lost: u64 = read.failed.values().sum();
        for turn in &mut self.turns {
            turn.values.insert("read back".into(), read.compared as f64);
            if lost > 0 || read.compared == 0 {
                turn.void = Some(format!("NOT DURABLE: {lost} of {} not as acknowledged: {}", read.compared, read.wrong.join("; ")));
            }
        }
        Ok(self.turns)
    }

    /// Ends a session whose writes are not read back, because there were none but the filling, or because their number is not shown.
    pub fn end(self) -> Vec<Turn> {
        self.turns
    }

    fn load(&mut self, case: &Case, crash: bool) -> anyhow::Result<&Turn> {
        let system = self.cluster.system();
        self.stage.say(&format!("{}: {}", system.name(), case.name));
        let plan = self.plan(case, crash)?;
        let (pids, device) = (self.cluster.pids(), self.stage.device.as_ref());
        let (mut before, mut used) = (Counters::default(), Counters::default());
        let (mut own_before, mut own) = (OwnCounters::new(), OwnCounters::new());
        let (mut audited_before, mut audited, mut resident) = (0.0, 0.0, 0.0);
        let cluster = &mut self.cluster;
        let outcome = generate(&plan, |event| {
            match event {
                Event::Measuring => {
                    (own_before, audited_before) = (cluster.own_counters(), cluster.audited_bytes());
                    before = Counters::of(&pids, device);
                }
                Event::Measured => {
                    used = Counters::of(&pids, device).since(&before);
                    audited = cluster.audited_bytes() - audited_before;
                    let since = |(name, after)| Some((name, after - own_before.get(name)?));
                    own = cluster.own_counters().into_iter().filter_map(since).collect();
                    resident = pids.iter().filter_map(|pid| resident_mib(*pid)).sum();
                    if crash {
                        std::thread::sleep(BEFORE_KILL);
                        cluster.kill();
                    }
                }
                Event::Outcome(_) => {}
            }
            Ok(())
        })?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from) as f64;
        let mut turn = turn(system, case, &outcome, &used, &own, cores);
        turn.values.insert("resident MiB a node".into(), resident / f64::from(NODES));
        turn.values.insert("audit bytes".into(), audited / turn.values["completed"].max(1.0));
        self.turns.push(turn);
        Ok(self.turns.last().expect("just pushed"))
    }
}

/// All numbers of a turn.
fn turn(system: System, case: &Case, outcome: &Outcome, used: &Counters, own: &OwnCounters, cores: f64) -> Turn {
    let mut turn = Turn { system: system.name().into(), case: case.name.clone(), ..Turn::default() };
    let done = outcome.completed as f64;
    let nodes = f64::from(NODES);
    let mut put = |name: &str, value: f64| turn.values.insert(name.into(), value);
    put("per second", done / outcome.seconds);
    put("completed", done);
    put("seconds", outcome.seconds);
    if done > 0.0 {
        put("cpu us", used.cpu_us / done);
        put("generator cpu us", outcome.own_cpu_us / done);
        put("run-queue wait us", used.waited_us / done);
        put("KiB written a node", used.written_bytes / 1024.0 / done / nodes);
        if let Some(flushes) = used.flushes {
            put("flushes a node", flushes / done / nodes);
        }
        for (name, counted) in own {
            let of_all = if *name == "own syncs" { nodes } else { 1.0 };
            put(name, counted / done / of_all);
        }
    }
    put("busy share", (used.cpu_us + outcome.own_cpu_us) / (outcome.seconds * 1_000_000.0 * cores));
    for (name, share) in [("p50 us", 0.5), ("p90 us", 0.9), ("p99 us", 0.99), ("p99.9 us", 0.999), ("max us", 1.0)] {
        if let Some(value) = quantile(&outcome.latencies_us, share) {
            put(name, value);
        }
    }
    if let Pace::Open { rate } = case.pace {
        put("rate", rate);
    }
    let failed: u64 = outcome.failed.values().sum();
    put("failed", failed as f64);
    if failed > 0 {
        turn.remarks.push(format!("failed requests: {:?}", outcome.failed));
    }
    if failed as f64 > FAILED_MAX * done {
        turn.void = Some(format!("too many failed requests: {:?}", outcome.failed));
    }
    if outcome.completed == 0 {
        turn.void = Some(format!("nothing was answered within the {:.1} s measured", outcome.seconds));
    }
    turn.latencies_us.clone_from(&outcome.latencies_us);
    turn
}
