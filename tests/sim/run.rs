//! One seed from beginning to end: the clusters are made, things go wrong, everything is mended, and then it must all be well.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::ambush::Planned;
use crate::clients::{Clients, WORKLOADS};
use crate::disk::Loss;
use crate::hosts::Hosts;
use crate::net::HostId;
use crate::plan::Plan;
use crate::rng::Rng;
use crate::world::{Order, World};
use crate::{audits, check, health, here, honest, host, liveness, nemesis, operator, roles, seal, trace};

/// Longest a simulation may take, in its own time.
const LONGEST: Duration = Duration::from_secs(600);
/// How long a host is down after its node ended by itself.
const SUPERVISED: Duration = Duration::from_millis(1500);

/// What a seed came to.
pub struct Report {
    pub failures: Vec<String>,
    /// In the simulation's own time.
    pub elapsed: Duration,
    pub operations: usize,
    pub faults: String,
}

thread_local! {
    static WORLD: RefCell<Option<Arc<World>>> = const { RefCell::new(None) };
}

/// A node said that it cannot go on: its host ends with the step, and nothing of it is heard from now on.
fn stop_host(attempted: &'static str, why: String) {
    let Some(host) = trace::host() else { return };
    trace::line(format_args!("stopped: {attempted}: {why}"));
    WORLD.with_borrow(|world| {
        let Some(world) = world else { return };
        // What fails because it has stopped is no reason of its own.
        if world.is_ending(host) {
            return;
        }
        world.net.close(host);
        // These are its answers to a bad disk; others are bugs, unless it was made to fail.
        let is_doomed = world.slot(host).is_doomed.load(Ordering::Relaxed);
        if !is_doomed && !["write the raft log", "begin a segment of the raft log"].contains(&attempted) {
            world.fail(format!("{} stopped: {attempted}: {why}", trace::name(host)));
        }
        world.order(Order::End(host, Loss::Process));
    });
}

/// Runs `plan`; real files lie in `folder`.
pub fn run(plan: Plan, folder: &std::path::Path) -> Report {
    let world = World::new(plan, folder);
    WORLD.set(Some(world.clone()));
    coffer::raft::simulated::stop_hosts_with(stop_host);
    coffer::pool::simulated::run_inline();
    watch_panics();
    coffer::raft::install_panic_abort();
    coffer::chaos::be_disorderly(!world.plan.is_orderly);
    {
        let world = world.clone();
        coffer::chaos::hook(move |point| world.comes_to(point));
    }
    {
        let world = world.clone();
        coffer::chaos::take_time(move |_| world.apply_takes());
    }

    let mut hosts = Hosts::new(Rng::new(world.plan.seed, "order"));
    for slot in &world.slots {
        let (world, id) = (world.clone(), slot.id);
        hosts.add(id, move || Box::pin(host::run(world.clone(), id)));
    }
    let (done, ended) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let clients = Clients::new(world.clone());
    {
        let (world, clients, done) = (world.clone(), clients.clone(), done.clone());
        hosts.add(world.plan.clients_host(), move || Box::pin(story(world.clone(), clients.clone(), done.clone())));
    }
    // Those that join later are not there yet.
    world.slots.iter().filter(|slot| slot.is_wanted()).for_each(|slot| hosts.start(slot.id));
    hosts.start(world.plan.clients_host());
    let mut restarts: Vec<(Duration, HostId)> = Vec::new();
    while !done.load(Ordering::Relaxed) && !ended.load(Ordering::Relaxed) {
        let is_held = |host: HostId| world.slots.get(host.0).is_some_and(|slot| slot.is_held.load(Ordering::Relaxed));
        for why in hosts.step(is_held) {
            world.fail(format!("a host's software ended: {why}"));
        }
        let now = hosts.elapsed();
        for order in world.orders() {
            carry_out(&mut hosts, &world, order, now, &mut restarts);
        }
        let due: Vec<HostId> = restarts.iter().filter(|(at, _)| *at <= now).map(|(_, host)| *host).collect();
        restarts.retain(|(at, _)| *at > now);
        for host in due {
            carry_out(&mut hosts, &world, Order::Start(host), now, &mut restarts);
        }
        let wrong = world.invariants.lock().expect("no holder of this lock panics").after_step(&world.slots);
        wrong.into_iter().for_each(|why| world.fail(why));
        if !world.failures().is_empty() {
            ended.store(true, Ordering::Relaxed);
        }
        if now > LONGEST {
            world.fail(format!("it is not over after {} s", LONGEST.as_secs()));
        }
    }
    if world.failures().is_empty() {
        for workload in WORKLOADS {
            if let Err(why) = check::history(workload, &clients.histories.of(workload), clients.histories.is_closed(workload)) {
                world.fail(why);
            }
        }
    }
    if world.failures().is_empty() && world.plan.audits {
        audits::check(&world.audit_file, &clients.answered(), &world.shares()).unwrap_or_else(|why| world.fail(why));
    }
    let elapsed = hosts.elapsed();
    let report = Report {
        failures: world.failures(),
        elapsed,
        operations: clients.histories.len() / 2,
        faults: format!("{:?}", world.done.lock().expect("no holder of this lock panics")),
    };
    // Nothing is left to run: its tasks would only be dropped one by one.
    std::mem::forget(hosts);
    report
}

fn carry_out(hosts: &mut Hosts, world: &Arc<World>, order: Order, now: Duration, restarts: &mut Vec<(Duration, HostId)>) {
    let (Order::End(host, _) | Order::Down(host, _) | Order::Start(host) | Order::Wipe(host) | Order::Hold(host, _)) = order;
    let slot = world.slot(host);
    trace::as_host(host, || {
        trace::line(format_args!("{order:?}"));
        match order {
            Order::End(_, loss) | Order::Down(_, loss) => {
                world.net.end(host, loss);
                slot.ended(loss);
                hosts.end(host);
                world.invariants.lock().expect("no holder of this lock panics").ended(host);
                if matches!(order, Order::End(..)) && slot.is_wanted() {
                    restarts.push((now + SUPERVISED, host));
                }
            }
            Order::Wipe(_) => {
                world.net.darken(host);
                slot.wipe();
                hosts.end(host);
                let mut invariants = world.invariants.lock().expect("no holder of this lock panics");
                invariants.ended(host);
                invariants.wiped(host);
            }
            Order::Start(_) => {
                if slot.is_wanted() && slot.running().is_none() && !hosts.runs(host) {
                    hosts.start(host);
                }
            }
            Order::Hold(_, is_held) => {
                slot.is_held.store(is_held && hosts.runs(host), Ordering::Relaxed);
            }
        }
    });
}

/// A panic of the product is a failure, but for those that end a host.
fn watch_panics() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if panic.payload().is::<coffer::raft::simulated::HostStopped>() || panic.payload().is::<Planned>() {
            return;
        }
        let host = trace::host().map_or_else(|| "the simulation".to_owned(), trace::name);
        WORLD.with_borrow(|world| {
            // What panicked before may have left locks that are no good any more, until the host ends with the step.
            if let Some(world) = world.as_ref().filter(|world| !trace::host().is_some_and(|host| world.is_ending(host))) {
                world.fail(format!("{host} panicked: {panic}"));
            }
        });
        if trace::host().is_none() {
            before(panic);
        }
    }));
}

/// What happens, on the clients' host.
async fn story(world: Arc<World>, clients: Arc<Clients>, done: Arc<AtomicBool>) -> Result<(), String> {
    let _inbox = world.net.listen(world.plan.clients_host());
    if let Err(why) = chapters(&world, &clients).await {
        world.fail(why);
    }
    done.store(true, Ordering::Relaxed);
    std::future::pending().await
}

/// Its parts, in order.
async fn chapters(world: &Arc<World>, clients: &Arc<Clients>) -> Result<(), String> {
    for cluster in 0..world.plan.sizes.len() {
        operator::found(world, cluster).await?;
    }
    operator::furnish(world, 0).await?;
    tokio::spawn(seal::keep_open(world.clone()));
    tokio::spawn(honest::watch(world.clone()));
    tokio::spawn(health::watch(world.clone()));
    for secondary in 1..world.plan.sizes.len() {
        roles::replicate(world, 0, secondary).await?;
        operator::furnish_here(world, secondary).await?;
        here::take_a_path(world, secondary).await?;
    }
    if world.plan.sizes.len() > 1 {
        here::share_that_path(world).await?;
    }
    trace::line(format_args!("all is set up"));
    clients.start();
    nemesis::run(world, clients).await;
    trace::line(format_args!("all is to be well"));
    nemesis::mend(world).await;
    clients.is_over.store(true, Ordering::Relaxed);
    liveness::check(world, clients).await
}
