//! A wide-area network between two clusters on one machine: a relay with delay, rate, loss and cuts, in a process of its own.
//!
//! Where the kernel has `netem`, it does the same lower down; few machines let a benchmark use it. The relay works on bytes of TCP: they
//! come out in order and whole, later. What it costs and how late it was is counted beside.
//! Not here: how a secondary is made to dial the relay ([`crate::cluster::pair`]).

mod control;
pub mod line;
mod pump;
mod relay;

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::time::Duration;

use anyhow::Context;

use control::Ask;
pub use control::{Counts, run};
use line::Line;

/// A relay that runs.
pub struct Wan {
    child: Child,
    asks: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    /// What to dial instead of each far address.
    pub doors: Vec<String>,
}

impl Wan {
    /// Starts a relay to these addresses, without any delay.
    ///
    /// # Errors
    /// If it does not start.
    pub fn start(far: &[String]) -> anyhow::Result<Self> {
        let mut child =
            crate::prompt::part("wan")?.args(far).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("start the relay")?;
        let asks = child.stdin.take();
        let mut answers = BufReader::new(child.stdout.take().context("its standard output is piped")?);
        let mut line = String::new();
        answers.read_line(&mut line)?;
        let doors = serde_json::from_str(&line).context("the relay did not say where it listens")?;
        Ok(Self { child, asks, answers, doors })
    }

    fn ask(&mut self, ask: &Ask) -> anyhow::Result<Counts> {
        let asks = self.asks.as_mut().context("the relay runs")?;
        writeln!(asks, "{}", serde_json::to_string(ask)?)?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        serde_json::from_str(&line).context("the relay's answer")
    }

    /// From now on `one_way` late, with this share of segments lost.
    ///
    /// # Errors
    /// If the relay is gone; as all of these.
    pub fn become_like(&mut self, one_way: Duration, loss: f64) -> anyhow::Result<Counts> {
        self.ask(&Ask::Line(Line { delay: one_way, bytes_per_s: 0, loss }))
    }

    pub fn cut(&mut self) -> anyhow::Result<Counts> {
        self.ask(&Ask::Cut)
    }

    /// Mends the line; connections that both ends still hold go on.
    pub fn mend(&mut self) -> anyhow::Result<Counts> {
        self.ask(&Ask::Mend)
    }

    /// Breaks all connections; new ones are welcome.
    pub fn hang_up(&mut self) -> anyhow::Result<Counts> {
        self.ask(&Ask::HangUp)
    }

    /// Counters since the start; lateness since the last time.
    pub fn count(&mut self) -> anyhow::Result<Counts> {
        self.ask(&Ask::Count)
    }
}

impl Drop for Wan {
    fn drop(&mut self) {
        // It ends with its input.
        self.asks = None;
        let _ = self.child.wait();
    }
}
