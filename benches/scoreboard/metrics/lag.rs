//! Metric 12: replication lag, end to end, at several rates of writing, over several lines.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use crate::cluster::pair::Pair;
use crate::cluster::{Cluster, System};
use crate::lag::samples::Lags;
use crate::lag::status::{Asking, Honesty};
use crate::lag::{READS_PER_S, Watch};
use crate::load::generator::generate;
use crate::load::latencies::quantile;
use crate::load::plan::{Event, Outcome, Pace, Plan, Work};
use crate::metric::Metric;
use crate::probe::Probe;
use crate::result::{Line, Measured, Plot, Reading, Series, Turn};
use crate::rounds::{Rounds, interleaved};
use crate::stage::Stage;
use crate::wan::Counts;

/// Clients of the load, closed or open.
const CLIENTS: u32 = 64;
/// How long the secondary may take to have all, after a case or before the next.
const CATCH_UP: Duration = Duration::from_secs(120);
/// Points of a picture of lag over time.
const PLACES: usize = 200;

/// How fast the primary is written to.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Speed {
    /// Of what it takes from [`CLIENTS`] clients.
    Percent(u32),
    /// As fast as it takes them.
    Most,
}

/// One line, one rate.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Case {
    one_way_ms: u64,
    loss: f64,
    speed: Speed,
}

impl Case {
    fn line(&self) -> String {
        let loss = if self.loss > 0.0 { format!(", {} % lost", self.loss * 100.0) } else { String::new() };
        format!("{} ms one way{loss}", self.one_way_ms)
    }
    fn rate(&self) -> String {
        match self.speed {
            Speed::Percent(percent) => format!("{percent} % of maximum"),
            Speed::Most => "maximum".into(),
        }
    }
    fn name(&self) -> String {
        format!("{}, {}", self.line(), self.rate())
    }
}

fn cases(quick: bool) -> Vec<Case> {
    let case = |one_way_ms, loss, speed| Case { one_way_ms, loss, speed };
    let (most, half) = (Speed::Most, Speed::Percent(50));
    if quick {
        return vec![case(0, 0.0, half), case(20, 0.001, half), case(80, 0.0, half), case(80, 0.0, most)];
    }
    let all_rates = [Speed::Percent(10), half, Speed::Percent(80), most];
    let mut cases: Vec<Case> = [0, 20, 80].into_iter().flat_map(|ms| all_rates.map(|speed| case(ms, 0.0, speed))).collect();
    cases.push(case(20, 0.001, half));
    cases
}

/// The metric.
pub struct Lag;

impl Metric for Lag {
    fn number(&self) -> u8 {
        12
    }
    fn name(&self) -> &'static str {
        "lag"
    }
    fn title(&self) -> &'static str {
        "Replication lag: acknowledged on the primary to visible on the secondary"
    }
    fn run(&self, stage: &Stage) -> anyhow::Result<Measured> {
        let mut bench = Bench { stage, pair: Pair::start(stage)?, series: RefCell::default() };
        bench.fill()?;
        let rounds = interleaved(stage, &[System::Coffer], |_| bench.turn())?;
        let cases = cases(stage.settings.quick);
        let lines = cases.iter().flat_map(|case| lines(&rounds, case)).collect();
        let mut notes = rounds.notes.clone();
        notes.push(format!(
            "lags are too large by up to {} ms and one read; both clusters, the load and the relay share this machine's cores",
            1000.0 / READS_PER_S
        ));
        notes.push(crate::prompt::said());
        notes.extend(cases.iter().filter_map(|case| status_note(&rounds, case)));
        let plots = plots(&rounds, &cases, &bench.series.borrow());
        Ok(Measured { lines, plots, notes, turns: rounds.turns, probes: rounds.probes, ..Measured::default() })
    }
}

type OverTime = Vec<(String, Vec<(f64, f64)>)>;

struct Bench<'s> {
    stage: &'s Stage,
    pair: Pair,
    /// Of the last turn of each case.
    series: RefCell<OverTime>,
}

impl Bench<'_> {
    fn plan(&self, work: Work, pace: Pace) -> anyhow::Result<Plan> {
        let settings = &self.stage.settings;
        Ok(Plan {
            target: self.pair.primary.target()?,
            work,
            pace,
            clients: CLIENTS,
            keys: settings.keys,
            value_bytes: settings.value_bytes,
            warm_up_seconds: settings.warm_up_seconds,
            seconds: settings.seconds / 2.0,
            until_killed: false,
            ledger: None,
        })
    }

    fn fill(&self) -> anyhow::Result<()> {
        self.stage.say(&format!("write {} keys", self.stage.settings.keys));
        let filled = generate(&self.plan(Work::Fill, Pace::Closed)?, |_| Ok(()))?;
        anyhow::ensure!(filled.failed.is_empty(), "keys could not be written: {:?}", filled.failed);
        Ok(())
    }

    /// All cases. What "maximum" is, is measured at the beginning of each turn, over a line without delay.
    fn turn(&mut self) -> anyhow::Result<Vec<Turn>> {
        self.pair.wan.become_like(Duration::ZERO, 0.0)?;
        self.stage.say("the primary's maximum with a secondary");
        let most = generate(&self.plan(Work::Write, Pace::Closed)?, |_| Ok(()))?;
        let most = most.completed as f64 / most.seconds;
        cases(self.stage.settings.quick).into_iter().map(|case| self.case(&case, most)).collect()
    }

    fn case(&mut self, case: &Case, most: f64) -> anyhow::Result<Turn> {
        self.stage.say(&case.name());
        self.pair.wan.become_like(Duration::from_millis(case.one_way_ms), case.loss)?;
        self.pair.in_sync(CATCH_UP)?;
        let pace = match case.speed {
            Speed::Percent(percent) => Pace::Open { rate: (most * f64::from(percent) / 100.0).max(1.0) },
            Speed::Most => Pace::Closed,
        };
        let plan = self.plan(Work::Write, pace)?;
        let (here, there) = (self.pair.primary.active()?.clone(), self.pair.secondary.active()?.clone());
        let (primary_token, secondary_token) = (self.pair.primary.token.clone(), self.pair.secondary.token.clone());
        let mut at_work = None;
        let before = self.pair.wan.count()?;
        let outcome = generate(&plan, |event| {
            if matches!(event, Event::Measuring) {
                let watch = Watch::begin((&here.address, &primary_token), (&there.address, &secondary_token), plan.seconds)?;
                at_work = Some((watch, Asking::begin(there.clone())));
            }
            Ok(())
        })?;
        let (watch, asking) = at_work.ok_or_else(|| anyhow::anyhow!("the load generator never measured"))?;
        let lags = watch.end()?;
        let honesty = asking.end(&lags);
        let counts = self.pair.wan.count()?;
        self.keep(case, &lags);
        Ok(turn(case, &outcome, &lags, &honesty, (&before, &counts)))
    }

    fn keep(&self, case: &Case, lags: &Lags) {
        let mut series = self.series.borrow_mut();
        series.retain(|(name, _)| *name != case.name());
        series.push((case.name(), lags.over_time(PLACES)));
    }
}

fn turn(case: &Case, outcome: &Outcome, lags: &Lags, honesty: &Honesty, (before, counts): (&Counts, &Counts)) -> Turn {
    let mut turn = Turn { system: System::Coffer.name().into(), case: case.name(), latencies_us: lags.counts(), ..Turn::default() };
    let mut put = |name: &str, value: f64| turn.values.insert(name.into(), value);
    for (name, share) in [("p50 ms", 0.5), ("p99 ms", 0.99), ("max ms", 1.0)] {
        if let Some(us) = quantile(&turn.latencies_us, share) {
            put(name, us / 1000.0);
        }
    }
    put("markers", lags.samples.len() as f64);
    put("never seen", lags.unseen as f64);
    put("writes per second", outcome.completed as f64 / outcome.seconds);
    put("failed", outcome.failed.values().sum::<u64>() as f64);
    put("relay late mean us", counts.late_mean_us);
    put("relay late max us", counts.late_max_us);
    put("segments lost", (counts.stalls - before.stalls) as f64);
    put("bytes there", (counts.there - before.there) as f64);
    put("bytes back", (counts.back - before.back) as f64);
    put("status asked", honesty.asked as f64);
    put("status told max ms", honesty.told_max_ms);
    put("status truth max ms", honesty.true_max_ms);
    put("status too low ms", honesty.too_low_ms);
    put("status too high ms", honesty.too_high_ms);
    if lags.unseen > 0 {
        turn.void = Some(format!("{} acknowledged markers were never seen on the secondary", lags.unseen));
    } else if lags.samples.is_empty() {
        turn.void = Some("no marker was acknowledged".into());
    }
    turn
}

/// What the line and the machine allow, in milliseconds: one way, and one write of the secondary's own cluster.
fn floor_ms(rounds: &Rounds, case: &Case) -> f64 {
    let probed = |number: fn(&Probe) -> f64| rounds.probed(number) / 1000.0;
    case.one_way_ms as f64 + probed(|probe| probe.round_trip_us) + probed(|probe| probe.sync_p50_us)
}

fn lines(rounds: &Rounds, case: &Case) -> Vec<Line> {
    let reading = |value: &str| rounds.reading(System::Coffer, &case.name(), value);
    let one_way = case.one_way_ms as f64;
    let floor = floor_ms(rounds, case);
    let sync_ms = rounds.probed(|probe| probe.sync_p50_us) / 1000.0;
    let line = |name: &str, value: &str| Line::new(format!("{}: {name}", case.name()), "ms", false, reading(value)).limit(Some(floor));
    let (mut half, mut most) = (line("p50", "p50 ms"), line("p99", "p99 ms"));
    // What is asked, is asked at half of the maximum, on a line that loses nothing.
    if case.speed == Speed::Percent(50) && case.loss <= 0.0 {
        half = half.bar("moonshot", 1.3 * floor);
        most = most.bar("gate", one_way + 50.0).bar("moonshot", one_way + 2.0 * sync_ms + 5.0);
    }
    vec![half, most, line("max", "max ms")]
}

fn status_note(rounds: &Rounds, case: &Case) -> Option<String> {
    let value = |name: &str| match rounds.reading(System::Coffer, &case.name(), name) {
        Reading::Value(value) => Some(value),
        Reading::Not(_) => None,
    };
    let short = crate::table::short;
    Some(format!(
        "{}: lag_seconds told at most {} ms, true at most {} ms; too low by up to {} ms, too high by up to {} ms",
        case.name(),
        short(value("status told max ms")?),
        short(value("status truth max ms")?),
        short(value("status too low ms")?),
        short(value("status too high ms")?),
    ))
}

fn plots(rounds: &Rounds, cases: &[Case], over_time: &OverTime) -> Vec<Plot> {
    let mut lines: Vec<String> = cases.iter().map(Case::line).collect();
    lines.dedup();
    let mut plots = Vec::new();
    for line in lines {
        let of_line: Vec<&Case> = cases.iter().filter(|case| case.line() == line).collect();
        let over = of_line.iter().filter_map(|case| {
            let (_, points) = over_time.iter().find(|(name, _)| *name == case.name())?;
            Some(Series { name: case.rate(), points: points.clone() })
        });
        plots.push(Plot {
            title: format!("Lag over time, {line}: worst of each moment, last turn"),
            x: "seconds".into(),
            y: "ms".into(),
            kind: "lines",
            log_x: false,
            log_y: true,
            series: over.collect(),
        });
        let distribution = of_line.iter().map(|case| {
            let all = Rc::new(rounds.counting(System::Coffer, &case.name()).flat_map(|turn| turn.latencies_us.clone()).collect::<Vec<_>>());
            Series { name: case.rate(), points: crate::page::shares(&all, 1000.0) }
        });
        plots.push(Plot {
            title: format!("Distribution of the lag, {line}: all turns"),
            x: "ms".into(),
            y: "share".into(),
            kind: "distribution",
            log_x: true,
            log_y: false,
            series: distribution.collect(),
        });
    }
    plots
}
