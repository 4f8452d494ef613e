//! Which seeds run, where, and what is told of them. Each runs in a process of its own: nothing of one is left for the next.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use crate::plan::{Fault, Plan};
use crate::{os_random, run, trace};

/// What can be asked for.
pub const HELP: &str = "sim --seeds=1..20 [--twice] [--jobs=1]   runs each of them (the last too), or twice and compares what happened
    [--with=force,rotate]                only those in which all of these faults may happen (tests/sim/plan.rs)
sim --seed=7 [--trace=FILE] [--debug]    runs one in this process
sim --bank=1..63 [--seeds=1..20]         plants each bug and looks for a seed that finds it";

/// Longest a seed may take, in real time.
const PATIENCE: Duration = Duration::from_secs(600);

/// What was asked for.
#[derive(Debug, Default)]
pub struct Args {
    seeds: Vec<u64>,
    is_one: bool,
    is_twice: bool,
    is_debug: bool,
    jobs: usize,
    trace: Option<PathBuf>,
    /// Faults that must be possible.
    with: Vec<Fault>,
    /// Planted bugs to look for.
    bank: Vec<u64>,
}

impl Args {
    /// Reads the command line.
    ///
    /// # Errors
    /// With what is wrong.
    pub fn parse(args: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut parsed = Self { jobs: 1, ..Self::default() };
        for arg in args {
            let (name, value) = arg.split_once('=').unwrap_or((&arg, ""));
            let number = |text: &str| text.parse::<u64>().map_err(|_| format!("{arg}: not a number"));
            match name {
                "--seed" => (parsed.seeds, parsed.is_one) = (vec![number(value)?], true),
                "--seeds" | "--bank" => {
                    let (first, last) = value.split_once("..").unwrap_or((value, value));
                    let all = (number(first)?..=number(last)?).collect();
                    if name == "--bank" { parsed.bank = all } else { parsed.seeds = all }
                }
                "--jobs" => parsed.jobs = usize::try_from(number(value)?).map_err(|_| "too many jobs")?.max(1),
                "--with" => parsed.with = value.split(',').map(Fault::named).collect::<Result<_, _>>()?,
                "--twice" => parsed.is_twice = true,
                "--debug" => parsed.is_debug = true,
                "--trace" => parsed.trace = Some(PathBuf::from(value)),
                // What cargo passes to every test.
                "--quiet" | "--nocapture" | "--test-threads" => {}
                _ => return Err(format!("{arg}: unknown")),
            }
        }
        if parsed.seeds.is_empty() {
            parsed.seeds = (1..=3).collect();
        }
        let with = std::mem::take(&mut parsed.with);
        parsed.seeds.retain(|seed| {
            let plan = Plan::of(*seed);
            with.iter().all(|fault| plan.may(*fault))
        });
        Ok(parsed)
    }
}

/// Runs them.
pub fn main(args: &Args) -> ExitCode {
    match (args.is_one, args.bank.is_empty()) {
        (true, _) => one(args),
        (false, true) => many(args),
        (false, false) => bank(args),
    }
}

/// One seed, in this process.
fn one(args: &Args) -> ExitCode {
    let seed = args.seeds[0];
    os_random::follow(seed);
    let file = args.trace.as_ref().map(|path| File::create(path).expect("the trace's file can be made"));
    let plan = Plan::of(seed);
    trace::begin(file, plan.names(), if args.is_debug { tracing::Level::DEBUG } else { tracing::Level::INFO });
    trace::line(format_args!("{plan:?}"));
    let folder = folder_of(seed);
    let began = cpu();
    let report = run::run(plan, &folder);
    let (hash, lines) = trace::end();
    std::fs::remove_dir_all(&folder).ok();
    let state = if report.failures.is_empty() { "passed" } else { "FAILED" };
    let seconds = report.elapsed.as_secs_f64();
    let cost = cpu() - began;
    println!(
        "seed {seed} {state} trace {hash} ({lines} lines), {seconds:.1} s in {cost:.1} s CPU, {} operations, {}",
        report.operations, report.faults
    );
    if report.failures.is_empty() {
        return ExitCode::SUCCESS;
    }
    for why in &report.failures {
        println!("  {why}");
    }
    if args.trace.is_none() {
        trace::last().iter().for_each(|line| print!("    {line}"));
    }
    ExitCode::FAILURE
}

/// In memory where the system has such a folder: the simulation's syncs are not to wait for a real disk.
fn folder_of(seed: u64) -> PathBuf {
    let shm = PathBuf::from("/dev/shm");
    let parent = if shm.is_dir() { shm } else { std::env::temp_dir() };
    let folder = parent.join(format!("coffer-sim-{}-{seed}", std::process::id()));
    // What is there already was left by a process of this number that was killed: numbers come again.
    std::fs::remove_dir_all(&folder).ok();
    std::fs::create_dir_all(&folder).expect("a folder for real files can be made");
    folder
}

/// CPU time of this process, in seconds.
fn cpu() -> f64 {
    let usage = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_SELF).expect("a process knows what it used");
    let seconds = |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    seconds(usage.user_time()) + seconds(usage.system_time())
}

struct Started {
    seed: u64,
    child: Child,
    at: Instant,
}

/// What a seed's process said.
struct Said {
    seed: u64,
    has_passed: bool,
    text: String,
    trace: String,
}

fn start(seed: u64, bug: Option<u64>) -> Started {
    let mut command = Command::new(std::env::current_exe().expect("a process knows its program"));
    command.arg(format!("--seed={seed}")).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    if let Some(bug) = bug {
        command.env("COFFER_BUG", bug.to_string());
    }
    Started { seed, child: command.spawn().expect("a process can be started"), at: Instant::now() }
}

impl Started {
    /// Waits for its end, or ends it.
    fn wait(mut self) -> Said {
        let out = self.child.stdout.take().expect("it was asked for");
        let reading = std::thread::spawn(move || BufReader::new(out).lines().map_while(Result::ok).collect::<Vec<_>>().join("\n"));
        let has_passed = loop {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                break status.success();
            }
            if self.at.elapsed() > PATIENCE {
                // It may have ended just now.
                let _ = self.child.kill();
            }
            std::thread::sleep(Duration::from_millis(50));
        };
        let text = reading.join().expect("reading does not panic");
        let trace = text.split("trace ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap_or("none").to_owned();
        Said { seed: self.seed, has_passed, text, trace }
    }
}

/// Each in a process of its own.
fn many(args: &Args) -> ExitCode {
    let (mut passed, mut failed) = (0, Vec::new());
    for some in args.seeds.chunks(args.jobs.max(1)) {
        let run_all = || -> Vec<Said> {
            let started: Vec<Started> = some.iter().map(|seed| start(*seed, None)).collect();
            started.into_iter().map(Started::wait).collect()
        };
        let first = run_all();
        let again = if args.is_twice { run_all().into_iter().map(Some).collect() } else { first.iter().map(|_| None).collect::<Vec<_>>() };
        for (first, again) in first.iter().zip(again) {
            let is_same = again.as_ref().is_none_or(|again| again.trace == first.trace);
            let has_passed = first.has_passed && again.as_ref().is_none_or(|again| again.has_passed);
            println!("{}{}", first.text, if again.is_some() && is_same { ", twice the same" } else { "" });
            if let Some(again) = again.filter(|_| !is_same) {
                println!(
                    "  seed {}: its trace is {} and then {}: it does not follow from the seed alone",
                    first.seed, first.trace, again.trace
                );
            }
            if has_passed && is_same {
                passed += 1;
            } else {
                println!("  again: make sim SEED={} ARGS=--trace=/tmp/sim.trace", first.seed);
                failed.push(first.seed);
            }
        }
    }
    println!("{passed} passed, {} failed{}", failed.len(), if failed.is_empty() { String::new() } else { format!(": {failed:?}") });
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Plants each bug in turn, and runs seeds until one fails. Those that are not found are told, and are no failure of this command:
/// many are in parts that a simulation does not run.
fn bank(args: &Args) -> ExitCode {
    let mut found = 0;
    for bug in &args.bank {
        let began = Instant::now();
        let failing = args.seeds.iter().map(|seed| start(*seed, Some(*bug)).wait()).find(|said| !said.has_passed);
        let name = coffer::chaos::BUGS.iter().find(|known| u64::from(known.number) == *bug).map_or("unknown", |known| known.name);
        let seconds = began.elapsed().as_secs();
        match failing {
            Some(said) => {
                found += 1;
                let why = said.text.lines().nth(1).unwrap_or_default().trim();
                println!("bug {bug} ({name}): found by seed {} after {seconds} s: {why}", said.seed);
            }
            None => println!("bug {bug} ({name}): not found by {} seeds in {seconds} s", args.seeds.len()),
        }
    }
    println!("{found} found, {} not found", args.bank.len() - found);
    ExitCode::SUCCESS
}
