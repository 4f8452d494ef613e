//! `jepsen grid`: a kill at each failpoint of the product, on the active node and on a standby, at its first and at later hits.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::run::{Program, conclude, execute};
use crate::check::Verdict;
use crate::core::{History, Rng};
use crate::nemesis::fault::Fault;
use crate::nemesis::plan::{Act, Plan};
use crate::nemesis::target::Target;
use crate::work::run::Order;
use crate::world::chaos::failpoints;
use crate::world::topo::Topology;

/// What is killed at a place must reach it first.
const WAIT_MS: u64 = 4000;
/// The same, where it is reached by what another hand does.
const WAIT_LONG_MS: u64 = 15_000;
/// A new cluster is made once, before there is anybody who could arm anything.
const NOT_WHILE_RUNNING: &[&str] = &["init-commit.before", "init-commit.after"];

/// Kills nodes at each named place, under load, and checks what clients saw.
#[derive(Debug, Args)]
pub struct Grid {
    /// The failpoints of a test build (the only grid there is).
    #[arg(long)]
    failpoints: bool,
    /// Only these, with commas between.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// At which hits.
    #[arg(long, value_delimiter = ',', default_value = "1,3")]
    hits: Vec<u32>,
    /// Clusters and nodes.
    #[arg(long, default_value = "3")]
    topo: String,
    /// What is done meanwhile by another hand, so that its places are reached: role, forced, revoke, reseed. Give workloads that bear it, as
    /// fence,converge for changes of roles.
    #[arg(long, value_delimiter = ',')]
    with: Vec<String>,
    /// What clients do.
    #[arg(long, value_delimiter = ',', default_value = "register,set,uses,lease,policy,audit,seal")]
    workload: Vec<String>,
    /// Decides the order.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Operations per second.
    #[arg(long, default_value_t = 200.0)]
    rate: f64,
    /// Folder for all files.
    #[arg(long, default_value = "jepsen-runs/grid")]
    out: PathBuf,
    #[command(flatten)]
    program: Program,
}

impl Grid {
    /// Runs the grid, and tells of each place whether it was reached.
    pub fn run(self) -> ExitCode {
        if !self.failpoints {
            eprintln!("say which grid: --failpoints");
            return ExitCode::from(super::BAD_INPUT);
        }
        let done = self.order().and_then(|order| Ok((execute(&order)?, order)));
        match done {
            Ok((verdict, order)) => self.conclude(&verdict, &order),
            Err(why) => {
                eprintln!("{why}");
                ExitCode::from(super::BAD_INPUT)
            }
        }
    }

    fn order(&self) -> Result<Order, String> {
        let topology: Topology = self.topo.parse()?;
        let plan = self.plan(&topology)?;
        let seconds = plan.hands[0].last().map_or(0, |act| (act.at_ms + act.for_ms) / 1000 + 1);
        Ok(Order {
            program: self.program.find()?,
            folder: self.out.clone(),
            topology,
            workloads: self.workload.clone(),
            nemesis: Vec::new(),
            plan: Some(plan),
            hands: 1,
            seconds,
            seed: self.seed,
            rate: self.rate,
            deadline: Duration::from_secs(5),
            // Snapshots and purges have places too.
            storage: "  snapshot_threshold = 100\n  trailing_logs = 10\n".to_owned(),
            stanzas: String::new(),
            env: Vec::new(),
            burn: 0,
            is_captured: false,
        })
    }

    fn plan(&self, topology: &Topology) -> Result<Plan, String> {
        let known = failpoints();
        if let Some(unknown) = self.only.iter().find(|name| !known.contains(&name.as_str())) {
            return Err(format!("no failpoint `{unknown}`: there are {}", known.join(", ")));
        }
        let is_asked =
            |name: &&str| !NOT_WHILE_RUNNING.contains(name) && (self.only.is_empty() || self.only.iter().any(|only| only == name));
        let mut cells = Vec::new();
        for point in known.into_iter().filter(is_asked) {
            for target in [Target::Active, Target::Standby] {
                for (cluster, _, size) in &topology.clusters {
                    if *size > 1 || target == Target::Active {
                        cells.extend(self.hits.iter().map(|hit| (cluster.clone(), Fault::Failpoint(point.to_owned(), target, *hit))));
                    }
                }
            }
        }
        let mut rng = Rng::new(self.seed).fork("grid");
        rng.shuffle(&mut cells);
        let mut at_ms = 2000;
        let mut acts = Vec::new();
        let for_ms = if self.with.is_empty() { WAIT_MS } else { WAIT_LONG_MS };
        for (cluster, fault) in cells {
            acts.push(Act { at_ms, for_ms, cluster, fault, dice: rng.next_u64() >> 1 });
            // Acts of one hand wait for each other: early is soon enough.
            at_ms += 1000;
        }
        let mut hands = vec![acts];
        hands.extend(self.meanwhile(topology, hands[0].len(), &mut rng)?);
        Ok(Plan { hands })
    }

    /// What another hand does, about as often as there are cells.
    fn meanwhile(&self, topology: &Topology, times: usize, rng: &mut Rng) -> Result<Option<Vec<Act>>, String> {
        let mut faults = Vec::new();
        for name in &self.with {
            let known = [Fault::Role, Fault::Forced, Fault::Revoke, Fault::Reseed];
            let kinds = known.each_ref().map(Fault::kind).join(", ");
            let found = known.into_iter().find(|fault| fault.kind() == name);
            faults.push(found.ok_or_else(|| format!("nothing to do meanwhile is called `{name}`: there are {kinds}"))?);
        }
        let cluster = topology.clusters.first().map(|(name, _, _)| name.clone()).unwrap_or_default();
        if topology.clusters.len() < 2 && !faults.is_empty() {
            return Err(format!("{} takes two clusters: --topo P3+S3", self.with.join(", ")));
        }
        let act = |(fault, n): (&Fault, u64)| Act {
            at_ms: 2000 + n * 1000,
            for_ms: 500,
            cluster: cluster.clone(),
            fault: fault.clone(),
            dice: rng.next_u64() >> 1,
        };
        Ok((!faults.is_empty()).then(|| faults.iter().cycle().zip(0..times as u64).map(act).collect()))
    }

    fn conclude(&self, verdict: &Verdict, order: &Order) -> ExitCode {
        if let Ok(history) = History::read(&order.folder) {
            let mut lines: Vec<String> = history
                .ops
                .iter()
                .filter(|op| op.f == "stop-failpoint")
                .filter_map(|op| {
                    let reached = op.extra.get("what")?.get("reached")?.as_bool()?;
                    let (mode, cluster) = op.value.as_pair()?;
                    Some(format!("{:<9} {} {}", if reached { "killed" } else { "not hit" }, mode.as_str()?, cluster.as_str()?))
                })
                .collect();
            lines.sort();
            println!("{}", lines.join("\n"));
            println!("{} of {} cells killed a node", lines.iter().filter(|line| line.starts_with("killed")).count(), lines.len());
        }
        conclude(verdict)
    }
}
