//! `jepsen report`: the page of a run, made anew from what its folder holds.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::subject::refuse;
use crate::report;

/// Show a run on one page: verdict, latencies, rates, faults, and where every node stood.
#[derive(Debug, Args)]
#[command(after_help = "\
Every run writes its page at its end. The page needs nothing but a browser, and links to the files beside it.

Examples:
  jepsen report runs/7              writes runs/7/report.html")]
pub struct Report {
    /// A run's folder.
    folder: PathBuf,
}

impl Report {
    /// Writes the page and says where it is.
    pub fn run(self) -> ExitCode {
        let written = report::Run::load(&self.folder).and_then(|run| Ok((report::write(&run, &self.folder)?, run)));
        match written {
            Err(why) => refuse(&why),
            Ok((page, run)) => {
                let said = report::beside_faults(&run).into_iter().chain(report::staleness(&run));
                said.for_each(|line| println!("{line}"));
                println!("{}", page.display());
                ExitCode::SUCCESS
            }
        }
    }
}
