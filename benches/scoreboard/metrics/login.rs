//! Metric 9: userpass logins, which are bcrypt and little else, and what a flood of them does to others who read.

use serde_json::json;

use super::kv_write::OPEN_CLIENTS;
use crate::cluster::System;
use crate::cluster::vault_api::VaultApi;
use crate::load::generator::generate;
use crate::load::plan::{Pace, Target, Work};
use crate::metric::Metric;
use crate::result::{Measured, Turn};
use crate::rounds::interleaved;
use crate::session::{Case, Session};
use crate::stage::Stage;

const SYSTEMS: [System; 2] = [System::Coffer, System::OpenBao];
/// More than there are cores, fewer than would time out.
const CLIENTS: u32 = 16;
/// Reads a second while the flood goes on, and before.
const READS: f64 = 200.0;
const LOGINS: &str = "logins, 16 clients";
const QUIET: &str = "200 reads/s, quiet";
const FLOOD: &str = "200 reads/s, login flood";

/// Metric 9.
pub struct Logins;

impl Metric for Logins {
    fn number(&self) -> u8 {
        9
    }
    fn name(&self) -> &'static str {
        "userpass"
    }
    fn title(&self) -> &'static str {
        "userpass logins, and reads during a flood of them"
    }
    fn run(&self, stage: &Stage) -> anyhow::Result<Measured> {
        let rounds = interleaved(stage, &SYSTEMS, |system| turn(stage, system))?;
        let line = |case: &str, value: &str, unit: &str, up: bool| rounds.line(case, value, unit, up, &[System::OpenBao]);
        let cores = std::thread::available_parallelism().map_or(1, usize::from) as f64;
        let most = cores * 1_000_000.0 / rounds.probed(|probe| probe.bcrypt_cpu_us);
        let quiet = line(QUIET, "p99 us", "p99 µs", false);
        let bound = 2.0 * quiet.coffer.value().unwrap_or_default();
        let lines = vec![
            line(LOGINS, "per second", "logins/s", true).limit(Some(most)).bar("moonshot", 0.95 * most),
            quiet,
            line(FLOOD, "p99 us", "p99 µs", false).bar("moonshot", bound),
        ];
        Ok(Measured { lines, ..rounds.measured() })
    }
}

fn turn(stage: &Stage, system: System) -> anyhow::Result<Vec<Turn>> {
    let mut session = Session::begin(stage, system, false)?;
    let Target::Vault { address, token } = session.cluster.target()? else { anyhow::bail!("only servers of the Vault API log in") };
    let api = VaultApi::new(&address);
    let root = session.cluster.root_token().unwrap_or(token);
    api.must("POST", "sys/auth/userpass", &root, &json!({"type": "userpass"}))?;
    api.must("POST", "auth/userpass/users/bench", &root, &json!({"password": "a password", "token_policies": "bench"}))?;
    let work = Work::Call {
        method: "POST".into(),
        path: "auth/userpass/login/bench".into(),
        body: json!({"password": "a password"}).to_string(),
        keep_token: true,
    };
    let reads = |name: &str| Case { name: name.into(), work: Work::Read, clients: OPEN_CLIENTS, pace: Pace::Open { rate: READS } };
    session.measure(&reads(QUIET))?;
    let logins = Case { name: LOGINS.into(), work, clients: CLIENTS, pace: Pace::Closed };
    let mut flood = session.plan(&logins, false)?;
    flood.ledger = None;
    flood.seconds = flood.seconds + flood.warm_up_seconds + 1.0;
    let flooding = std::thread::spawn(move || generate(&flood, |_| Ok(())));
    session.measure(&reads(FLOOD))?;
    flooding.join().map_err(|_| anyhow::anyhow!("the flood failed"))??;
    session.measure_and_crash(&logins)
}
