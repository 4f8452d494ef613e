//! The hosts' processes, on one thread and on time that is simulated: a runtime each. One can be started, ended with all that it was doing,
//! and held: then it stands still while time goes on, and does not know it when it goes on itself.
//!
//! Tokio's clock is stopped in each runtime, and moves by a step at a time. Not here: what a host runs (`host`), when (`run`).

use std::cell::Cell;
use std::pin::Pin;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::task::{JoinHandle, LocalSet};
use tokio::time::Instant;

use crate::net::HostId;
use crate::rng::Rng;
use crate::trace;

/// How far time moves at once.
const STEP: Duration = Duration::from_millis(1);

/// What a host runs, until it ends; with what ended it, if that is none of its ends.
pub type Running = Pin<Box<dyn Future<Output = Result<(), String>>>>;

thread_local! {
    /// When the step began, and what the clock of the runtime that runs in it was then.
    static NOW: Cell<(Duration, Option<Instant>)> = const { Cell::new((Duration::ZERO, None)) };
}

/// Time since the simulation began.
pub fn now() -> Duration {
    let (began, clock) = NOW.get();
    began + clock.map_or(Duration::ZERO, |clock| clock.elapsed())
}

/// All hosts.
pub struct Hosts {
    hosts: Vec<Host>,
    order: Rng,
    elapsed: Duration,
}

struct Host {
    id: HostId,
    software: Box<dyn Fn() -> Running>,
    process: Option<Process>,
}

struct Process {
    runtime: Runtime,
    /// What it began with runs in here, as it need not be fit for other threads.
    main_set: LocalSet,
    main: Option<JoinHandle<Result<(), String>>>,
    /// How much time it was held for.
    behind: Duration,
}

impl Hosts {
    /// None yet; `order` decides who is first in each step.
    pub fn new(order: Rng) -> Self {
        NOW.set((Duration::ZERO, None));
        Self { hosts: Vec::new(), order, elapsed: Duration::ZERO }
    }

    /// Adds one, which does not run yet.
    pub fn add(&mut self, id: HostId, software: impl Fn() -> Running + 'static) {
        self.hosts.push(Host { id, software: Box::new(software), process: None });
    }

    /// Time since the simulation began.
    pub fn elapsed(&self) -> Duration {
        self.elapsed
    }

    fn host(&mut self, id: HostId) -> &mut Host {
        self.hosts.iter_mut().find(|host| host.id == id).expect("every host was added")
    }

    /// Whether it has a process.
    pub fn runs(&mut self, id: HostId) -> bool {
        self.host(id).process.is_some()
    }

    /// Starts it anew.
    pub fn start(&mut self, id: HostId) {
        let host = self.host(id);
        trace::as_host(id, || host.process = Some(Process::start(&host.software)));
    }

    /// Ends it: everything that it was doing is dropped where it waits.
    pub fn end(&mut self, id: HostId) {
        let host = self.host(id);
        trace::as_host(id, || host.process = None);
    }

    /// Lets time pass, in which those stand still that `is_held` names; says what ended by itself, and must not.
    pub fn step(&mut self, is_held: impl Fn(HostId) -> bool) -> Vec<String> {
        let mut order: Vec<usize> = (0..self.hosts.len()).collect();
        self.order.shuffle(&mut order);
        let mut wrong = Vec::new();
        for at in order {
            let Host { id, process: Some(process), .. } = &mut self.hosts[at] else { continue };
            if is_held(*id) {
                process.behind += STEP;
                continue;
            }
            let done = trace::as_host(*id, || process.step(self.elapsed));
            wrong.extend(done.err().map(|why| format!("{}: {why}", trace::name(*id))));
        }
        self.elapsed += STEP;
        NOW.set((self.elapsed, None));
        wrong
    }
}

impl Process {
    fn start(software: &dyn Fn() -> Running) -> Self {
        let runtime =
            Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime takes nothing of the system's");
        // Its clock ran until it was stopped; timers count in milliseconds of it.
        runtime.block_on(async { tokio::time::sleep(STEP).await });
        let main_set = LocalSet::new();
        let main = main_set.spawn_local(software());
        Self { runtime, main_set, main: Some(main), behind: Duration::ZERO }
    }

    fn step(&mut self, elapsed: Duration) -> Result<(), String> {
        let behind = std::mem::take(&mut self.behind);
        let clock = {
            let _inside = self.runtime.enter();
            Instant::now() + behind
        };
        NOW.set((elapsed, Some(clock)));
        let passes = async {
            if !behind.is_zero() {
                tokio::time::advance(behind).await;
            }
            tokio::time::sleep(STEP).await;
        };
        self.runtime.block_on(self.main_set.run_until(passes));
        NOW.set((elapsed, None));
        match self.main.take_if(|main| main.is_finished()) {
            // A panic was told already, where it was.
            Some(main) => self.runtime.block_on(main).unwrap_or(Ok(())),
            None => Ok(()),
        }
    }
}
