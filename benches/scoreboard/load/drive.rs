//! Carries out a plan: clients as tasks on one thread, phases by the clock.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::task::LocalSet;

use super::clients::{Client, Failure};
use super::latencies::Latencies;
use super::ledger::Ledger;
use super::pace::Pacer;
use super::plan::{Event, Outcome, Pace, Plan, Work};
use super::{readback, say};

/// How long to go on when nobody kills the servers.
const TAIL_MAX: Duration = Duration::from_secs(20);

/// What all clients share.
struct Shared {
    plan: Plan,
    measuring: Instant,
    measured: Instant,
    end: Instant,
    ledger: RefCell<Ledger>,
    latencies: RefCell<Latencies>,
    outcome: RefCell<Outcome>,
}

/// Runs the plan to its end.
pub async fn drive(plan: Plan) -> anyhow::Result<Outcome> {
    let mut ledger = plan.ledger.as_deref().map_or_else(|| Ok(Ledger::default()), Ledger::read)?;
    // One more: the key that all clients write.
    ledger.keys.resize(plan.keys as usize + 1, super::ledger::Entry::default());
    if plan.work == Work::ReadBack {
        return readback::compare(&plan, &ledger).await;
    }
    let mut clients = Vec::new();
    for _ in 0..plan.clients {
        clients.push(Client::connect(&plan).await?);
    }
    let measuring = Instant::now() + Duration::from_secs_f64(plan.warm_up_seconds);
    let measured = measuring + Duration::from_secs_f64(plan.seconds);
    let end = if plan.until_killed { measured + TAIL_MAX } else { measured };
    let shared = Rc::new(Shared {
        measuring,
        measured,
        end,
        ledger: RefCell::new(ledger),
        latencies: RefCell::new(Latencies::new()),
        outcome: RefCell::new(Outcome::default()),
        plan,
    });
    LocalSet::new().run_until(run_clients(Rc::clone(&shared), clients)).await;
    if let Some(path) = &shared.plan.ledger {
        shared.ledger.borrow().write(path)?;
    }
    let mut outcome = shared.outcome.take();
    let latencies = shared.latencies.borrow();
    outcome.completed = latencies.count();
    outcome.latencies_us = latencies.counts();
    Ok(outcome)
}

async fn run_clients(shared: Rc<Shared>, clients: Vec<Client>) {
    let is_fill = shared.plan.work == Work::Fill;
    let pacer = match shared.plan.pace {
        Pace::Open { rate } if !is_fill => Some(Pacer::new(rate, Instant::now(), shared.end)),
        _ => None,
    };
    let tasks: Vec<_> = clients
        .into_iter()
        .enumerate()
        .map(|(number, client)| {
            let one = One { shared: Rc::clone(&shared), client, number: u32::try_from(number).expect("fewer clients") };
            if is_fill { tokio::task::spawn_local(one.fill()) } else { tokio::task::spawn_local(one.load(pacer.clone())) }
        })
        .collect();
    if is_fill {
        for task in tasks {
            let _ = task.await;
        }
        return;
    }
    tokio::time::sleep_until(shared.measuring.into()).await;
    say(&Event::Measuring);
    let (began, before) = (Instant::now(), own_cpu_us());
    tokio::time::sleep_until(shared.measured.into()).await;
    {
        let mut outcome = shared.outcome.borrow_mut();
        outcome.seconds = began.elapsed().as_secs_f64();
        outcome.own_cpu_us = own_cpu_us() - before;
    }
    say(&Event::Measured);
    for task in tasks {
        let _ = task.await;
    }
}

/// One client at work.
struct One {
    shared: Rc<Shared>,
    client: Client,
    number: u32,
}

impl One {
    /// Its share of the keys.
    fn keys(&self) -> u32 {
        let (keys, clients) = (self.shared.plan.keys, self.shared.plan.clients);
        keys / clients + u32::from(self.number < keys % clients)
    }

    async fn fill(mut self) {
        for place in 0..self.keys() {
            let key = place * self.shared.plan.clients + self.number;
            for _ in 0..3 {
                match self.write(key).await {
                    Ok(()) => break,
                    Err(failure) => self.failed(&failure).await,
                }
            }
        }
    }

    async fn load(mut self, pacer: Option<Pacer>) {
        // Another order of keys for each client, the same in every run.
        let mut random = 0x9e37_79b9_7f4a_7c15_u64 ^ (u64::from(self.number) << 32 | 1);
        let keys = self.keys().max(1);
        loop {
            let intended = match &pacer {
                None => Instant::now(),
                Some(pacer) => match pacer.next().await {
                    Some(time) => time,
                    None => return,
                },
            };
            if intended >= self.shared.end {
                return;
            }
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let key = u32::try_from(random % u64::from(keys)).expect("below a u32") * self.shared.plan.clients + self.number;
            let result = match &self.shared.plan.work {
                Work::Write => self.write(key).await,
                Work::WriteOne => self.write(self.shared.plan.keys).await,
                Work::Read => self.client.touch(key, self.shared.plan.value_bytes).await,
                _ => self.call().await,
            };
            let now = Instant::now();
            // An open loop counts what should have been sent in the window, however late it came; a closed one what was answered in it.
            let counted = if pacer.is_some() { intended } else { now };
            let counts = (self.shared.measuring..self.shared.measured).contains(&counted);
            if counts {
                self.shared.outcome.borrow_mut().intended += 1;
            }
            match result {
                Ok(()) if counts => self.shared.latencies.borrow_mut().record(now - intended),
                Ok(()) => {}
                Err(Failure::Broken(_)) if now >= self.shared.measured && self.shared.plan.until_killed => return,
                Err(failure) => self.failed(&failure).await,
            }
        }
    }

    async fn write(&mut self, key: u32) -> Result<(), Failure> {
        let attempt = {
            let entry = &mut self.shared.ledger.borrow_mut().keys[key as usize];
            entry.attempts += 1;
            entry.contended |= key == self.shared.plan.keys;
            entry.attempts
        };
        self.client.write(key, attempt).await?;
        let entry = &mut self.shared.ledger.borrow_mut().keys[key as usize];
        entry.acknowledged += 1;
        entry.last_acknowledged = attempt;
        Ok(())
    }

    async fn call(&mut self) -> Result<(), Failure> {
        let token = self.client.call().await?;
        if matches!(self.shared.plan.work, Work::Call { keep_token: true, .. }) {
            self.shared.ledger.borrow_mut().tokens.extend(token);
        }
        Ok(())
    }

    /// Counts the failure; opens a broken connection anew.
    async fn failed(&mut self, failure: &Failure) {
        let (Failure::Answer(text) | Failure::Broken(text)) = failure;
        if self.shared.plan.until_killed && Instant::now() >= self.shared.measured {
            tokio::time::sleep(Duration::from_millis(20)).await;
            return;
        }
        *self.shared.outcome.borrow_mut().failed.entry(text.clone()).or_default() += 1;
        if matches!(failure, Failure::Broken(_)) {
            tokio::time::sleep(Duration::from_millis(20)).await;
            let _ = self.client.reconnect().await;
        }
    }
}

/// Processor time of this process, in microseconds.
fn own_cpu_us() -> f64 {
    use nix::sys::resource::{UsageWho, getrusage};
    use nix::sys::time::TimeValLike;
    getrusage(UsageWho::RUSAGE_SELF)
        .map_or(0.0, |usage| (usage.user_time().num_microseconds() + usage.system_time().num_microseconds()) as f64)
}
