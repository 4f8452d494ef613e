//! The load generator: a process of its own, so that what it costs is known and does not hide in the servers'.
//!
//! It reads a [`plan::Plan`] from standard input and says on standard output, a line of JSON each: when it begins to measure, when it
//! has measured, and the outcome. Closed loop: each client has one request outstanding. Open loop: requests have times of their own, and
//! latency counts from the time a request should have been sent, so a stall is seen by all who would have waited.
//! Not here: starting it ([`generator`] does, in the scoreboard's process), what is compared with what ([`crate::metrics`]).

pub mod clients;
mod drive;
mod etcd_client;
mod etcd_wire;
mod framing;
pub mod generator;
pub mod http_client;
pub mod latencies;
pub mod ledger;
mod pace;
pub mod plan;
mod readback;
mod vault_client;

use std::io::Read;

use anyhow::Context;

use plan::{Event, Plan};

/// Carries out the plan on standard input.
///
/// # Errors
/// If the plan cannot be read or no connection can be made.
pub fn run() -> anyhow::Result<()> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    let plan: Plan = serde_json::from_str(&text).context("the plan on standard input")?;
    // One thread: with few cores, a generator that spreads takes the servers' caches and wakes more than it works.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let outcome = runtime.block_on(drive::drive(plan))?;
    say(&Event::Outcome(Box::new(outcome)));
    Ok(())
}

/// Tells the scoreboard.
fn say(event: &Event) {
    println!("{}", serde_json::to_string(event).expect("an event has only strings as keys"));
}
