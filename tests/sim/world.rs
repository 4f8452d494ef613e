//! What outlives a node: its disks, its clock, and what is known of it. And what the simulation is told to do next.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use coffer::core::Core;
use coffer::raft::Raft;
use coffer::storage::MemStore;
use coffer::types::{Clock, Timestamp};

use crate::ambush::Ambush;
use crate::disk::{Faults, Loss, SimDisk};
use crate::invariants::Invariants;
use crate::net::{HostId, Net, now};
use crate::plan::Plan;
use crate::rng::Rng;
use crate::seal::Safe;
use crate::trace;

/// 2026-01-01: where every simulation begins.
const EPOCH_MS: u64 = 1_767_225_600_000;
/// When all who may believe themselves active know what was committed before.
const REVOKED_WITHIN: Duration = Duration::from_secs(5);

/// The wall clock of a host.
#[derive(Debug, Default)]
pub struct SimClock {
    /// How wrong it is, in milliseconds.
    pub offset: AtomicI64,
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        let right = EPOCH_MS + u64::try_from(now().as_millis()).unwrap_or(u64::MAX);
        Timestamp(right.saturating_add_signed(self.offset.load(Ordering::Relaxed)))
    }
}

/// A node that runs.
#[derive(Clone)]
pub struct Running {
    pub core: Arc<Core>,
    pub raft: Arc<Raft>,
}

/// A host, whether or not its node runs.
pub struct Slot {
    pub id: HostId,
    pub cluster: usize,
    /// Its own folder, for what lies in real files: snapshots, its identity.
    pub folder: PathBuf,
    pub disk: SimDisk,
    pub clock: Arc<SimClock>,
    /// Its log has lost what was synced: it must not start.
    pub has_lost_log: AtomicBool,
    /// It was made to fail: it may end by itself.
    pub is_doomed: AtomicBool,
    /// Its process stands still.
    pub is_held: AtomicBool,
    /// Applying entries takes so many milliseconds more.
    pub is_late_by_ms: AtomicU64,
    state: Mutex<SlotState>,
}

struct SlotState {
    store: Arc<MemStore>,
    running: Option<Running>,
    starts: u64,
    is_wanted: bool,
    rng: Rng,
}

impl Slot {
    /// Whether it is to run.
    pub fn is_wanted(&self) -> bool {
        self.state().is_wanted
    }
    /// It is to run from now on, or no longer.
    pub fn want(&self, is_wanted: bool) {
        self.state().is_wanted = is_wanted;
    }
    fn state(&self) -> MutexGuard<'_, SlotState> {
        self.state.lock().expect("no holder of this lock panics")
    }
    /// Its state.
    pub fn store(&self) -> Arc<MemStore> {
        self.state().store.clone()
    }
    /// Its node, while it runs.
    pub fn running(&self) -> Option<Running> {
        self.state().running.clone()
    }
    /// Its node runs from now on.
    pub fn runs(&self, running: Running) {
        self.state().running = Some(running);
    }
    /// Counts a start: each draws its own random numbers.
    pub fn starts(&self) -> u64 {
        let mut state = self.state();
        state.starts += 1;
        state.starts
    }
    /// How often it was started.
    pub fn begun(&self) -> u64 {
        self.state().starts
    }
    /// Its node has ended, and this is what is left.
    pub fn ended(&self, loss: Loss) {
        self.is_doomed.store(false, Ordering::Relaxed);
        self.is_held.store(false, Ordering::Relaxed);
        let mut state = self.state();
        state.running = None;
        let pending = state.store.pending() as u64;
        // A state that has no log of its own loses what was not flushed with its process, power or not.
        let kept = usize::try_from(state.rng.between(0, pending)).expect("not more than there are");
        state.store = Arc::new(state.store.crash(kept));
        drop(state);
        self.disk.end(loss);
    }
    /// Everything it had is gone.
    pub fn wipe(&self) {
        self.has_lost_log.store(false, Ordering::Relaxed);
        self.is_held.store(false, Ordering::Relaxed);
        let mut state = self.state();
        state.running = None;
        state.store = Arc::new(MemStore::new());
        drop(state);
        self.disk.wipe();
        if self.folder.exists() {
            std::fs::remove_dir_all(&self.folder).expect("a folder of our own can be removed");
        }
    }
}

/// What is to happen before the next step.
#[derive(Clone, Copy, Debug)]
pub enum Order {
    /// It ended by itself: whoever watches over it starts it again.
    End(HostId, Loss),
    /// It is ended, and stays down.
    Down(HostId, Loss),
    Start(HostId),
    /// Everything on it goes.
    Wipe(HostId),
    /// Its process stands still from now on, or goes on.
    Hold(HostId, bool),
}

/// Everything that hosts share: the simulation itself.
pub struct World {
    pub plan: Plan,
    pub net: Net,
    pub slots: Vec<Slot>,
    pub names: Arc<Vec<String>>,
    pub invariants: Mutex<Invariants>,
    /// Where all nodes write what they were asked and answered, if the plan has it.
    pub audit_file: PathBuf,
    /// All is to be well from now on.
    pub is_mended: AtomicBool,
    /// Roles are being changed.
    pub is_swapping: AtomicBool,
    /// Of each cluster: the furthest record that any of its nodes ever committed.
    pub reached: Vec<AtomicU64>,
    /// Of each cluster: members or disks are being changed.
    pub is_changing: Vec<AtomicBool>,
    /// A promotion was forced already.
    pub is_forced: AtomicBool,
    /// What opens clusters: see `seal`.
    pub safe: Mutex<Safe>,
    /// Of each cluster: how often what it says came to count for nothing, and whether it counts.
    belief: Mutex<Vec<(u64, bool)>>,
    /// Clusters with a local mount at a path that is the primary's too, and what was believed of them then.
    pub beside: Mutex<Vec<(usize, u64)>>,
    /// Names of secondaries that were revoked, and when.
    revoked: Mutex<BTreeMap<String, Duration>>,
    orders: Mutex<VecDeque<Order>>,
    /// How long applying takes.
    applying: Mutex<Rng>,
    /// See `ambush`.
    pub ambushes: Mutex<Vec<Ambush>>,
    failures: Mutex<Vec<String>>,
    /// How often each kind of fault was really done.
    pub done: Mutex<BTreeMap<&'static str, u64>>,
}

impl World {
    /// As `plan` has it; real files lie in `folder`.
    pub fn new(plan: Plan, folder: &std::path::Path) -> Arc<Self> {
        let net = Net::new(plan.weather.clone(), Rng::new(plan.seed, "net"));
        let faults = Faults { sync_micros: plan.sync_micros, stall_permille: 2, fails_next: false, is_full: false };
        let slots = plan.hosts.iter().enumerate().map(|(at, host)| Slot {
            id: HostId(at),
            cluster: host.cluster,
            folder: folder.join(&host.name),
            disk: SimDisk::new(faults.clone(), Rng::new(plan.seed, &format!("disk {}", host.name))),
            clock: Arc::default(),
            has_lost_log: AtomicBool::new(false),
            is_doomed: AtomicBool::new(false),
            is_held: AtomicBool::new(false),
            is_late_by_ms: AtomicU64::new(0),
            state: Mutex::new(SlotState {
                store: Arc::new(MemStore::new()),
                running: None,
                starts: 0,
                is_wanted: plan.first_members(host.cluster).contains(&HostId(at)),
                rng: Rng::new(plan.seed, &format!("state {}", host.name)),
            }),
        });
        let slots = slots.collect();
        let names = Arc::new(plan.names());
        let applying = Mutex::new(Rng::new(plan.seed, "applying"));
        let reached = (0..plan.sizes.len()).map(|_| AtomicU64::new(0)).collect();
        let is_changing = (0..plan.sizes.len()).map(|_| AtomicBool::new(false)).collect();
        let belief = vec![(0, true); plan.sizes.len()].into();
        let invariants = Mutex::new(Invariants::new(&plan));
        Arc::new(Self {
            net,
            slots,
            names,
            invariants,
            audit_file: folder.join("audit.log"),
            plan,
            is_mended: AtomicBool::new(false),
            is_swapping: AtomicBool::new(false),
            reached,
            is_changing,
            is_forced: AtomicBool::new(false),
            safe: Mutex::default(),
            belief,
            beside: Mutex::default(),
            revoked: Mutex::default(),
            orders: Mutex::default(),
            applying,
            ambushes: Mutex::default(),
            failures: Mutex::default(),
            done: Mutex::default(),
        })
    }

    /// A host.
    pub fn slot(&self, host: HostId) -> &Slot {
        &self.slots[host.0]
    }

    /// The hosts of a cluster that are to run.
    pub fn wanted(&self, cluster: usize) -> Vec<HostId> {
        self.plan.all_of(cluster).into_iter().filter(|host| self.slot(*host).is_wanted()).collect()
    }

    /// Where a host's API is, as it says itself.
    pub fn api_addr(&self, host: HostId) -> String {
        format!("http://{}:8200", self.names[host.0])
    }

    /// Ends a host, and starts it again after a while if it is to run.
    pub async fn be_down(&self, host: HostId, loss: Loss, down: Duration) {
        self.order(Order::Down(host, loss));
        tokio::time::sleep(down).await;
        if self.slot(host).is_wanted() {
            self.order(Order::Start(host));
        }
    }

    /// How long it takes to apply the next entries.
    pub fn apply_takes(&self) -> Duration {
        let late = trace::host().map_or(0, |host| self.slot(host).is_late_by_ms.load(Ordering::Relaxed));
        let late = Duration::from_millis(late);
        let (least, most) = self.plan.apply_micros;
        let mut rng = self.applying.lock().expect("no holder of this lock panics");
        if most == 0 {
            return late;
        }
        // Now and then the store holds up whoever writes.
        let stall = if rng.permille(20) { self.plan.apply_stall_times } else { 1 };
        late + Duration::from_micros(rng.between(least, most) * stall)
    }

    /// Whether a host's node has stopped within this step: it ends with it, and nothing of it is heard any more.
    pub fn is_ending(&self, host: HostId) -> bool {
        self.slot(host).running().is_some() && !self.net.listens(host)
    }

    /// Has something done before the next step.
    pub fn order(&self, order: Order) {
        self.orders.lock().expect("no holder of this lock panics").push_back(order);
    }

    /// What is to be done.
    pub fn orders(&self) -> Vec<Order> {
        self.orders.lock().expect("no holder of this lock panics").drain(..).collect()
    }

    /// Something is wrong that must never be.
    pub fn fail(&self, why: String) {
        trace::line(format_args!("FAILED {why}"));
        self.failures.lock().expect("no holder of this lock panics").push(why);
    }

    /// What was wrong.
    pub fn failures(&self) -> Vec<String> {
        self.failures.lock().expect("no holder of this lock panics").clone()
    }

    /// What a cluster says counts for nothing from now on: it may lose what it acknowledges, or show what is no copy.
    pub fn doubt(&self, cluster: usize) {
        let mut belief = self.belief.lock().expect("no holder of this lock panics");
        belief[cluster] = (belief[cluster].0 + 1, false);
    }

    /// It counts again.
    pub fn believe(&self, cluster: usize) {
        self.belief.lock().expect("no holder of this lock panics")[cluster].1 = true;
    }

    /// Whether what a cluster says counts: as long as this is the same number.
    pub fn belief(&self, cluster: usize) -> Option<u64> {
        let (number, counts) = self.belief.lock().expect("no holder of this lock panics")[cluster];
        counts.then_some(number)
    }

    /// Whether what a cluster says has counted ever since `belief` was asked for.
    pub fn still_believes(&self, cluster: usize, belief: Option<u64>) -> bool {
        belief.is_some() && belief == self.belief(cluster)
    }

    /// A secondary was revoked, for certain.
    pub fn has_revoked(&self, id: String) {
        self.revoked.lock().expect("no holder of this lock panics").entry(id).or_insert_with(now);
    }

    /// A primary admits a secondary: wrong, if it was revoked so long ago that nobody may believe himself active who does not know.
    pub fn admits(&self, id: &str) {
        let revoked = self.revoked.lock().expect("no holder of this lock panics").get(id).copied();
        if let Some(at) = revoked.filter(|at| now() > *at + REVOKED_WITHIN) {
            self.fail(format!("the secondary {id} is admitted, and was revoked at {} ms", at.as_millis()));
        }
    }

    /// Counts a fault that was done.
    pub fn did(&self, what: &'static str) {
        *self.done.lock().expect("no holder of this lock panics").entry(what).or_default() += 1;
    }

    /// Waits until `holds`, looking every now and then.
    ///
    /// # Errors
    /// With `what`, if it does not within `patience`.
    pub async fn wait(&self, what: &str, patience: Duration, mut holds: impl FnMut() -> bool) -> Result<(), String> {
        let end = now() + patience;
        while !holds() {
            if now() > end {
                return Err(format!("waited {} s in vain until {what}", patience.as_secs()));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }
}
