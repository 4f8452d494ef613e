//! Metric 13: how much a secondary takes, what it costs on the wire, and what it costs its primary.
//!
//! One machine holds both clusters, so a raw loss of the primary's rate is mostly the secondary's own work on the same cores; and what a
//! write costs the primary's processes moves with how many writes they put together, which moves with who else wants the cores, far more than
//! by what is shipped. So the work of shipping is measured where it is the primary's only work, while a secondary catches up, and told as a
//! share of the work of writing as much.

use std::time::{Duration, Instant};

use crate::cluster::pair::Pair;
use crate::cluster::{Cluster, System, wait_for};
use crate::counters::Counters;
use crate::load::generator::generate;
use crate::load::plan::{Event, Outcome, Pace, Plan, Work};
use crate::metric::Metric;
use crate::result::{Line, Measured, Reading, Turn};
use crate::rounds::{Rounds, interleaved};
use crate::stage::Stage;

const CLIENTS: u32 = 64;
const CATCH_UP: Duration = Duration::from_secs(300);
/// The gauge of kept bytes is set every five seconds.
const GAUGE: Duration = Duration::from_secs(6);

const NEAR: &str = "0 ms one way";
const FAR: &str = "80 ms one way";
const ALONE: &str = "no secondary";
const PACED: &str = "80 ms one way, half of its rate";
const PACED_ALONE: &str = "no secondary, the same rate";
const BEHIND: &str = "catching up, 80 ms one way";

/// The metric.
pub struct Shipping;

impl Metric for Shipping {
    fn number(&self) -> u8 {
        13
    }
    fn name(&self) -> &'static str {
        "shipping"
    }
    fn title(&self) -> &'static str {
        "Replication: throughput, bytes on the wire, cost to the primary"
    }
    fn run(&self, stage: &Stage) -> anyhow::Result<Measured> {
        let mut bench = Bench { stage, pair: Pair::start(stage)? };
        let rounds = interleaved(stage, &[System::Coffer], |_| bench.turn())?;
        let mut notes = rounds.notes.clone();
        notes.push("both clusters, the load and the relay share this machine's cores; without a secondary means its line is cut".into());
        Ok(Measured { lines: lines(&rounds), notes, turns: rounds.turns, probes: rounds.probes, ..Measured::default() })
    }
}

struct Bench<'s> {
    stage: &'s Stage,
    pair: Pair,
}

impl Bench<'_> {
    /// Without a secondary, then what was written meanwhile, then with one nearby and one far away.
    fn turn(&mut self) -> anyhow::Result<Vec<Turn>> {
        let mut turns = vec![self.alone()?, self.behind()?];
        for (name, ms) in [(NEAR, 0), (FAR, 80)] {
            self.pair.wan.become_like(Duration::from_millis(ms), 0.0)?;
            turns.push(self.streaming(name)?);
        }
        let rate = turns.last().and_then(|far| far.values.get("writes per second")).copied().unwrap_or(0.0) / 2.0;
        turns.push(self.paced(PACED, rate)?);
        self.pair.in_sync(CATCH_UP)?;
        self.pair.wan.cut()?;
        self.pair.wan.hang_up()?;
        turns.push(self.paced(PACED_ALONE, rate)?);
        self.pair.wan.mend()?;
        self.pair.wan.hang_up()?;
        Ok(turns)
    }

    fn paced(&mut self, name: &str, rate: f64) -> anyhow::Result<Turn> {
        self.stage.say(name);
        let (outcome, used) = self.load(Pace::Open { rate })?;
        Ok(turn(name, &outcome, &used))
    }

    fn load(&self, pace: Pace) -> anyhow::Result<(Outcome, Counters)> {
        let settings = &self.stage.settings;
        let plan = Plan {
            target: self.pair.primary.target()?,
            work: Work::Write,
            pace,
            clients: CLIENTS,
            keys: settings.keys,
            value_bytes: settings.value_bytes,
            warm_up_seconds: settings.warm_up_seconds,
            seconds: settings.seconds,
            until_killed: false,
            ledger: None,
        };
        let pids = self.pair.primary.pids();
        let (mut before, mut used) = (Counters::default(), Counters::default());
        let outcome = generate(&plan, |event| {
            match event {
                Event::Measuring => before = Counters::of(&pids, None),
                Event::Measured => used = Counters::of(&pids, None).since(&before),
                Event::Outcome(_) => {}
            }
            Ok(())
        })?;
        anyhow::ensure!(outcome.completed > 0, "nothing was written: {:?}", outcome.failed);
        Ok((outcome, used))
    }

    fn alone(&mut self) -> anyhow::Result<Turn> {
        self.stage.say(ALONE);
        self.pair.in_sync(CATCH_UP)?;
        self.pair.wan.cut()?;
        self.pair.wan.hang_up()?;
        let (outcome, used) = self.load(Pace::Closed)?;
        Ok(turn(ALONE, &outcome, &used))
    }

    /// The secondary takes what was written without it, as fast as it can, while nothing new is written.
    fn behind(&mut self) -> anyhow::Result<Turn> {
        self.stage.say(BEHIND);
        let (last, has) = self.pair.positions()?;
        self.pair.wan.become_like(Duration::from_millis(80), 0.0)?;
        self.pair.wan.mend()?;
        self.pair.wan.hang_up()?;
        // Counted from the first record that arrives: how soon a link is opened again is another question.
        wait_for("the first record after the cut", CATCH_UP, || (self.pair.positions().ok()?.1 > has).then_some(()))?;
        let pids = self.pair.primary.pids();
        let (begun, (_, first), before) = (Instant::now(), self.pair.positions()?, Counters::of(&pids, None));
        self.pair.in_sync(CATCH_UP)?;
        let used = Counters::of(&pids, None).since(&before);
        let mut turn = Turn { system: System::Coffer.name().into(), case: BEHIND.into(), ..Turn::default() };
        turn.values.insert("records".into(), (last - has) as f64);
        let seconds = begun.elapsed().as_secs_f64();
        if last > first {
            turn.values.insert("records per second".into(), (last - first) as f64 / seconds);
            turn.values.insert("primary cpu us a record".into(), used.cpu_us / (last - first) as f64);
        } else {
            turn.void = Some("too few records: they all came with the first".into());
        }
        Ok(turn)
    }

    /// Writes with a secondary that follows; then waits for what is still on its way.
    fn streaming(&mut self, name: &str) -> anyhow::Result<Turn> {
        self.stage.say(name);
        self.pair.in_sync(CATCH_UP)?;
        std::thread::sleep(GAUGE);
        let (before, kept) = (self.pair.wan.count()?, self.pair.kept_bytes());
        let (begun, (_, first)) = (Instant::now(), self.pair.positions()?);
        let (outcome, used) = self.load(Pace::Closed)?;
        self.pair.in_sync(CATCH_UP)?;
        let (seconds, (_, last)) = (begun.elapsed().as_secs_f64(), self.pair.positions()?);
        std::thread::sleep(GAUGE);
        let (after, kept_after) = (self.pair.wan.count()?, self.pair.kept_bytes());
        let mut turn = turn(name, &outcome, &used);
        let records = (last - first) as f64;
        // From the first write to the last record that arrived: warm-up, load and the rest of the way.
        turn.values.insert("records per second".into(), records / seconds);
        let wire = (after.there - before.there + after.back - before.back) as f64;
        turn.values.insert("wire bytes a record".into(), wire / records);
        match kept.zip(kept_after) {
            Some((kept, kept_after)) if kept_after > kept => {
                turn.values.insert("stored bytes a record".into(), (kept_after - kept) / records);
                turn.values.insert("wire over stored".into(), wire / (kept_after - kept));
            }
            _ => turn.remarks.push("records were removed meanwhile, so what is stored is not known".into()),
        }
        Ok(turn)
    }
}

fn turn(case: &str, outcome: &Outcome, used: &Counters) -> Turn {
    let mut turn =
        Turn { system: System::Coffer.name().into(), case: case.into(), latencies_us: outcome.latencies_us.clone(), ..Turn::default() };
    turn.values.insert("writes per second".into(), outcome.completed as f64 / outcome.seconds);
    turn.values.insert("primary cpu us a write".into(), used.cpu_us / outcome.completed as f64);
    turn.values.insert("failed".into(), outcome.failed.values().sum::<u64>() as f64);
    turn
}

fn lines(rounds: &Rounds) -> Vec<Line> {
    let value = |case: &str, name: &str| rounds.reading(System::Coffer, case, name);
    let of = |one: Option<f64>, other: Option<f64>, make: fn(f64, f64) -> f64| Reading::from(one.zip(other).map(|(a, b)| make(a, b)));
    let rate = |case: &str| value(case, "records per second").value();
    let writes = |case: &str| value(case, "writes per second").value();
    let cpu = |case: &str| value(case, "primary cpu us a write").value();
    let shipped = value(BEHIND, "primary cpu us a record").value();
    let loss = |alone: f64, with: f64| (1.0 - with / alone) * 100.0;
    vec![
        Line::new(NEAR, "records/s", true, value(NEAR, "records per second")).limit(writes(NEAR)),
        Line::new(FAR, "records/s", true, value(FAR, "records per second")).limit(writes(FAR)),
        Line::new("80 ms against 0 ms", "%", true, of(rate(NEAR), rate(FAR), |near, far| far / near * 100.0)).bar("moonshot", 95.0),
        Line::new("wire over stored bytes, 80 ms", "times", false, value(FAR, "wire over stored")).bar("moonshot", 1.2),
        Line::new("wire bytes a record, 80 ms", "B", false, value(FAR, "wire bytes a record")),
        Line::new(BEHIND, "records/s", true, value(BEHIND, "records per second")),
        Line::new("catching up against live", "times", true, of(rate(FAR), rate(BEHIND), |live, behind| behind / live))
            .bar("moonshot", 3.0),
        Line::new(
            "primary's work to ship a record, of that to write it",
            "%",
            false,
            of(cpu(ALONE), shipped, |write, ship| ship / write * 100.0),
        )
        .bar("gate", 5.0),
        Line::new("primary's work to ship a record", "us", false, value(BEHIND, "primary cpu us a record")),
        Line::new("primary's work for a write, no secondary", "us", false, value(ALONE, "primary cpu us a write")),
        Line::new(
            "primary's work for a write at one rate, more with a secondary",
            "%",
            false,
            of(cpu(PACED_ALONE), cpu(PACED), |a, b| (b / a - 1.0) * 100.0),
        ),
        Line::new("primary's rate, less with a secondary on the same cores", "%", false, of(writes(ALONE), writes(FAR), loss)),
    ]
}
