//! What processes and the disk have used so far, from `/proc` and `/sys`: read twice, and subtracted.

use std::fs;
use std::path::{Path, PathBuf};

/// Totals at a moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counters {
    /// Time on a processor, in microseconds: user and system, all threads.
    pub cpu_us: f64,
    /// Time ready to run without a processor, in microseconds: threads alive now.
    pub waited_us: f64,
    /// Bytes sent to the disk.
    pub written_bytes: f64,
    /// Flushes of the block device, by everybody; `None` if there is no such counter.
    pub flushes: Option<f64>,
}

impl Counters {
    /// The sum over `pids`, and the flushes of `device` (a folder below `/sys`).
    pub fn of(pids: &[u32], device: Option<&PathBuf>) -> Self {
        let mut sum = Self { flushes: device.and_then(|device| flushes(device)), ..Self::default() };
        for pid in pids {
            sum.cpu_us += cpu_us(*pid).unwrap_or_default();
            sum.waited_us += waited_us(*pid).unwrap_or_default();
            sum.written_bytes += written_bytes(*pid).unwrap_or_default();
        }
        sum
    }

    /// What was used since `before`.
    pub fn since(&self, before: &Self) -> Self {
        Self {
            cpu_us: self.cpu_us - before.cpu_us,
            // Threads that ended took theirs with them.
            waited_us: (self.waited_us - before.waited_us).max(0.0),
            written_bytes: self.written_bytes - before.written_bytes,
            flushes: self.flushes.zip(before.flushes).map(|(after, before)| after - before),
        }
    }
}

/// Ticks of `/proc/PID/stat` a second: fixed at 100 by Linux' interface to user space.
const TICKS: f64 = 100.0;

fn cpu_us(pid: u32) -> Option<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold spaces.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |field: usize| fields.get(field)?.parse::<f64>().ok();
    Some((ticks(11)? + ticks(12)?) * 1_000_000.0 / TICKS)
}

fn waited_us(pid: u32) -> Option<f64> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    let waited = threads.flatten().filter_map(|thread| {
        let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split_whitespace().nth(1)?.parse::<f64>().ok()
    });
    Some(waited.sum::<f64>() / 1000.0)
}

fn written_bytes(pid: u32) -> Option<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/io")).ok()?;
    text.lines().find_map(|line| line.strip_prefix("write_bytes: "))?.parse().ok()
}

/// Flush requests that the device completed: the 16th field of its `stat`.
fn flushes(device: &Path) -> Option<f64> {
    fs::read_to_string(device.join("stat")).ok()?.split_whitespace().nth(15)?.parse().ok()
}

/// Resident memory of a process, in MiB.
pub fn resident_mib(pid: u32) -> Option<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let kib = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.split_whitespace().next()?.parse::<f64>().ok()?;
    Some(kib / 1024.0)
}
