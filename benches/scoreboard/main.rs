//! The scoreboard: Coffer beside OpenBao and etcd in the same run, with probes of the machine in between. `make bench` runs it.
//!
//! | part | what |
//! | --- | --- |
//! | [`args`] | the command line |
//! | [`metric`], [`metrics`] | what is measured: one file each |
//! | [`result`], [`table`], [`plots`], [`page`] | what came out: raw numbers, a table of them, pictures, and a page with all |
//! | [`stage`], [`rounds`], [`session`] | what a metric works with: settings, peers, temporary folder; interleaved rounds |
//! | [`cluster`] | three nodes as processes: Coffer, OpenBao, etcd |
//! | [`load`] | the load generator, a process of its own |
//! | [`wan`], [`lag`], [`prompt`] | a wide-area network between two clusters; from acknowledged here to seen there; both ahead of the rest |
//! | [`probe`], [`counters`], [`machine`] | what the machine can do, what processes used, what the machine is |
//!
//! The rules are in `docs/performance.md`. Not here: gates that run in CI (`tests/`).
#![allow(missing_docs, reason = "a program, not a library")]

mod args;
mod cluster;
mod counters;
mod lag;
mod load;
mod machine;
mod metric;
mod metrics;
mod page;
mod plots;
mod probe;
mod prompt;
mod result;
mod rounds;
mod run;
mod session;
mod stage;
mod table;
mod wan;

use std::process::ExitCode;

use clap::Parser;

use args::{Args, Part};

fn main() -> ExitCode {
    let args = Args::parse();
    let done = match &args.part {
        Some(Part::Load) => load::run(),
        Some(Part::Probe { folder }) => probe::run(folder),
        Some(Part::Syncs { folder, seconds }) => probe::disk::run_syncs(folder, *seconds),
        Some(Part::Wan { far }) => wan::run(far),
        Some(Part::Marker) => lag::run_marker(),
        Some(Part::Watcher) => lag::run_watcher(),
        None => run::run(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("scoreboard: {error:#}");
            ExitCode::FAILURE
        }
    }
}
