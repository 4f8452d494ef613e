//! Metric 14: a secondary that was away for ten minutes at 500 writes a second catches up by streaming alone, also while the primary's
//! active node changes.

use std::time::{Duration, Instant};

use crate::cluster::pair::Pair;
use crate::cluster::{Cluster, System, wait_for};
use crate::lag::status;
use crate::load::generator::generate;
use crate::load::plan::{Pace, Plan, Work};
use crate::metric::Metric;
use crate::result::{Line, Measured, Plot, Series, Turn};
use crate::rounds::{Rounds, slowly};
use crate::stage::Stage;

/// Ten minutes at 500 writes a second.
const ENTRIES: u32 = 300_000;
const ENTRIES_QUICK: u32 = 5_000;
/// A third of ten minutes.
const GATE_S: f64 = 200.0;
/// How long catching up is waited for.
const CATCH_UP: Duration = Duration::from_secs(1200);
const CLIENTS: u32 = 64;
const ONE_WAY: Duration = Duration::from_millis(20);

const PLAIN: &str = "streaming";
const CHANGE: &str = "the primary's active node killed meanwhile";

/// The metric.
pub struct Outage;

impl Metric for Outage {
    fn number(&self) -> u8 {
        14
    }
    fn name(&self) -> &'static str {
        "outage"
    }
    fn title(&self) -> &'static str {
        "Secondary cut for ten minutes' worth of records, then healed"
    }
    fn run(&self, stage: &Stage) -> anyhow::Result<Measured> {
        let mut bench = Bench { stage, pair: Pair::start(stage)?, entries: if stage.settings.quick { ENTRIES_QUICK } else { ENTRIES } };
        bench.pair.wan.become_like(ONE_WAY, 0.0)?;
        // Of each case the points of its last turn.
        let mut last = [Vec::new(), Vec::new()];
        let rounds = slowly(stage, &[System::Coffer], |_| {
            let mut turns = Vec::new();
            for (case, of_case) in [PLAIN, CHANGE].into_iter().zip(&mut last) {
                let (turn, points) = bench.turn(case)?;
                turns.push(turn);
                *of_case = points;
            }
            Ok(turns)
        })?;
        let lines = [PLAIN, CHANGE].into_iter().flat_map(|case| lines(&rounds, case, bench.entries)).collect();
        let series = [PLAIN, CHANGE].into_iter().zip(last).map(|(case, points)| Series { name: case.into(), points }).collect();
        let plot = Plot {
            title: "Records still missing after the line was mended, last round".into(),
            x: "seconds".into(),
            y: "records".into(),
            kind: "lines",
            log_x: false,
            log_y: false,
            series,
        };
        let mut measured = Measured { lines, plots: vec![plot], ..rounds.measured() };
        measured.notes.push(format!(
            "{} records in one cut, {} ms one way; the gate is a third of ten minutes; both clusters share this machine",
            bench.entries,
            ONE_WAY.as_millis()
        ));
        Ok(measured)
    }
}

struct Bench<'s> {
    stage: &'s Stage,
    pair: Pair,
    entries: u32,
}

impl Bench<'_> {
    fn turn(&mut self, case: &str) -> anyhow::Result<(Turn, Vec<(f64, f64)>)> {
        self.stage.say(&format!("{case}: cut, and write {} records", self.entries));
        self.pair.in_sync(CATCH_UP)?;
        let before = self.pair.streams();
        self.pair.wan.cut()?;
        let writing = Instant::now();
        self.write()?;
        let writing_s = writing.elapsed().as_secs_f64();
        let (last, has) = self.pair.positions()?;
        let missing = last - has;
        self.stage.say(&format!("{case}: mended, {missing} records to go"));
        // Ten minutes of silence end every connection; a short cut must not be survived by one.
        self.pair.wan.hang_up()?;
        self.pair.wan.mend()?;
        let mut follow = Follow { mended: Instant::now(), last, points: vec![(0.0, missing as f64)] };
        let mut values = vec![("records missed", missing as f64), ("seconds of writing", writing_s)];
        let mut killed = (0.0, 0.0);
        if case == CHANGE {
            follow.until(&self.pair, missing * 2 / 3)?;
            killed = self.kill_active()?;
            // What the dead node had put on the line is lost with it, as with its machine.
            self.pair.wan.hang_up()?;
            values.extend([("killed after s", follow.mended.elapsed().as_secs_f64()), ("missing then", follow.missing())]);
        }
        follow.until(&self.pair, 0)?;
        let seconds = follow.mended.elapsed().as_secs_f64();
        self.pair.primary.restart()?;
        self.pair.must_be_equal()?;
        let after = self.pair.streams();
        let streams = after.0 + killed.0 - before.0;
        let wanted = if case == CHANGE { 2.0 } else { 1.0 };
        let void = (streams < wanted)
            .then(|| format!("{streams} streams began with records, {wanted} must: the link was not broken as it should be"));
        values.extend([
            ("seconds to be in sync", seconds),
            ("records per second", missing as f64 / seconds),
            ("streams begun with records", streams),
            ("comparisons of trees", after.1 + killed.1 - before.1),
        ]);
        let values = values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let turn = Turn { system: System::Coffer.name().into(), case: case.into(), values, void, ..Turn::default() };
        Ok((turn, follow.points))
    }

    /// Each key once more, as fast as the primary takes them.
    fn write(&self) -> anyhow::Result<()> {
        let plan = Plan {
            target: self.pair.primary.target()?,
            work: Work::Fill,
            pace: Pace::Closed,
            clients: CLIENTS,
            keys: self.entries,
            value_bytes: self.stage.settings.value_bytes,
            warm_up_seconds: 0.0,
            seconds: 0.0,
            until_killed: false,
            ledger: None,
        };
        let filled = generate(&plan, |_| Ok(()))?;
        anyhow::ensure!(filled.failed.is_empty(), "records could not be written: {:?}", filled.failed);
        Ok(())
    }

    /// kill -9 of the primary's active node; returns what it had counted.
    fn kill_active(&mut self) -> anyhow::Result<(f64, f64)> {
        let active = self.pair.primary.active()?.clone();
        let counted = crate::cluster::pair::streams_of(&active);
        let place = self.pair.primary.apis.iter().position(|api| api.address == active.address).unwrap_or_default();
        self.pair.primary.servers_mut()[place].kill();
        Ok(counted)
    }
}

/// Watches the secondary come closer.
struct Follow {
    mended: Instant,
    /// The primary's last record: nothing is written meanwhile.
    last: u64,
    points: Vec<(f64, f64)>,
}

impl Follow {
    fn missing(&self) -> f64 {
        self.points.last().map_or(0.0, |(_, missing)| *missing)
    }

    fn until(&mut self, pair: &Pair, most: u64) -> anyhow::Result<()> {
        wait_for("the secondary to catch up", CATCH_UP, || {
            let has = status::of(pair.secondary.active().ok()?)["last_remote_wal"].as_u64()?;
            let missing = self.last.saturating_sub(has);
            self.points.push((self.mended.elapsed().as_secs_f64(), missing as f64));
            (missing <= most).then_some(())
        })
    }
}

fn lines(rounds: &Rounds, case: &str, entries: u32) -> Vec<Line> {
    let line = |what: &str, unit: &str, higher: bool, value: &str| {
        Line::new(format!("{case}: {what}"), unit, higher, rounds.reading(System::Coffer, case, value))
    };
    let seconds = line("in sync after", "s", false, "seconds to be in sync");
    // A short cut says nothing of a long one.
    let seconds = if entries == ENTRIES { seconds.bar("gate", GATE_S) } else { seconds };
    // One comparison in any round is one too many.
    let most = |values: &mut [f64]| values.iter().copied().fold(0.0, f64::max);
    let worst = rounds.reading_by(most, System::Coffer, case, "comparisons of trees");
    vec![
        seconds,
        Line::new(format!("{case}: comparisons of trees, most of all rounds"), "", false, worst).bar("gate", 0.0),
        line("rate", "records/s", true, "records per second"),
    ]
}
