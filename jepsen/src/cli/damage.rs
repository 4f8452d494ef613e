//! `jepsen damage`: a node's files are damaged while it is stopped, one at a time; what it says afterwards must be right, or nothing.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use super::run::{Program, rand_seed};
use crate::core::Rng;
use crate::damage::{Class, Harm, Kind, Outcome, Specimen};
use crate::world::{Options, World, netns};

/// Damages files of a node that is stopped, and reads everything after it was started again.
#[derive(Debug, Args)]
pub struct Damage {
    /// How often. Kinds of files and of damage take turns.
    #[arg(long, default_value_t = 360)]
    trials: usize,
    /// Only these kinds of files: log, mark, table, index, snapshot, identity.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Decides what is damaged where.
    #[arg(long)]
    seed: Option<u64>,
    /// Folder for all files.
    #[arg(long)]
    out: Option<PathBuf>,
    #[command(flatten)]
    program: Program,
}

/// Outcomes of one kind of file and of damage: stopped, not serving, refusing, whole, wrong.
type Row = [usize; 5];

impl Damage {
    /// Tries, prints what came of it, and fails if a node ever said something wrong.
    pub fn run(self) -> ExitCode {
        match self.tried() {
            Ok(0) => ExitCode::SUCCESS,
            Ok(_) => ExitCode::FAILURE,
            Err(why) => {
                eprintln!("{why}");
                ExitCode::from(super::BAD_INPUT)
            }
        }
    }

    fn classes(&self) -> Result<Vec<Class>, String> {
        let named = |name: &String| {
            let found = Class::ALL.into_iter().find(|class| format!("{class:?}").eq_ignore_ascii_case(name));
            found.ok_or_else(|| format!("no kind of file `{name}`: there are {:?}", Class::ALL))
        };
        if self.only.is_empty() { Ok(Class::ALL.to_vec()) } else { self.only.iter().map(named).collect() }
    }

    /// The number of findings.
    fn tried(&self) -> Result<usize, String> {
        let classes = self.classes()?;
        let seed = self.seed.unwrap_or_else(rand_seed);
        let folder = self.out.clone().unwrap_or_else(|| PathBuf::from("jepsen-runs").join(format!("damage-{seed}")));
        let named = |error: std::io::Error| format!("{}: {error}", folder.display());
        std::fs::create_dir_all(&folder).map_err(named)?;
        let folder = folder.canonicalize().map_err(named)?;
        let options = Options {
            program: self.program.find()?,
            topology: "1".parse()?,
            disk_mib: None,
            has_bad_disks: false,
            // Snapshots, and a log that was cut behind them.
            storage: "  snapshot_threshold = 100\n  trailing_logs = 50\n".to_owned(),
            stanzas: String::new(),
            env: Vec::new(),
        };
        netns::leave_the_world()?;
        println!("seed {seed}: {} trials in {}", self.trials, folder.display());
        let mut rng = Rng::new(seed).fork("damage");
        let world = World::new(&folder, &options, &rng)?;
        world.bring_up()?;
        let specimen = Specimen::make(world.first(), &folder)?;
        specimen.is_sound()?;

        let style = ProgressStyle::with_template("{bar:40} {pos}/{len}, {eta} left  {msg}").expect("the template is well formed");
        let bar = ProgressBar::new(self.trials as u64).with_style(style);
        let mut rows: BTreeMap<(Class, Kind), Row> = BTreeMap::new();
        let mut findings: Vec<(Harm, String)> = Vec::new();
        let turns = (0..).map(|turn: usize| (classes[turn % classes.len()], Kind::ALL[turn / classes.len() % Kind::ALL.len()]));
        let mut done = 0;
        // Some kinds of damage cannot be done to some files: a small one has no second block.
        for (class, kind) in turns.take(self.trials * 20) {
            if done == self.trials {
                break;
            }
            let Some((harm, outcome)) = specimen.try_once(class, kind, &mut rng)? else { continue };
            done += 1;
            bar.inc(1);
            let row = rows.entry((class, kind)).or_default();
            match outcome {
                Outcome::Stopped => row[0] += 1,
                Outcome::NotServing => row[1] += 1,
                Outcome::Refuses(_) => row[2] += 1,
                Outcome::Whole => row[3] += 1,
                Outcome::Wrong(why) => {
                    row[4] += 1;
                    bar.println(format!("WRONG after {harm}: {why}"));
                    findings.push((harm, why));
                }
            }
        }
        bar.finish_and_clear();
        print(&rows);
        for (harm, why) in &findings {
            println!("WRONG after {harm}\n  {why}");
        }
        println!("{} passed, {} failed", done - findings.len(), findings.len());
        Ok(findings.len())
    }
}

fn print(rows: &BTreeMap<(Class, Kind), Row>) {
    println!("{:<10} {:<7} {:>8} {:>12} {:>9} {:>7} {:>6}", "file", "damage", "stopped", "not serving", "refuses", "whole", "WRONG");
    let mut all = Row::default();
    for ((class, kind), row) in rows {
        let [stopped, silent, refuses, whole, wrong] = row;
        println!("{:<10} {:<7} {stopped:>8} {silent:>12} {refuses:>9} {whole:>7} {wrong:>6}", format!("{class:?}"), format!("{kind:?}"));
        all.iter_mut().zip(row).for_each(|(sum, count)| *sum += count);
    }
    let [stopped, silent, refuses, whole, wrong] = all;
    println!("{:<10} {:<7} {stopped:>8} {silent:>12} {refuses:>9} {whole:>7} {wrong:>6}", "all", "");
}
