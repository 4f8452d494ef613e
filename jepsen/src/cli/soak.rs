//! `jepsen soak`: one run after another, each with a fresh seed, until the time is up. What fails is kept.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Value, json};

use super::profiles::{Profile, named};
use super::run::Program;
use crate::core::Rng;

/// Runs profiles in turn for minutes or hours.
#[derive(Debug, Args)]
pub struct Soak {
    /// For so many hours.
    #[arg(long)]
    hours: Option<f64>,
    /// For so many minutes.
    #[arg(long, default_value_t = 10.0)]
    minutes: f64,
    /// Which profiles, with commas between, or `all`.
    #[arg(long, value_delimiter = ',', default_value = "all")]
    profiles: Vec<String>,
    /// How long there are faults in each run, in seconds.
    #[arg(long, default_value_t = 60)]
    time: u64,
    /// Operations per second.
    #[arg(long, default_value_t = 300.0)]
    rate: f64,
    /// The seeds of all runs come from it.
    #[arg(long)]
    seed: Option<u64>,
    /// Folder for runs that failed, and for soak.jsonl, which has a line for each run.
    #[arg(long, default_value = "jepsen-runs/soak")]
    out: PathBuf,
    #[command(flatten)]
    program: Program,
}

impl Soak {
    /// Runs until the time is up; red if any run was.
    pub fn run(self) -> ExitCode {
        match self.soak() {
            Ok((passed, failed)) => {
                println!("{passed} passed, {failed} failed");
                ExitCode::from(u8::from(failed > 0 || passed == 0))
            }
            Err(why) => {
                eprintln!("{why}");
                ExitCode::from(super::BAD_INPUT)
            }
        }
    }

    fn soak(&self) -> Result<(u64, u64), String> {
        let program = self.program.find()?;
        let profiles = named(&self.profiles)?;
        let seed = self.seed.unwrap_or_else(super::run::rand_seed);
        let limit = Duration::from_secs_f64(self.hours.map_or(self.minutes * 60.0, |hours| hours * 3600.0));
        fs::create_dir_all(&self.out).map_err(|error| format!("{}: {error}", self.out.display()))?;
        println!("seed {seed}, {:.1} minutes", limit.as_secs_f64() / 60.0);
        let (begin, mut rng, mut passed, mut failed) = (Instant::now(), Rng::new(seed), 0, 0);
        for profile in profiles.iter().cycle() {
            if begin.elapsed() >= limit {
                break;
            }
            // Short enough to be typed.
            let seed = rng.below(1_000_000_000);
            let code = self.one(profile, seed, &program)?;
            *(if code == 0 { &mut passed } else { &mut failed }) += 1;
        }
        Ok((passed, failed))
    }

    /// One run, in a process of its own: nothing of it can reach the next.
    fn one(&self, profile: &Profile, seed: u64, program: &Path) -> Result<i32, String> {
        let folder = self.out.join(format!("{}-{seed}", profile.name));
        let (begin, itself) = (Instant::now(), std::env::current_exe().map_err(|error| error.to_string())?);
        let mut command = Command::new(itself);
        command.args(["run", "--topo", profile.topology, "--workload", profile.workloads, "--nemesis", profile.nemesis]);
        command.args(profile.more).arg("--time").arg(self.time.to_string()).arg("--seed").arg(seed.to_string());
        command.arg("--rate").arg(self.rate.to_string()).arg("--out").arg(&folder).arg("--coffer").arg(program);
        let output = command.stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
        let code = output.status.code().unwrap_or(-1);
        let word = ["true", "false", "unknown"].get(usize::try_from(code).unwrap_or(9)).unwrap_or(&"harness failed");
        println!("{:<12} seed {seed:<10} {:>4.0} s  {word}", profile.name, begin.elapsed().as_secs_f64());
        let summary = fs::read_to_string(folder.join("summary.json")).ok().and_then(|text| serde_json::from_str::<Value>(&text).ok());
        let summary = summary.unwrap_or_default();
        let line = json!({"profile": profile.name, "seed": seed, "code": code, "seconds": begin.elapsed().as_secs(), "operations": summary["operations"], "counts": summary["counts"]});
        let list = OpenOptions::new().create(true).append(true).open(self.out.join("soak.jsonl"));
        list.and_then(|mut list| writeln!(list, "{line}")).map_err(|error| format!("soak.jsonl: {error}"))?;
        if code == 0 {
            // The seed brings it back.
            let _ = fs::remove_dir_all(&folder);
        } else {
            print!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        }
        Ok(code)
    }
}
