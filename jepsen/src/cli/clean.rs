//! `jepsen clean`: takes away what a killed run left.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::world::clean;

/// Kills the processes that a run, which was killed itself, left behind; only those it wrote down, and only if they are still the same.
#[derive(Debug, Args)]
pub struct Clean {
    /// Folders of runs, or folders of such folders.
    #[arg(default_value = "jepsen-runs")]
    folders: Vec<PathBuf>,
}

impl Clean {
    /// Says how many were killed.
    pub fn run(self) -> ExitCode {
        for run in self.folders.iter().flat_map(|folder| clean::runs(folder)) {
            println!("{}: {} processes killed", run.display(), clean::run(&run));
        }
        ExitCode::SUCCESS
    }
}
