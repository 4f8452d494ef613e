//! The command line: one file per command. A command is a struct of arguments with a `run` that answers an exit code.
//!
//! Exit codes are the same everywhere: 0 valid, 1 invalid, 2 unknown (which CI treats as invalid), 3 the input cannot be used.

mod bank;
mod check;
mod clean;
mod damage;
mod edn;
mod grid;
mod probe;
mod profiles;
mod report;
mod run;
mod shrink;
mod soak;
mod subject;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The input cannot be used: no file, a line that is no operation, an option that does not fit.
pub const BAD_INPUT: u8 = 3;

/// Breaks Coffer on purpose: runs real clusters under faults, records what clients saw, and checks it.
#[derive(Debug, Parser)]
#[command(name = "jepsen", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Check(check::Check),
    Bank(bank::Bank),
    Clean(clean::Clean),
    Damage(damage::Damage),
    Edn(edn::Edn),
    Grid(grid::Grid),
    Probe(probe::Probe),
    Report(report::Report),
    Run(run::Run),
    Soak(soak::Soak),
    Shrink(shrink::Shrink),
}

/// Runs the command that the arguments name.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(refused) => {
            let _ = refused.print(); // nobody is left to tell if the terminal is gone
            return ExitCode::from(if refused.use_stderr() { BAD_INPUT } else { 0 });
        }
    };
    match arguments.command {
        Command::Bank(command) => command.run(),
        Command::Check(command) => command.run(),
        Command::Clean(command) => command.run(),
        Command::Damage(command) => command.run(),
        Command::Edn(command) => command.run(),
        Command::Grid(command) => command.run(),
        Command::Probe(command) => command.run(),
        Command::Report(command) => command.run(),
        Command::Run(command) => command.run(),
        Command::Soak(command) => command.run(),
        Command::Shrink(command) => command.run(),
    }
}
