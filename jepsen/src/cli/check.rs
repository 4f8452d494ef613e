//! `jepsen check`: judges a history.

use std::process::ExitCode;

use clap::Args;

use super::subject::{Subject, code, refuse};
use crate::check::{Verdict, coverage};

/// Judge a history: what does it show?
#[derive(Debug, Args)]
#[command(after_help = "\
Exit codes: 0 valid, 1 invalid, 2 unknown, 3 the history cannot be used.

Examples:
  jepsen check runs/7 --model versioned           the history of a run's folder
  jepsen check runs/7                             all its workloads, each by its own checker
  jepsen check h.edn --model cas-register         a history of Jepsen's
  jepsen check h.edn --model versioned,monotonic  two properties of one history
  jepsen check runs/7 --require majority,kill     unknown unless these faults were really there
  jepsen check fixtures/bad/append-lost-update.edn")]
pub struct Check {
    #[command(flatten)]
    subject: Subject,
    /// Modes of faults that must have been in force, with commas: without them a good history is no evidence.
    #[arg(long, value_name = "MODES", value_delimiter = ',')]
    require: Vec<String>,
}

impl Check {
    /// Prints the tree of verdicts.
    pub fn run(self) -> ExitCode {
        match self.verdict() {
            Err(why) => refuse(&why),
            Ok(verdict) => {
                print!("{verdict}");
                code(verdict.valid)
            }
        }
    }

    fn verdict(&self) -> Result<Verdict, String> {
        let history = self.subject.read()?;
        let mut verdicts = Vec::new();
        for case in self.subject.cases(&history)? {
            let verdict = (case.named.check)(&case.history, self.subject.limits());
            verdicts.push(verdict.map_err(|malformed| self.subject.explain(&case.history, &malformed))?);
        }
        if !self.require.is_empty() {
            verdicts.push(coverage::faults(&history, &self.require));
        }
        Ok(if verdicts.len() == 1 { verdicts.remove(0) } else { Verdict::all("history", verdicts) })
    }
}
