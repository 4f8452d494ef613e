//! `jepsen run`: one run, with its verdict as the exit code.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use crate::check::{Valid, Verdict};
use crate::report;
use crate::work::run::{Order, Watch, run};
use crate::world::netns;
use crate::world::topo::Topology;

/// Starts a cluster, works on it while it is broken, and decides whether everything it said was true.
#[derive(Debug, Args)]
pub struct Run {
    /// Clusters and nodes: 1, 3, 5, P3+S3.
    #[arg(long, default_value = "3")]
    topo: String,
    /// What clients do, with commas between.
    #[arg(long, value_delimiter = ',', default_value = "register,set")]
    workload: Vec<String>,
    /// What goes wrong, with commas between; `none` for nothing.
    #[arg(long, value_delimiter = ',', default_value = "partition,kill,pause")]
    nemesis: Vec<String>,
    /// How many kinds of faults are in force at once.
    #[arg(long, default_value_t = 1)]
    hands: usize,
    /// How long there are faults, in seconds.
    #[arg(long, default_value_t = 60)]
    time: u64,
    /// Everything that is drawn comes from it; one that nobody chose is printed.
    #[arg(long)]
    seed: Option<u64>,
    /// Folder for all files of the run.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Operations per second, of all processes together.
    #[arg(long, default_value_t = 300.0)]
    rate: f64,
    /// What a client waits for one answer, in milliseconds.
    #[arg(long, default_value_t = 5000)]
    deadline: u64,
    /// Lines for each node's `storage "raft"`, as `snapshot_threshold = 100`.
    #[arg(long, default_value = "")]
    storage: String,
    /// Stanzas for each node's configuration, as `replication { logshipper_buffer_size = "1mb" }`.
    #[arg(long, default_value = "")]
    stanzas: String,
    /// A variable for each node's process, as NAME=VALUE; may be given several times.
    #[arg(long)]
    env: Vec<String>,
    /// So many threads take processors away from the nodes all the time.
    #[arg(long, default_value_t = 0)]
    burn: usize,
    /// Writes all packets to network.pcap.
    #[arg(long)]
    pcap: bool,
    #[command(flatten)]
    program: Program,
}

/// Where the product's program is.
#[derive(Debug, Clone, Args)]
pub struct Program {
    /// The program under test.
    #[arg(long = "coffer", env = "COFFER_BIN", value_name = "PATH")]
    path: Option<PathBuf>,
}

impl Program {
    /// As told, or where a build beside this crate leaves it.
    ///
    /// # Errors
    /// If there is none.
    pub fn find(&self) -> Result<PathBuf, String> {
        if let Some(path) = &self.path {
            return if path.is_file() { Ok(path.clone()) } else { Err(format!("{}: no such program", path.display())) };
        }
        let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
        let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
        let folders = target.into_iter().chain([home.join(".cache/coffer/target"), PathBuf::from("../target"), PathBuf::from("target")]);
        let mut known = folders.flat_map(|folder| ["release", "debug"].map(|profile| folder.join(profile).join("coffer")));
        known.find(|path| path.is_file()).ok_or_else(|| "no program to test: build it, or name it with --coffer PATH".to_owned())
    }
}

impl Run {
    /// Runs once.
    pub fn run(self) -> ExitCode {
        match self.order().and_then(|order| execute(&order)) {
            Ok(verdict) => conclude(&verdict),
            Err(why) => {
                eprintln!("{why}");
                ExitCode::from(super::BAD_INPUT)
            }
        }
    }

    fn order(self) -> Result<Order, String> {
        let topology: Topology = self.topo.parse()?;
        let seed = self.seed.unwrap_or_else(rand_seed);
        let pair = |text: &String| text.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
        let env = self.env.iter().map(|text| pair(text).ok_or_else(|| format!("{text} is not NAME=VALUE")));
        Ok(Order {
            program: self.program.find()?,
            folder: self.out.unwrap_or_else(|| PathBuf::from("jepsen-runs").join(format!("{topology}-{seed}"))),
            topology,
            workloads: self.workload,
            nemesis: self.nemesis.into_iter().filter(|kind| kind != "none").collect(),
            plan: None,
            hands: self.hands.max(1),
            seconds: self.time,
            seed,
            rate: self.rate,
            deadline: Duration::from_millis(self.deadline),
            storage: if self.storage.is_empty() { String::new() } else { format!("  {}\n", self.storage) },
            stanzas: if self.stanzas.is_empty() { String::new() } else { format!("{}\n", self.stanzas) },
            env: handed_on().chain(env).collect::<Result<_, _>>()?,
            burn: self.burn,
            is_captured: self.pcap,
        })
    }
}

/// What a test build of the product listens to goes on to each node.
fn handed_on() -> impl Iterator<Item = Result<(String, String), String>> {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty()).map(|value| Ok((name.to_owned(), value)));
    ["COFFER_BUG", "COFFER_FAILPOINTS"].into_iter().filter_map(set)
}

/// A seed that nobody chose.
pub fn rand_seed() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::from(now.subsec_nanos()) ^ u64::from(std::process::id()) << 20
}

/// Runs an order, watched on the terminal. Absolute paths: nodes read their configuration from elsewhere.
///
/// # Errors
/// If the harness fails.
pub fn execute(order: &Order) -> Result<Verdict, String> {
    let name = |error: std::io::Error| format!("{}: {error}", order.folder.display());
    if order.folder.join("history.jsonl").exists() {
        return Err(format!("{} holds a run already", order.folder.display()));
    }
    std::fs::create_dir_all(&order.folder).map_err(name)?;
    let order = Order { folder: order.folder.canonicalize().map_err(name)?, ..order.clone() };
    netns::leave_the_world()?;
    println!(
        "seed {}: {} under {} with {} in {}",
        order.seed,
        order.topology,
        words(&order.nemesis),
        words(&order.workloads),
        order.folder.display()
    );
    let terminal = Terminal::new(order.seconds);
    let verdict = run(&order, &terminal);
    terminal.bar.finish_and_clear();
    if verdict.is_ok() {
        println!("{}", report::write(&report::Run::load(&order.folder)?, &order.folder)?.display());
    }
    verdict
}

fn words(list: &[String]) -> String {
    if list.is_empty() { "no fault".to_owned() } else { list.join(", ") }
}

/// Prints the tree and the plain line, and gives the exit code.
pub fn conclude(verdict: &Verdict) -> ExitCode {
    print!("{}", outline(verdict));
    let passed = verdict.children.iter().filter(|child| child.is_valid()).count();
    println!("{passed} passed, {} failed", verdict.children.len() - passed);
    ExitCode::from(match verdict.valid {
        Valid::True => 0,
        Valid::False => 1,
        Valid::Unknown => 2,
    })
}

/// The tree without what is below branches that hold: the run's folder has it whole.
fn outline(verdict: &Verdict) -> Verdict {
    let children = if verdict.is_valid() && verdict.children.iter().all(|child| child.children.is_empty()) {
        Vec::new()
    } else {
        verdict.children.clone()
    };
    let shown = children.iter().filter(|child| !verdict.children.is_empty() && (!child.is_valid() || is_branch(verdict)));
    Verdict { children: shown.map(outline).collect(), ..verdict.clone() }
}

/// A branch above other branches: a run, whose parts are all shown.
fn is_branch(verdict: &Verdict) -> bool {
    verdict.children.iter().any(|child| !child.children.is_empty())
}

/// A bar, where there is someone to see it; a line for each phase elsewhere.
struct Terminal {
    bar: ProgressBar,
    is_seen: bool,
}

impl Terminal {
    fn new(seconds: u64) -> Self {
        let style = ProgressStyle::with_template("{msg:<32} {bar:30} {pos:>4}/{len} s  {prefix}").expect("the template is well formed");
        let bar = ProgressBar::new(seconds).with_style(style);
        Self { bar, is_seen: std::io::stderr().is_terminal() }
    }
}

impl Watch for Terminal {
    fn phase(&self, text: &str) {
        self.bar.set_message(text.to_owned());
        if !self.is_seen {
            eprintln!("  {text}");
        }
    }

    fn progress(&self, seconds: f64, good: u64, bad: u64) {
        self.bar.set_position(seconds as u64);
        self.bar.set_prefix(format!("{good} done, {bad} not"));
    }
}
