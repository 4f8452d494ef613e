//! All that a seed decides before anything runs: who there is, how fast things are, what may go wrong and how often.
//!
//! Each seed leaves a random part of the faults and features out (swarm testing): what always happens hides what rarely does.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::net::HostId;
use crate::rng::Rng;

/// What may go wrong, or be done to a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// A process ends and is started again.
    Kill,
    /// A machine loses power, and what was not synced.
    Power,
    /// All machines of a cluster lose power together.
    Blackout,
    /// A cluster falls apart in two.
    Split,
    /// One node hears nobody, or is not heard.
    OneWay,
    /// The ways between clusters are cut, in one direction or both.
    Between,
    /// Messages are lost and late.
    Storm,
    /// Syncs take long.
    SlowDisk,
    /// A write fails.
    DiskError,
    /// A disk has no room for a while.
    DiskFull,
    /// A disk loses what it had synced, and is replaced.
    LostEnd,
    /// A disk is replaced: a node comes back with nothing, under its old name.
    NewDisk,
    /// A wall clock goes wrong.
    Clock,
    /// Leadership is handed on.
    Transfer,
    /// A node is sealed.
    Seal,
    /// A node is removed and joins again under another name.
    Members,
    /// The clusters change places.
    Roles,
    /// The secondary is promoted while there is a primary; once.
    Force,
    /// The secondary is revoked, and taken back.
    Revoke,
    /// The secondary is filled anew.
    Refill,
    /// Keys are rotated.
    Rotate,
    /// The seal gets new shares.
    Rekey,
    /// A host meets its end at a certain place in the product.
    Ambush,
    /// The active node is away for a while, and is active again afterwards.
    Comeback,
    /// A standby applies entries late, and becomes active.
    Late,
    /// A process stands still for a while, and does not know it.
    Pause,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 26] = [
        Self::Kill,
        Self::Power,
        Self::Blackout,
        Self::Split,
        Self::OneWay,
        Self::Between,
        Self::Storm,
        Self::SlowDisk,
        Self::DiskError,
        Self::DiskFull,
        Self::LostEnd,
        Self::NewDisk,
        Self::Clock,
        Self::Transfer,
        Self::Seal,
        Self::Members,
        Self::Roles,
        Self::Force,
        Self::Revoke,
        Self::Refill,
        Self::Rotate,
        Self::Rekey,
        Self::Ambush,
        Self::Comeback,
        Self::Late,
        Self::Pause,
    ];

    /// The one of that name, whatever its letters' case.
    ///
    /// # Errors
    /// If there is none; with all that there are.
    pub fn named(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|fault| format!("{fault:?}").eq_ignore_ascii_case(name));
        found.ok_or_else(|| format!("{name} is none of the faults {:?}", Self::ALL))
    }

    /// Whether it takes two clusters.
    fn is_across(self) -> bool {
        matches!(self, Self::Between | Self::Roles | Self::Force | Self::Revoke | Self::Refill)
    }

    /// In so many of a thousand seeds it may happen.
    fn permille(self) -> u64 {
        match self {
            // What is acknowledged counts for less afterwards.
            Self::Force => 200,
            Self::Pause => 300,
            _ => 550,
        }
    }
}

/// How messages travel.
#[derive(Clone, Debug)]
pub struct Weather {
    /// Within a cluster, in microseconds: from, to.
    pub near: (u64, u64),
    /// Between clusters.
    pub far: (u64, u64),
    /// So many of a thousand must be sent again.
    pub loss_permille: u64,
    /// The cluster of each host; clients are near to all.
    pub clusters: Arc<Vec<usize>>,
}

impl Weather {
    /// How long a message takes.
    pub fn delay(&self, rng: &mut Rng, from: HostId, to: HostId) -> Duration {
        let cluster = |host: HostId| self.clusters.get(host.0);
        let is_far = cluster(from).zip(cluster(to)).is_some_and(|(from, to)| from != to);
        let (low, high) = if is_far { self.far } else { self.near };
        let mut micros = rng.between(low, high);
        // A long tail.
        if rng.permille(10) {
            micros *= 8;
        }
        Duration::from_micros(micros)
    }
}

/// A host that runs a node.
#[derive(Clone, Debug)]
pub struct Host {
    /// `a1` and so on.
    pub name: String,
    /// Its cluster's number.
    pub cluster: usize,
}

/// What a seed decides.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The seed.
    pub seed: u64,
    /// Nodes of each cluster.
    pub sizes: Vec<usize>,
    /// The hosts, in order.
    pub hosts: Vec<Host>,
    /// How messages travel when all is well.
    pub weather: Weather,
    /// Raft's timing.
    pub heartbeat: Duration,
    /// Shortest and longest wait without a leader.
    pub election: (Duration, Duration),
    /// A snapshot after so many entries.
    pub snapshot_entries: u64,
    /// Entries kept behind it.
    pub log_keep_entries: u64,
    /// Records kept for secondaries, in bytes.
    pub keep_bytes: u64,
    /// Time of a sync, in microseconds: from, to.
    pub sync_micros: (u64, u64),
    /// Time that applying a batch of entries takes, in microseconds: from, to.
    pub apply_micros: (u64, u64),
    /// Now and then it takes so many times as long.
    pub apply_stall_times: u64,
    /// What may go wrong.
    pub faults: BTreeSet<Fault>,
    /// Mean time between two faults.
    pub pace: Duration,
    /// How long things go wrong.
    pub chaos: Duration,
    /// Clients of each cluster.
    pub clients: u64,
    /// Keys that are written again and again.
    pub keys: u64,
    /// Longest rest of a client between two requests.
    pub rest: Duration,
    /// Whether requests are audited.
    pub audits: bool,
    /// Whether writers of one row follow one another; else all rests on guards.
    pub is_orderly: bool,
}

impl Plan {
    /// The plan of `seed`.
    pub fn of(seed: u64) -> Self {
        let mut rng = Rng::new(seed, "plan");
        let sizes = match rng.below(100) {
            0..42 => vec![3],
            42..82 => vec![3, 3],
            82..90 => vec![3, 3, 3],
            _ => vec![5],
        };
        let mut may_be = |fault: &Fault| rng.permille(fault.permille());
        let mut faults: BTreeSet<Fault> = Fault::ALL.into_iter().filter(|fault| *fault != Fault::Pause && may_be(fault)).collect();
        if faults.contains(&Fault::Force) {
            // So that it is known whose word will count.
            faults.remove(&Fault::Roles);
        }
        let spares = if faults.contains(&Fault::Members) { 2 } else { 0 };
        let hosts: Vec<Host> = sizes
            .iter()
            .enumerate()
            .flat_map(|(cluster, size)| (1..=size + spares).map(move |number| (cluster, number)))
            .map(|(cluster, number)| Host { name: format!("{}{number}", ["a", "b", "c"][cluster]), cluster })
            .collect();
        let near = *rng.pick(&[(300, 1500), (1000, 5000), (200, 12_000)]);
        let far = *rng.pick(&[(1000, 4000), (10_000, 40_000), (40_000, 120_000)]);
        let shortest = rng.between(150, 500);
        let is_pressed = rng.permille(600);
        let (snapshot_entries, log_keep_entries) = if is_pressed { (rng.between(20, 120), rng.between(1, 40)) } else { (100_000, 100_000) };
        let mut plan = Self {
            seed,
            weather: Weather {
                near,
                far,
                loss_permille: *rng.pick(&[0, 0, 2, 10]),
                clusters: Arc::new(hosts.iter().map(|host| host.cluster).collect()),
            },
            heartbeat: Duration::from_millis(rng.between(30, 100).min(shortest / 4)),
            election: (Duration::from_millis(shortest), Duration::from_millis(shortest * 2)),
            snapshot_entries,
            log_keep_entries,
            keep_bytes: *rng.pick(&[2_000, 20_000, 64 << 20]),
            sync_micros: *rng.pick(&[(100, 600), (500, 4000), (2000, 15_000)]),
            pace: Duration::from_millis(rng.between(400, 4000)),
            chaos: Duration::from_secs(rng.between(20, 50)),
            clients: rng.between(2, 5),
            keys: rng.between(2, 6),
            rest: Duration::from_millis(rng.between(20, 300)),
            audits: rng.permille(400),
            is_orderly: true,
            apply_micros: *rng.pick(&[(0, 0), (0, 0), (50, 3000), (1000, 60_000)]),
            apply_stall_times: *rng.pick(&[10, 50]),
            sizes,
            hosts,
            faults,
        };
        // Drawn last: what seeds decided before there was this stays as it was.
        if rng.permille(Fault::Pause.permille()) {
            plan.faults.insert(Fault::Pause);
        }
        plan.is_orderly = rng.permille(600);
        plan
    }

    /// Whether a fault may happen.
    pub fn may(&self, fault: Fault) -> bool {
        self.faults.contains(&fault) && (!fault.is_across() || self.sizes.len() > 1)
    }

    /// Whether another cluster may become the primary.
    pub fn changes_roles(&self) -> bool {
        self.may(Fault::Roles) || self.forces()
    }

    /// Whether a secondary may be promoted while there is a primary. It is the second cluster: the first one's acknowledgements do not
    /// outlive that.
    pub fn forces(&self) -> bool {
        self.may(Fault::Force)
    }

    /// All clusters but these.
    pub fn clusters_but(&self, some: &[usize]) -> Vec<usize> {
        (0..self.sizes.len()).filter(|cluster| !some.contains(cluster)).collect()
    }

    /// The hosts of a cluster that begin it.
    pub fn first_members(&self, cluster: usize) -> Vec<HostId> {
        self.all_of(cluster).into_iter().take(self.sizes[cluster]).collect()
    }

    /// All hosts of a cluster, those that join later too.
    pub fn all_of(&self, cluster: usize) -> Vec<HostId> {
        (0..self.hosts.len()).filter(|at| self.hosts[*at].cluster == cluster).map(HostId).collect()
    }

    /// The host of the clients, after all nodes.
    pub fn clients_host(&self) -> HostId {
        HostId(self.hosts.len())
    }

    /// Names of all hosts, the clients' last.
    pub fn names(&self) -> Vec<String> {
        self.hosts.iter().map(|host| host.name.clone()).chain(["clients".to_owned()]).collect()
    }
}
