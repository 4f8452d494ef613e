//! What the machine can do at this moment, by small programs that do one thing: numbers of the same run are judged against these.
//!
//! A probe runs in a process of its own and prints one line of JSON. Two probes bracket each round; if any of their numbers differ by
//! more than [`DIFFERENCE_MAX`], the machine was not the same machine, and the round is void.

pub mod disk;
mod echo;
mod loopback;
mod seal;
mod store;

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::cluster::server::tied;

/// How much the two probes of a round may differ.
pub const DIFFERENCE_MAX: f64 = 2.0;

/// What came out. Times in microseconds.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Probe {
    /// F: write 4 KiB and fdatasync, into a preallocated file.
    pub sync_p10_us: f64,
    pub sync_p50_us: f64,
    pub sync_p99_us: f64,
    /// R3: syncs a second of the slowest of three processes that sync at once.
    pub three_syncs_per_s: f64,
    /// r: 64 bytes there and back over loopback, p50.
    pub round_trip_us: f64,
    /// Processor time of an HTTP server that takes a JSON body and answers with one.
    pub echo_cpu_us: f64,
    /// Encrypting 256 bytes as Coffer does.
    pub seal_cpu_us: f64,
    /// Decrypting them.
    pub open_cpu_us: f64,
    /// Reading a row through Coffer's storage.
    pub get_cpu_us: f64,
    /// One bcrypt of cost 10, the work of checking a password.
    pub bcrypt_cpu_us: f64,
    /// Writing a row through Coffer's storage, one batch each, without a sync.
    pub put_cpu_us: f64,
}

impl Probe {
    /// What a read must cost at least: HTTP, the token's and the secret's rows, and decrypting both.
    pub fn read_cpu_us(&self) -> f64 {
        self.echo_cpu_us + 2.0 * self.get_cpu_us + 2.0 * self.open_cpu_us
    }

    /// What a replicated write must cost at least on all three nodes: HTTP, two encryptions, and each node's row.
    pub fn write_cpu_us(&self) -> f64 {
        self.echo_cpu_us + 2.0 * self.seal_cpu_us + 3.0 * self.put_cpu_us
    }

    /// What differs from `other` by more than a factor of [`DIFFERENCE_MAX`]; `None` if nothing does.
    pub fn differs(&self, other: &Self) -> Option<String> {
        let pairs = [
            ("fdatasync", self.sync_p10_us, other.sync_p10_us),
            ("three at once", self.three_syncs_per_s, other.three_syncs_per_s),
            ("round trip", self.round_trip_us, other.round_trip_us),
            ("echo", self.echo_cpu_us, other.echo_cpu_us),
            ("seal", self.seal_cpu_us, other.seal_cpu_us),
            ("get", self.get_cpu_us, other.get_cpu_us),
        ];
        let (name, one, two) = pairs.into_iter().find(|(_, one, two)| one.max(*two) > DIFFERENCE_MAX * one.min(*two))?;
        Some(format!("{name} was {} before and {} after", crate::table::short(one), crate::table::short(two)))
    }
}

/// Probes, and prints.
///
/// # Errors
/// If something cannot be tried.
pub fn run(folder: &Path) -> anyhow::Result<()> {
    let folder = tempfile::tempdir_in(folder)?;
    let mut probe = Probe::default();
    disk::probe(folder.path(), Duration::from_millis(500), &mut probe)?;
    probe.round_trip_us = loopback::probe(2000)?;
    probe.echo_cpu_us = echo::probe(Duration::from_millis(300))?;
    (probe.seal_cpu_us, probe.open_cpu_us) = seal::probe(20_000)?;
    probe.bcrypt_cpu_us = seal::password(3)?;
    (probe.get_cpu_us, probe.put_cpu_us) = store::probe(folder.path(), 10_000)?;
    println!("{}", serde_json::to_string(&probe)?);
    Ok(())
}

/// Starts a probe of the disk that holds `folder`, and waits for it.
///
/// # Errors
/// If it fails.
pub fn take(folder: &Path) -> anyhow::Result<Probe> {
    let output = tied(&std::env::current_exe()?).arg("probe").arg(folder).output().context("start the probe")?;
    anyhow::ensure!(output.status.success(), "the probe failed: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).context("the probe's answer")
}

/// Processor time of this thread, in microseconds. By the thread's clock: what `getrusage` tells moves by whole ticks of milliseconds on
/// many kernels, which is as long as all reads of the probe take.
fn thread_cpu_us() -> f64 {
    use nix::sys::time::TimeValLike;
    let clock = nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID;
    nix::time::clock_gettime(clock).map_or(0.0, |time| time.num_nanoseconds() as f64 / 1000.0)
}

/// The middle of `values`; 0 if there are none.
pub fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => 0.0,
        odd if odd % 2 == 1 => values[odd / 2],
        even => f64::midpoint(values[even / 2 - 1], values[even / 2]),
    }
}
