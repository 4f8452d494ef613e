//! The relay's process: doors from the command line, commands on standard input, an answer of one line of JSON to each.
//!
//! It ends with its standard input, so it never outlives the scoreboard.

use std::io::BufRead;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use super::line::Line;
use super::relay::Relay;

/// What it is told.
#[derive(Debug, Serialize, Deserialize)]
pub enum Ask {
    /// The line is like this from now on.
    Line(Line),
    /// Silence both ways; nothing is closed.
    Cut,
    /// As before the cut.
    Mend,
    /// Breaks all connections.
    HangUp,
    /// What has been so far?
    Count,
}

/// What it answers.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Bytes that came out on the far side.
    pub there: u64,
    /// Bytes that came back.
    pub back: u64,
    /// Segments that were lost.
    pub stalls: u64,
    /// How late the relay itself was, beyond the line's delay: a scheduler's fault, to be read beside each number. Since the last count.
    pub late_mean_us: f64,
    pub late_max_us: f64,
}

/// Leads connections until standard input ends.
///
/// # Errors
/// If a door cannot be opened or a command cannot be read.
pub fn run(far: &[String]) -> anyhow::Result<()> {
    let relay = Relay::new();
    let doors = far.iter().map(|far| relay.door(far)).collect::<anyhow::Result<Vec<_>>>()?;
    println!("{}", serde_json::to_string(&doors)?);
    for line in std::io::stdin().lock().lines() {
        let ask: Ask = serde_json::from_str(&line?).context("a command of the relay")?;
        match ask {
            Ask::Line(line) => relay.wire.state().line = line,
            Ask::Cut => relay.wire.cut(true),
            Ask::Mend => relay.wire.cut(false),
            Ask::HangUp => relay.hang_up(),
            Ask::Count => {}
        }
        println!("{}", serde_json::to_string(&count(&relay))?);
    }
    Ok(())
}

fn count(relay: &Relay) -> Counts {
    let mut state = relay.wire.state();
    let chunks = std::mem::take(&mut state.chunks).max(1);
    let (late_sum, late_max) = (std::mem::take(&mut state.late_sum), std::mem::take(&mut state.late_max));
    Counts {
        there: state.bytes[0],
        back: state.bytes[1],
        stalls: state.directions.iter().map(|direction| direction.stalls).sum(),
        late_mean_us: late_sum.as_secs_f64() * 1_000_000.0 / chunks as f64,
        late_max_us: late_max.as_secs_f64() * 1_000_000.0,
    }
}
