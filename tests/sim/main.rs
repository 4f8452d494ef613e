//! Deterministic simulation: whole clusters of production nodes in one thread, everything decided by one number.
//!
//! `make sim SEEDS=1..20` runs seeds, each in a process of its own; `SEED=7` one of them, `ARGS=--trace=FILE` with all that happened.
//! The network, the disks, the clocks and the random numbers are the simulation's; what runs on them is what a server runs.
//!
//! Not here: gRPC, TLS, HTTP and RocksDB, which `jepsen` breaks with real processes.

mod afterwards;
mod ambush;
mod audits;
mod check;
mod clients;
mod cubbyholes;
mod disk;
mod everywhere;
mod failovers;
mod families;
mod guarded;
mod health;
mod here;
mod history;
mod honest;
mod host;
mod hosts;
mod invariants;
mod kv;
mod limits;
mod liveness;
mod lives;
mod logins;
mod members;
mod mounts;
mod nemesis;
mod net;
mod operator;
mod os_random;
mod patches;
mod pipe;
mod plan;
mod rng;
mod roles;
mod run;
mod seal;
mod seeds;
mod store;
mod talk;
mod tokens;
mod trace;
mod transport;
mod users;
mod world;
mod wrapped;

use std::process::ExitCode;

fn main() -> ExitCode {
    match seeds::Args::parse(std::env::args().skip(1)) {
        Ok(args) => seeds::main(&args),
        Err(text) => {
            eprintln!("{text}\n\n{}", seeds::HELP);
            ExitCode::FAILURE
        }
    }
}
