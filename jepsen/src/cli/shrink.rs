//! `jepsen shrink`: the shortest part of a history that still fails.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::subject::{Subject, code, refuse};
use crate::check::Valid;
use crate::check::shrink::{Shrunk, shrink};
use crate::core::{Format, History};

/// Find the shortest part of a failing history that fails for the same reason, and write it as EDN.
#[derive(Debug, Args)]
#[command(after_help = "\
Fewer keys, then an earlier end, then fewer calls. Exit codes: 1 shrunk, 0 the history is valid, 2 unknown, 3 it cannot be used.

Examples:
  jepsen shrink runs/7                        writes runs/7/shrunk.edn
  jepsen shrink h.edn --model append --out small.edn")]
pub struct Shrink {
    #[command(flatten)]
    subject: Subject,
    /// Where to write it; beside the history if not given.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl Shrink {
    /// Shrinks the first part that fails.
    pub fn run(self) -> ExitCode {
        match self.shrunk() {
            Err(why) => refuse(&why),
            Ok(None) => self.nothing(),
            Ok(Some((name, before, shrunk))) => match self.write(name, shrunk.history.clone()) {
                Err(why) => refuse(&why),
                Ok(file) => {
                    print!("{}", shrunk.verdict);
                    println!("{} of {before} lines, in {} ({} verdicts)", shrunk.history.ops.len(), file.display(), shrunk.verdicts);
                    code(Valid::False)
                }
            },
        }
    }

    fn shrunk(&self) -> Result<Option<(&'static str, usize, Shrunk)>, String> {
        let history = self.subject.read()?;
        for case in self.subject.cases(&history)? {
            let shrunk = shrink(&case.history, case.named, self.subject.limits());
            if let Some(shrunk) = shrunk.map_err(|malformed| self.subject.explain(&case.history, &malformed))? {
                return Ok(Some((case.named.name, case.history.ops.len(), shrunk)));
            }
        }
        Ok(None)
    }

    /// Nothing is false: is it all true?
    fn nothing(&self) -> ExitCode {
        let judge = || -> Result<Valid, String> {
            let history = self.subject.read()?;
            let mut valid = Valid::True;
            for case in self.subject.cases(&history)? {
                let verdict = (case.named.check)(&case.history, self.subject.limits());
                valid = valid.and(verdict.map_err(|malformed| self.subject.explain(&case.history, &malformed))?.valid);
            }
            Ok(valid)
        };
        match judge() {
            Err(why) => refuse(&why),
            Ok(valid) => {
                println!("nothing to shrink: the verdict is {}", valid.name());
                code(valid)
            }
        }
    }

    fn write(&self, model: &str, mut history: History) -> Result<PathBuf, String> {
        let file = match &self.out {
            Some(file) => file.clone(),
            None if self.subject.path.is_dir() => self.subject.path.join("shrunk.edn"),
            None => self.subject.path.with_extension("shrunk.edn"),
        };
        history.renumber();
        let text =
            format!("; Shrunk from {}.\n; model: {model}\n; expect: false\n{}", self.subject.path.display(), history.to_text(Format::Edn));
        std::fs::write(&file, text).map_err(|error| format!("{}: {error}", file.display()))?;
        Ok(file)
    }
}
