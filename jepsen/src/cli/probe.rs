//! `jepsen probe`: what this machine can do to a run, tried for real.

use std::process::ExitCode;

use clap::Args;

use crate::world::{netns, probe};

/// Shows which faults this machine can make.
#[derive(Debug, Args)]
pub struct Probe {}

impl Probe {
    /// Prints the table; fails if something that runs need is missing.
    pub fn run(self) -> ExitCode {
        if let Err(why) = netns::leave_the_world() {
            eprintln!("{why}");
            return ExitCode::from(super::BAD_INPUT);
        }
        let folder = match tempfile::tempdir() {
            Ok(folder) => folder,
            Err(error) => {
                eprintln!("a folder for tries: {error}");
                return ExitCode::from(super::BAD_INPUT);
            }
        };
        let findings = probe::run(folder.path());
        println!("{:<36}{:<30}{:<6}seen", "fault", "made by", "");
        for finding in &findings {
            let (mark, text) = match &finding.seen {
                Ok(text) => ("yes", text),
                Err(text) => (if finding.is_needed { "NO" } else { "no" }, text),
            };
            println!("{:<36}{:<30}{mark:<6}{text}", finding.fault, finding.tool);
        }
        let lacks = findings.iter().any(|finding| finding.is_needed && finding.seen.is_err());
        ExitCode::from(u8::from(lacks))
    }
}
