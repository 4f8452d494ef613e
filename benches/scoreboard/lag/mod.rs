//! Lag, end to end: from the moment a client of the primary has its acknowledgement to the moment a client of the secondary sees the value.
//!
//! Two processes, one at each cluster. The *marker* writes growing numbers into one secret of the primary, at times of their own, and
//! notes when each was acknowledged. The *watcher* reads that secret on the secondary, again and again over one connection, and notes when
//! it first saw each number or a later one. Both read the machine's one monotonic clock. A lag is the difference: never too small by more
//! than nothing, too large by at most the watcher's pause and one read.
//! Other load runs beside; the markers are in the same log, between the load's writes.
//! Not here: what is measured when ([`crate::metrics::lag`]).

mod clock;
mod marker;
pub mod samples;
pub mod status;
mod watcher;

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Stdio};

use anyhow::Context;
use serde::{Deserialize, Serialize};

pub use marker::run as run_marker;
use samples::Lags;
pub use watcher::run as run_watcher;

/// The secret that the markers are written to, in the load's KV store.
pub const SECRET: &str = "lag-marker";

/// What a marker or a watcher is told.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Post {
    pub address: String,
    pub token: String,
    /// Markers a second; a watcher reads so often at most.
    pub rate: f64,
    /// How long markers are written.
    pub seconds: f64,
}

/// The number of the last marker of a watch, whatever the others are.
pub const LAST: u64 = 1 << 52;

/// Moments of one process, in nanoseconds of the monotonic clock: number and time.
pub type Moments = Vec<(u64, u64)>;

/// Markers a second. Few beside the load, many enough for a 99th percentile.
pub const MARKERS_PER_S: f64 = 200.0;
/// Reads a second: what a lag may be too large by is the inverse, and a read.
pub const READS_PER_S: f64 = 1000.0;

/// A marker and a watcher at work.
pub struct Watch {
    marker: Child,
    watcher: Child,
}

impl Watch {
    /// Starts both; markers are written for `seconds`.
    ///
    /// # Errors
    /// If they cannot be started.
    pub fn begin(primary: (&str, &str), secondary: (&str, &str), seconds: f64) -> anyhow::Result<Self> {
        let post = |(address, token): (&str, &str), rate: f64| Post { address: address.into(), token: token.into(), rate, seconds };
        // The watcher first: it must not miss the first marker.
        let watcher = start("watcher", &post(secondary, READS_PER_S))?;
        let marker = start("marker", &post(primary, MARKERS_PER_S))?;
        Ok(Self { marker, watcher })
    }

    /// Waits for both, and pairs what they saw.
    ///
    /// # Errors
    /// If one of them failed.
    pub fn end(self) -> anyhow::Result<Lags> {
        let acknowledged = result(self.marker).context("the marker")?;
        let seen = result(self.watcher).context("the watcher")?;
        Ok(Lags::pair(&acknowledged, &seen))
    }
}

fn start(part: &str, post: &Post) -> anyhow::Result<Child> {
    let mut child = crate::prompt::part(part)?.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut input = child.stdin.take().context("its standard input is piped")?;
    input.write_all(serde_json::to_string(post)?.as_bytes())?;
    Ok(child)
}

fn result(mut child: Child) -> anyhow::Result<Moments> {
    let output: ChildStdout = child.stdout.take().context("its standard output is piped")?;
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line)?;
    let status = child.wait()?;
    anyhow::ensure!(status.success(), "ended with {status}");
    Ok(serde_json::from_str(&line)?)
}

/// What a process reads of its standard input.
fn post() -> anyhow::Result<Post> {
    serde_json::from_reader(std::io::stdin().lock()).context("what to do, on standard input")
}
