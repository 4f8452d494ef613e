//! One run from its plan to its verdict.
//!
//! plan → world → work under faults → heal → quiet reads → everything killed and started again → the same reads → checkers.
//! Not here: what workloads, faults and checkers are; the command line (`cli::run`).

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::check::{Valid, Verdict, coverage};
use crate::core::{Format, History, Kind, Process, Recorder, Rng, Value};
use crate::nemesis::context::Context;
use crate::nemesis::network::Network;
use crate::nemesis::plan::{Demand, Plan};
use crate::nemesis::villain::Villain;
use crate::world::node::Node;
use crate::world::topo::Topology;
use crate::world::{Options, World, process, replicate};

use super::actor::Actor;
use super::burn::Burn;
use super::stage::Stage;
use super::{Workload, compared, named, sampler};

/// How long healing may take: longer is a finding.
const HEAL: Duration = Duration::from_secs(60);
/// Work goes on for this long after healing.
const TAIL: Duration = Duration::from_secs(3);

/// What to run.
#[derive(Clone, Debug)]
pub struct Order {
    /// The product's program.
    pub program: PathBuf,
    /// Clusters and nodes.
    pub topology: Topology,
    /// Names of workloads.
    pub workloads: Vec<String>,
    /// Kinds of faults.
    pub nemesis: Vec<String>,
    /// Exactly these acts, instead of some of these kinds.
    pub plan: Option<Plan>,
    /// Kinds at work at once.
    pub hands: usize,
    /// How long there are faults.
    pub seconds: u64,
    /// Everything that is drawn comes from it.
    pub seed: u64,
    /// Where all files go.
    pub folder: PathBuf,
    /// Operations per second, of all processes together.
    pub rate: f64,
    /// What a client waits for one answer.
    pub deadline: Duration,
    /// Lines for each node's `storage "raft"`.
    pub storage: String,
    /// Whole stanzas for each node.
    pub stanzas: String,
    /// Variables for each node's process.
    pub env: Vec<(String, String)>,
    /// Threads that take processors away from the nodes.
    pub burn: usize,
    /// Whether the network is captured.
    pub is_captured: bool,
}

/// Told to whoever watches.
pub trait Watch: Sync {
    /// Another phase begins.
    fn phase(&self, text: &str);
    /// So many operations were acknowledged, so many not, after this many seconds.
    fn progress(&self, seconds: f64, good: u64, bad: u64);
}

/// Runs it.
///
/// # Errors
/// If the harness itself fails, before there is anything to check.
pub fn run(order: &Order, watch: &dyn Watch) -> Result<Verdict, String> {
    let rng = Rng::new(order.seed);
    let mut workloads = order.workloads.iter().map(|name| named(name)).collect::<Result<Vec<_>, _>>()?;
    let across = workloads.iter().find(|workload| workload.is_across() && !order.topology.is_replicated());
    if let Some(across) = across {
        return Err(format!("`{}` needs a primary and a secondary: --topo P3+S3", across.name()));
    }
    let demand = Demand { kinds: order.nemesis.clone(), topology: order.topology.clone(), seconds: order.seconds, hands: order.hands };
    let plan = match &order.plan {
        Some(plan) => plan.clone(),
        None => Plan::new(&demand, &rng.fork("nemesis"))?,
    };
    fs::create_dir_all(&order.folder).map_err(|error| format!("{}: {error}", order.folder.display()))?;
    process::write_down(&order.folder.join("harness"), std::process::id())?;
    save(&order.folder, "plan.json", &planned(order, &plan))?;

    watch.phase("starting nodes");
    let has = |kind: &str| order.nemesis.iter().any(|asked| asked == kind);
    let options = Options {
        program: order.program.clone(),
        topology: order.topology.clone(),
        disk_mib: has("disk").then_some(192),
        has_bad_disks: !has("disk") && (has("power") || has("bad-disk") || has("gray")),
        storage: order.storage.clone(),
        stanzas: order.stanzas.clone(),
        env: order.env.clone(),
    };
    let world = Arc::new(World::new(&order.folder, &options, &rng.fork("network"))?);
    if order.is_captured {
        world.switch.capture(&order.folder.join("network.pcap")).map_err(|error| format!("network.pcap: {error}"))?;
    }
    world.bring_up()?;

    let recorder = Recorder::create(&order.folder).map_err(|error| error.to_string())?;
    let stage = Stage::new(world.clone(), Arc::new(recorder), order.deadline);
    workloads.iter_mut().try_for_each(|workload| workload.set_up(&stage))?;
    let villain = Villain {
        context: Context { world: world.clone(), network: Arc::new(Network::new(world.clone())), recorder: stage.recorder.clone() },
    };

    let performance = Performance { order, plan: &plan, stage: &stage, villain: &villain, workloads: &workloads, rng: &rng, watch };
    let burning = Burn::threads(order.burn);
    let findings = sampler::meanwhile(&world, &order.folder, stage.recorder.start(), || performance.play())?;

    drop(burning);
    watch.phase("checking");
    compared::record(&world, &stage.recorder)?;
    let history = stage.recorder.finish().map_err(|error| error.to_string())?;
    let verdict = judge(order, &plan, &workloads, &history, findings)?;
    conclude(order, &history, &verdict)?;
    Ok(verdict)
}

fn planned(order: &Order, plan: &Plan) -> serde_json::Value {
    json!({
        "seed": order.seed,
        "topology": order.topology.to_string(),
        "workloads": order.workloads,
        "nemesis": order.nemesis,
        "seconds": order.seconds,
        "rate": order.rate,
        "deadline_ms": u64::try_from(order.deadline.as_millis()).unwrap_or(u64::MAX),
        "storage": order.storage,
        "burn": order.burn,
        "acts": plan.hands,
    })
}

fn save(folder: &Path, name: &str, value: &serde_json::Value) -> Result<(), String> {
    let text = serde_json::to_string_pretty(value).expect("a JSON value can be written");
    fs::write(folder.join(name), text + "\n").map_err(|error| format!("{name}: {error}"))
}

/// What is between the first operation and the last: who does what in which world.
struct Performance<'a> {
    order: &'a Order,
    plan: &'a Plan,
    stage: &'a Stage,
    villain: &'a Villain,
    workloads: &'a [Box<dyn Workload>],
    rng: &'a Rng,
    watch: &'a dyn Watch,
}

/// What its threads tell each other.
struct Course {
    begin: Instant,
    is_over: AtomicBool,
    good: AtomicU64,
    bad: AtomicU64,
}

impl Performance<'_> {
    /// All of it; what it showed besides the history.
    fn play(&self) -> Vec<Verdict> {
        let world = &self.stage.world;
        self.watch.phase("working under faults");
        let mut findings = vec![self.work()];
        self.watch.phase("reading everything");
        findings.extend(converged(world));
        self.epilogue("quiet");
        self.watch.phase("killing and starting everything");
        world.nodes().for_each(Node::kill);
        let again = self.villain.heal(HEAL);
        findings.push(outcome("restart", again, "all nodes were killed at once and serve again"));
        findings.extend(converged(world));
        self.epilogue("restarted");
        findings.push(crashes(world));
        findings
    }

    /// Work and faults at once, then healing while work goes on; whether everything came back.
    fn work(&self) -> Verdict {
        let course = Course { begin: Instant::now(), is_over: AtomicBool::new(false), good: AtomicU64::new(0), bad: AtomicU64::new(0) };
        let total: usize = self.workloads.iter().map(|workload| workload.processes(&self.stage.world)).sum();
        let gap = total as f64 / self.order.rate.max(0.1);
        std::thread::scope(|scope| {
            let course = &course;
            for workload in self.workloads {
                for slot in 0..workload.processes(&self.stage.world) {
                    scope.spawn(move || self.process(course, workload.as_ref(), slot, gap));
                }
            }
            scope.spawn(|| {
                while !course.is_over.load(Ordering::Relaxed) {
                    let (good, bad) = (course.good.load(Ordering::Relaxed), course.bad.load(Ordering::Relaxed));
                    self.watch.progress(course.begin.elapsed().as_secs_f64(), good, bad);
                    std::thread::sleep(Duration::from_millis(500));
                }
            });
            self.villain.act(self.plan, course.begin, &AtomicBool::new(false));
            let rest = Duration::from_secs(self.order.seconds).saturating_sub(course.begin.elapsed());
            std::thread::sleep(rest);
            let healed = self.villain.heal(HEAL);
            std::thread::sleep(TAIL);
            course.is_over.store(true, Ordering::Relaxed);
            outcome("recovery", healed, "all nodes serve after the last fault, without any help but unseal keys")
        })
    }

    /// One process of a workload: a step about every `gap` seconds until the course is over.
    fn process(&self, course: &Course, workload: &dyn Workload, slot: usize, gap: f64) {
        let stage = self.stage;
        let rng = self.rng.fork(&format!("{} {slot}", workload.name()));
        let mut pace = rng.fork("pace");
        enter(stage);
        let mut actor = Actor::new(stage, workload.name(), slot, workload.seat(&stage.world, slot), rng);
        let mut due = course.begin + Duration::from_secs_f64(pace.exponential(gap));
        while !course.is_over.load(Ordering::Relaxed) {
            std::thread::sleep(due.saturating_duration_since(Instant::now()).min(Duration::from_millis(200)));
            if Instant::now() < due {
                continue;
            }
            actor.steps += 1;
            workload.step(&mut actor);
            let (ok, not) = actor.take_counts();
            course.good.fetch_add(ok, Ordering::Relaxed);
            course.bad.fetch_add(not, Ordering::Relaxed);
            // Who was held up does not catch up: that would be a load of its own.
            due = due.max(Instant::now() - Duration::from_secs_f64(gap)) + Duration::from_secs_f64(pace.exponential(gap));
        }
    }

    /// Final reads of every workload, through each node in turn.
    fn epilogue(&self, when: &str) {
        let &Self { stage, workloads, rng, .. } = self;
        std::thread::scope(|scope| {
            scope.spawn(|| {
                enter(stage);
                for workload in workloads {
                    let seats = (0..workload.processes(&stage.world)).map(|slot| workload.seat(&stage.world, slot));
                    let nodes: BTreeMap<&str, &Node> = seats.map(|node| (node.name.as_str(), node)).collect();
                    for (slot, node) in nodes.into_values().enumerate() {
                        let rng = rng.fork(&format!("{} {when} {slot}", workload.name()));
                        workload.finish(&mut Actor::new(stage, workload.name(), slot, node, rng));
                    }
                }
            });
        });
    }
}

fn enter(stage: &Stage) {
    stage.world.clients.enter().expect("the clients' namespace is held open");
}

fn outcome(name: &str, result: Result<(), String>, good: &str) -> Verdict {
    match result {
        Ok(()) => Verdict::valid(name, good),
        Err(why) => Verdict::invalid(name, why, Vec::new()),
    }
}

/// Whether secondaries hold what the primary holds.
fn converged(world: &World) -> Vec<Verdict> {
    let [primary, secondaries @ ..] = &world.clusters[..] else { return Vec::new() };
    let one = |secondary| {
        let result = replicate::converge(primary, secondary, HEAL);
        let good =
            result.as_ref().map(|took| format!("equal roots at equal positions after {:.1} s", took.as_secs_f64())).unwrap_or_default();
        outcome(&format!("convergence {}", secondary.name), result.map(drop), &good)
    };
    secondaries.iter().map(one).collect()
}

/// Nodes that ended without being asked to, and panics in logs.
fn crashes(world: &World) -> Verdict {
    let mut found = Vec::new();
    for node in world.nodes() {
        found.extend(node.crashes().into_iter().map(|how| format!("{} ended by itself: {how}", node.name)));
        let log = fs::read_to_string(node.log()).unwrap_or_default();
        found.extend(log.lines().filter(|line| line.contains("panicked at")).map(|line| format!("{}: {line}", node.name)));
    }
    match found.is_empty() {
        true => Verdict::valid("crashes", "no node ended by itself, and no log has a panic"),
        false => Verdict::invalid("crashes", found.join("; "), Vec::new()),
    }
}

fn judge(
    order: &Order,
    plan: &Plan,
    workloads: &[Box<dyn Workload>],
    history: &History,
    findings: Vec<Verdict>,
) -> Result<Verdict, String> {
    let mut children = Vec::new();
    for workload in workloads {
        let mine = History::from_ops(history.of_workload(workload.name()).ops);
        mine.write(&order.folder.join(format!("{}.edn", workload.name())), Format::Edn).map_err(|error| error.to_string())?;
        let ok = mine.ops.iter().filter(|op| op.kind == Kind::Ok).count();
        children.push(match workload.check(&mine) {
            verdict if ok < workload.enough() && verdict.valid == Valid::True => {
                Verdict::unknown(workload.name(), format!("only {ok} operations were acknowledged: not enough to tell"))
            }
            verdict => verdict,
        });
    }
    children.extend(findings);
    children.push(coverage::faults(history, &plan.modes()));
    children.extend(aftermath(history));
    children.push(coverage::healed(history));
    Ok(Verdict::all(format!("run {} seed {}", order.topology, order.seed), children))
}

/// What faults themselves saw and should not have; and faults that could not be ended, which leaves open who is to blame.
fn aftermath(history: &History) -> Vec<Verdict> {
    let of = |is: &dyn Fn(&crate::core::Op) -> bool| history.ops.iter().filter(|op| is(op)).cloned().collect::<Vec<_>>();
    let seen = of(&|op| op.f == "violation");
    let stuck = of(&|op| op.process == Process::Nemesis && op.f.starts_with("stop-") && op.error.is_some());
    let seen = (!seen.is_empty()).then(|| Verdict::invalid("violations", format!("{} were seen by faults", seen.len()), seen));
    let stuck = (!stuck.is_empty())
        .then(|| Verdict { witness: stuck.clone(), ..Verdict::unknown("endings", format!("{} faults could not be ended", stuck.len())) });
    seen.into_iter().chain(stuck).collect()
}

/// Writes the verdict and the summary.
fn conclude(order: &Order, history: &History, verdict: &Verdict) -> Result<(), String> {
    fs::write(order.folder.join("verdict"), verdict.to_string()).map_err(|error| format!("verdict: {error}"))?;
    let mut counts: BTreeMap<String, BTreeMap<&str, u64>> = BTreeMap::new();
    for op in &history.ops {
        let name = match (op.process, op.extra.get("workload").and_then(Value::as_str)) {
            (Process::Nemesis, _) => format!("nemesis {}", op.f),
            (_, Some(workload)) => format!("{workload} {}", op.f),
            (_, None) => op.f.clone(),
        };
        *counts.entry(name).or_default().entry(op.kind.name()).or_default() += 1;
    }
    let children: Vec<_> =
        verdict.children.iter().map(|child| json!({"name": child.name, "valid": child.valid.name(), "text": child.text})).collect();
    let summary = json!({
        "seed": order.seed,
        "topology": order.topology.to_string(),
        "workloads": order.workloads,
        "nemesis": order.nemesis,
        "seconds": order.seconds,
        "valid": verdict.valid.name(),
        "operations": history.ops.len(),
        "counts": counts,
        "verdicts": children,
    });
    save(&order.folder, "summary.json", &summary)?;
    if verdict.is_valid() {
        // Big, and the same as everywhere; a failing run keeps everything.
        let _ = fs::remove_file(order.folder.join("program"));
        let _ = fs::remove_dir_all(order.folder.join("nodes"));
    }
    Ok(())
}
