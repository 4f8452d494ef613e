//! Syncs: alone, and three processes at once.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::Context;

use super::Probe;
use crate::cluster::server::tied;
use crate::load::latencies::{Latencies, quantile};

const BLOCK: usize = 4096;
/// The file is preallocated this large and written round and round, so that a sync carries data, not the file's length.
const FILE_BYTES: usize = 8 * 1024 * 1024;

/// Writes and syncs for `time`.
fn syncs(path: &Path, time: Duration) -> anyhow::Result<Latencies> {
    let file = File::create(path)?;
    file.write_all_at(&vec![1; FILE_BYTES], 0)?;
    file.sync_all()?;
    let mut latencies = Latencies::new();
    let start = Instant::now();
    let block = [7; BLOCK];
    for number in 0.. {
        let began = Instant::now();
        file.write_all_at(&block, (number * BLOCK % FILE_BYTES) as u64)?;
        file.sync_data()?;
        latencies.record(began.elapsed());
        if start.elapsed() >= time {
            break;
        }
    }
    Ok(latencies)
}

/// Fills in what concerns the disk.
pub fn probe(folder: &Path, time: Duration, into: &mut Probe) -> anyhow::Result<()> {
    let counts = syncs(&folder.join("alone"), time)?.counts();
    into.sync_p10_us = quantile(&counts, 0.1).unwrap_or_default();
    into.sync_p50_us = quantile(&counts, 0.5).unwrap_or_default();
    into.sync_p99_us = quantile(&counts, 0.99).unwrap_or_default();
    let mut children = Vec::new();
    for number in 0..3 {
        let file = folder.join(format!("of-three-{number}"));
        let mut command = tied(&std::env::current_exe()?);
        command.arg("syncs").arg(file).arg(time.as_secs_f64().to_string()).stdout(Stdio::piped());
        children.push(command.spawn().context("start a syncing process")?);
    }
    let mut slowest = f64::INFINITY;
    for child in children {
        let output = child.wait_with_output()?;
        let rate: f64 = String::from_utf8_lossy(&output.stdout).trim().parse().context("a rate")?;
        slowest = slowest.min(rate);
    }
    into.three_syncs_per_s = slowest;
    Ok(())
}

/// One of the three: prints its rate.
///
/// # Errors
/// If the file cannot be written.
pub fn run_syncs(file: &Path, seconds: f64) -> anyhow::Result<()> {
    let count = syncs(file, Duration::from_secs_f64(seconds))?.count();
    println!("{}", count as f64 / seconds);
    Ok(())
}
