//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

const EXAMPLES: &str = "\
Examples:
  make bench                                        everything: some hours
  make bench ARGS=\"--only kv-write --quick\"         one metric, one short round: is it working?
  make bench ARGS=\"--only kv-read,tokens --rounds 7\"
  make bench ARGS=--list";

/// Measures Coffer beside OpenBao and etcd, and prints and keeps the scoreboard.
#[derive(Parser, Debug)]
#[command(name = "scoreboard", after_help = EXAMPLES)]
pub struct Args {
    /// Print the metrics there are, and stop.
    #[arg(long)]
    pub list: bool,
    /// Only these metrics, by name or number.
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    pub only: Vec<String>,
    /// One round, two seconds a case, fewer keys: shows that it works, not how fast it is.
    #[arg(long)]
    pub quick: bool,
    /// Rounds that count, each with two turns of every system.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    pub rounds: Option<u32>,
    /// Seconds that each case is measured, after a sixth of that to warm up.
    #[arg(long, value_name = "N", value_parser = seconds)]
    pub seconds: Option<f64>,
    /// Leave these systems out.
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', value_parser = ["openbao", "etcd"])]
    pub without: Vec<String>,
    /// Where results are kept.
    #[arg(long, value_name = "DIR", default_value = "benches/results")]
    pub out: PathBuf,
    /// Where the clusters keep their data while it runs: a folder on the disk that is to be measured.
    #[arg(long, value_name = "DIR")]
    pub scratch: Option<PathBuf>,
    /// Given by cargo.
    #[arg(long, hide = true)]
    pub bench: bool,
    #[command(subcommand)]
    pub part: Option<Part>,
}

/// Parts that run in processes of their own, started by the scoreboard.
#[derive(Subcommand, Debug)]
pub enum Part {
    /// The load generator: a plan on standard input, events on standard output.
    #[command(hide = true)]
    Load,
    /// What this machine can do now.
    Probe {
        /// A folder on the disk to probe.
        folder: PathBuf,
    },
    /// One of three processes that sync at once.
    #[command(hide = true)]
    Syncs {
        /// A folder on the disk to probe.
        folder: PathBuf,
        /// How long.
        seconds: f64,
    },
    /// A wide-area network to these addresses: commands on standard input.
    #[command(hide = true)]
    Wan {
        /// Where each door leads.
        far: Vec<String>,
    },
    /// Writes markers on a primary.
    #[command(hide = true)]
    Marker,
    /// Looks for them on a secondary.
    #[command(hide = true)]
    Watcher,
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds".to_owned())?;
    if (0.1..=3600.0).contains(&seconds) { Ok(seconds) } else { Err("from 0.1 to 3600".to_owned()) }
}
