//! Metric 18: a page of names out of many, what so many secrets take in memory, and how soon the call that disables their mount returns.

use std::time::{Duration, Instant};

use anyhow::Context;

use crate::cluster::System;
use crate::cluster::vault::MOUNT;
use crate::load::plan::{Pace, Target, Work};
use crate::metric::Metric;
use crate::result::{Measured, Turn};
use crate::rounds::slowly;
use crate::session::{Case, Session};
use crate::stage::Stage;

const SYSTEMS: [System; 2] = [System::Coffer, System::OpenBao];
/// Secrets in one folder of one mount.
const MANY: u32 = 1_000_000;
const MANY_QUICK: u32 = 50_000;
const PAGE: &str = "page of 1,000 from the middle, 1 client";
const DISABLED: &str = "the mount of all of them is disabled";
/// How long that call may take before it is given up.
const DISABLE_MAX: Duration = Duration::from_secs(120);

/// Metric 18.
pub struct Listing;

impl Metric for Listing {
    fn number(&self) -> u8 {
        18
    }
    fn name(&self) -> &'static str {
        "list"
    }
    fn title(&self) -> &'static str {
        "many secrets: a page of their names, memory, disabling their mount"
    }
    fn run(&self, stage: &Stage) -> anyhow::Result<Measured> {
        let many = if stage.settings.quick { MANY_QUICK } else { MANY };
        let rounds = slowly(stage, &SYSTEMS, |system| turn(stage, system, system.share_of(many)))?;
        let line = |value: &str, unit: &str| rounds.line(PAGE, value, unit, false, &[System::OpenBao]);
        let lines = vec![
            line("p50 us", "p50 µs"),
            line("p99 us", "p99 µs").bar("moonshot", 5000.0),
            line("cpu us", "CPU-µs"),
            line("resident MiB a node", "MiB resident a node").bar_times("moonshot", 3.0, "openbao"),
            rounds.line(DISABLED, "answered ms", "ms to the answer", false, &[System::OpenBao]).bar("moonshot", 50.0),
        ];
        let mut measured = Measured { lines, ..rounds.measured() };
        measured.notes.push(format!("Coffer held {many} secrets, OpenBao {}", System::OpenBao.share_of(many)));
        Ok(measured)
    }
}

fn turn(stage: &Stage, system: System, keys: u32) -> anyhow::Result<Vec<Turn>> {
    let mut session = Session::begin_with(stage, system, false, keys)?;
    let path = format!("{MOUNT}/metadata?after=bench-{:08}&limit=1000", keys / 2);
    let work = Work::Call { method: "LIST".into(), path, body: String::new(), keep_token: false };
    session.measure(&Case { name: PAGE.into(), work, clients: 1, pace: Pace::Closed })?;
    let mut disabled = Turn { system: system.name().into(), case: DISABLED.into(), ..Turn::default() };
    match disable(&session) {
        Ok(took) => _ = disabled.values.insert("answered ms".into(), took.as_secs_f64() * 1000.0),
        Err(error) => disabled.void = Some(format!("{error:#}")),
    }
    Ok(session.end().into_iter().chain([disabled]).collect())
}

/// Disables the mount with all secrets; returns how long the answer took.
fn disable(session: &Session<'_>) -> anyhow::Result<Duration> {
    let Target::Vault { address, .. } = session.cluster.target()? else { anyhow::bail!("a cluster of another kind") };
    let root = session.cluster.root_token().context("no root token")?;
    let request = ureq::delete(format!("http://{address}/v1/sys/mounts/{MOUNT}")).header("X-Vault-Token", &root);
    let begun = Instant::now();
    request.config().timeout_global(Some(DISABLE_MAX)).build().call().context("disable the mount")?;
    Ok(begun.elapsed())
}
