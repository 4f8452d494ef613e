//! Interleaved rounds: probe, ours, theirs, ours, theirs, probe. Medians over the rounds in which the machine stayed the same machine.

use std::cell::Cell;

use crate::cluster::System;
use crate::probe::{self, Probe, median};
use crate::result::{Line, Measured, Reading, Turn};
use crate::stage::Stage;

/// Void rounds that are made up for, at most.
const EXTRA_MAX: u32 = 3;

/// What all rounds of a metric gave.
#[derive(Default)]
pub struct Rounds {
    pub turns: Vec<Turn>,
    pub probes: Vec<Probe>,
    pub notes: Vec<String>,
    absent: Vec<(System, String)>,
    /// Quick runs show numbers of void rounds too.
    forgiving: bool,
    /// Whether a metric of those that share the rounds has the raw numbers already.
    told: Cell<bool>,
}

/// Runs `turn` for each of `systems`, twice a round, in rounds between probes. A turn that fails is kept as a void one.
///
/// # Errors
/// If no probe could be taken.
pub fn interleaved(stage: &Stage, systems: &[System], turn: impl FnMut(System) -> anyhow::Result<Vec<Turn>>) -> anyhow::Result<Rounds> {
    in_rounds(stage, systems, if stage.settings.quick { 1 } else { 2 }, turn)
}

/// As [`interleaved`], once a round: for turns that take minutes.
///
/// # Errors
/// If no probe could be taken.
pub fn slowly(stage: &Stage, systems: &[System], turn: impl FnMut(System) -> anyhow::Result<Vec<Turn>>) -> anyhow::Result<Rounds> {
    in_rounds(stage, systems, 1, turn)
}

fn in_rounds(
    stage: &Stage,
    systems: &[System],
    places: usize,
    mut turn: impl FnMut(System) -> anyhow::Result<Vec<Turn>>,
) -> anyhow::Result<Rounds> {
    let wanted = stage.settings.rounds;
    let mut rounds = Rounds::among(stage, systems);
    stage.bar.set_length(u64::from(wanted) * (places * stage.present(systems).len()) as u64);
    let (mut valid, mut round) = (0, 0);
    while valid < wanted && round < wanted + EXTRA_MAX {
        valid += u32::from(rounds.round(stage, systems, round, places, &mut turn));
        round += 1;
        if stage.settings.quick {
            break;
        }
    }
    anyhow::ensure!(!rounds.probes.is_empty(), "{}", rounds.notes.join("; "));
    Ok(rounds)
}

/// How the reason of a turn begins that is void only for the machine's sake.
pub const NOISE: &str = "the machine changed";

impl Rounds {
    fn among(stage: &Stage, systems: &[System]) -> Self {
        stage.bar.set_position(0);
        let absent = systems.iter().filter_map(|system| Some((*system, stage.absence(*system)?))).collect();
        Self { absent, forgiving: stage.settings.quick, ..Self::default() }
    }

    /// Probe, `places` turns of each in turn, probe. Whether the machine stayed the same; a probe that fails cannot tell.
    fn round(
        &mut self,
        stage: &Stage,
        systems: &[System],
        round: u32,
        places: usize,
        turn: &mut impl FnMut(System) -> anyhow::Result<Vec<Turn>>,
    ) -> bool {
        let present = stage.present(systems);
        stage.say("probe");
        let before = match probe::take(&stage.scratch) {
            Ok(before) => before,
            Err(error) => {
                self.notes.push(format!("round {round} was not begun: {error:#}"));
                return false;
            }
        };
        let from = self.turns.len();
        for place in 0..places * present.len() {
            let system = present[place % present.len()];
            let made = turn(system).unwrap_or_else(|error| {
                let text = format!("{error:#}");
                self.notes.push(format!("round {round}: {} failed: {text}", system.name()));
                vec![Turn { system: system.name().into(), void: Some(text), ..Turn::default() }]
            });
            let place = u32::try_from(place).expect("a few");
            self.turns.extend(made.into_iter().map(|turn| Turn { round, place, ..turn }));
            if let Err(error) = stage.sweep() {
                self.notes.push(format!("round {round}: what {} stored could not be removed: {error:#}", system.name()));
            }
            stage.bar.inc(1);
        }
        stage.say("probe");
        let after = probe::take(&stage.scratch);
        let differs = match &after {
            Ok(after) => before.differs(after),
            Err(error) => Some(format!("{error:#}")),
        };
        if let Some(what) = &differs {
            self.notes.push(format!("round {round} is void: {what}"));
            for turn in &mut self.turns[from..] {
                turn.void.get_or_insert_with(|| format!("{NOISE}: {what}"));
            }
        }
        self.probes.push(before);
        self.probes.extend(after.ok());
        differs.is_none()
    }

    /// The median of a value over the turns that count; else why there is none.
    pub fn reading(&self, system: System, case: &str, value: &str) -> Reading {
        self.reading_by(median, system, case, value)
    }

    /// As [`Rounds::reading`], with what `sum_up` makes of the values instead of their median.
    pub fn reading_by(&self, sum_up: impl FnOnce(&mut [f64]) -> f64, system: System, case: &str, value: &str) -> Reading {
        if let Some((_, why)) = self.absent.iter().find(|(absent, _)| *absent == system) {
            return Reading::Not(format!("missing: {why}"));
        }
        let turns: Vec<&Turn> = self.counting(system, case).collect();
        let mut values: Vec<f64> = turns.iter().filter_map(|turn| turn.values.get(value).copied()).collect();
        if values.is_empty() {
            let of_system = self.turns.iter().filter(|turn| turn.system == system.name() && (turn.case == case || turn.case.is_empty()));
            let why = of_system.filter_map(|turn| turn.void.clone()).next_back();
            return Reading::Not(why.unwrap_or_else(|| "not measured".into()));
        }
        Reading::Value(sum_up(&mut values))
    }

    /// A line of the table: the median of `value` for Coffer and each of `peers`.
    pub fn line(&self, case: &str, value: &str, unit: &str, higher_is_better: bool, peers: &[System]) -> Line {
        let line = Line::new(case, unit, higher_is_better, self.reading(System::Coffer, case, value));
        peers.iter().fold(line, |line, peer| line.peer(peer.name(), self.reading(*peer, case, value)))
    }

    /// Raw numbers and notes, without lines yet. Of the metrics that share these rounds, the first that is run keeps the numbers.
    pub fn measured(&self) -> Measured {
        let notes = self.notes.clone();
        if self.told.replace(true) {
            return Measured { notes, ..Measured::default() };
        }
        Measured { turns: self.turns.clone(), probes: self.probes.clone(), notes, ..Measured::default() }
    }

    /// The turns of a case that count.
    pub fn counting(&self, system: System, case: &str) -> impl Iterator<Item = &Turn> {
        let counts = |turn: &&Turn| turn.void.as_ref().is_none_or(|why| self.forgiving && why.starts_with(NOISE));
        self.turns.iter().filter(move |turn| turn.system == system.name() && turn.case == case).filter(counts)
    }

    /// The median of a number over all probes.
    pub fn probed(&self, number: impl Fn(&Probe) -> f64) -> f64 {
        median(&mut self.probes.iter().map(number).collect::<Vec<_>>())
    }
}
