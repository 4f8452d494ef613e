//! Starts the load generator as a process, and reads what it tells.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use anyhow::Context;

use super::plan::{Event, Outcome, Plan};
use crate::cluster::server::tied;

/// Runs `plan` in a process of its own. `on` is called when it begins to measure and when it has measured.
///
/// # Errors
/// If the generator fails.
pub fn generate(plan: &Plan, mut on: impl FnMut(&Event) -> anyhow::Result<()>) -> anyhow::Result<Outcome> {
    let mut child = tied(&std::env::current_exe()?)
        .arg("load")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("start the load generator")?;
    let mut input = child.stdin.take().context("its standard input is piped")?;
    input.write_all(serde_json::to_string(plan)?.as_bytes())?;
    drop(input);
    let output = child.stdout.take().context("its standard output is piped")?;
    let mut outcome = None;
    for line in BufReader::new(output).lines() {
        match serde_json::from_str(&line?)? {
            Event::Outcome(last) => outcome = Some(*last),
            event => on(&event)?,
        }
    }
    let status = child.wait()?;
    outcome.with_context(|| format!("the load generator ended ({status}) without an outcome"))
}
