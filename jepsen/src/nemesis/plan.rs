//! All faults of a run, with their times: computed from the seed, written down before the run, and only then carried out.

use serde::{Deserialize, Serialize};

use crate::core::Rng;
use crate::world::topo::{Part, Topology};

use super::fault::Fault;
use super::packet::{TROUBLES, Trouble};
use super::partition::{BETWEEN, INSIDE};
use super::storage::{AILMENTS, Ailment};
use super::target::Target;

/// One fault at its time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Act {
    /// After the work began, in milliseconds.
    pub at_ms: u64,
    /// In force for so long.
    pub for_ms: u64,
    /// In this cluster.
    pub cluster: String,
    /// What.
    pub fault: Fault,
    /// Decides among equal victims.
    pub dice: u64,
}

/// Acts of one hand follow each other; several hands work at once, so that faults overlap.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// One list for each hand.
    pub hands: Vec<Vec<Act>>,
}

/// What a plan is made for.
#[derive(Clone, Debug)]
pub struct Demand {
    /// Kinds of faults.
    pub kinds: Vec<String>,
    /// Clusters.
    pub topology: Topology,
    /// How long there are faults.
    pub seconds: u64,
    /// How many hands.
    pub hands: usize,
}

/// Kinds that there are.
pub const KINDS: &[&str] = &[
    "partition",
    "kill",
    "pause",
    "packet",
    "clock",
    "step-down",
    "member",
    "role",
    "forced",
    "revoke",
    "reseed",
    "disk",
    "power",
    "bad-disk",
    "gray",
];

/// One node is bad for so long, in milliseconds: long enough to see what becomes of it.
const GRAY_MS: (u64, u64) = (25_000, 35_000);

/// A kind of faults in a plan.
struct Kind {
    modes: Vec<Fault>,
    /// How long each is in force, where that is not the fault's own.
    held_ms: Option<(u64, u64)>,
}

/// The modes of a kind; those that matter most come first, as a short run does not get far.
///
/// # Errors
/// If there is no such kind.
pub fn modes(kind: &str, topology: &Topology) -> Result<Vec<Fault>, String> {
    use Target::{Active, All, Majority, Minority, One, Standby};
    let inside = topology.clusters.iter().any(|(_, _, size)| *size > 1);
    let between = topology.is_replicated();
    Ok(match kind {
        "partition" => {
            let inside = INSIDE.iter().filter(|_| inside);
            let between = BETWEEN.iter().filter(|_| between);
            between.chain(inside).map(|shape| Fault::Partition(*shape)).collect()
        }
        "kill" => [Active, All, Majority, Standby, Minority, One].map(Fault::Kill).to_vec(),
        "pause" => [Active, Majority, Standby, One].map(Fault::Pause).to_vec(),
        "packet" => TROUBLES.iter().flat_map(|trouble| [Fault::Packet(Active, *trouble), Fault::Packet(All, *trouble)]).collect(),
        "clock" => [(Active, 3600), (Standby, -3600), (Active, -60), (All, 600)].map(|(target, by)| Fault::Clock(target, by)).to_vec(),
        "step-down" => vec![Fault::StepDown],
        "member" => [Standby, Active].map(Fault::Member).to_vec(),
        "role" if between => vec![Fault::Role],
        "forced" if between => vec![Fault::Forced],
        "revoke" if between => vec![Fault::Revoke],
        "reseed" if between => vec![Fault::Reseed],
        "role" | "forced" | "revoke" | "reseed" => return Err(format!("`{kind}` needs a primary and a secondary")),
        "disk" => [Active, Minority, Majority].map(Fault::Disk).to_vec(),
        "power" => [All, Active, Majority, One].map(Fault::Power).to_vec(),
        "gray" => [Active, Standby]
            .into_iter()
            .flat_map(|target| {
                [Fault::Packet(target, Trouble::Slow), Fault::Packet(target, Trouble::Lossy), Fault::BadDisk(target, Ailment::Slow)]
            })
            .collect(),
        "bad-disk" => AILMENTS.iter().map(|ailment| Fault::BadDisk(if ailment.is_fatal() { Minority } else { Active }, *ailment)).collect(),
        _ => return Err(format!("no nemesis `{kind}`: there are {}", KINDS.join(", "))),
    })
}

impl Plan {
    /// Plans faults of all these kinds, in turn, their modes in turn too.
    ///
    /// # Errors
    /// If a kind is not known.
    pub fn new(demand: &Demand, rng: &Rng) -> Result<Self, String> {
        let mut kinds = Vec::new();
        for kind in &demand.kinds {
            let (modes, held_ms) = (modes(kind, &demand.topology)?, (kind == "gray").then_some(GRAY_MS));
            if !modes.is_empty() {
                kinds.push(Kind { modes, held_ms });
            }
        }
        let hands = demand.hands.min(kinds.len());
        let mut plan = Self { hands: vec![Vec::new(); hands] };
        for (hand, acts) in plan.hands.iter_mut().enumerate() {
            // Each hand has kinds of its own: two never do the same at once.
            let mine: Vec<&Kind> = kinds.iter().skip(hand).step_by(hands).collect();
            *acts = schedule(&mine, demand, &mut rng.fork(&format!("hand {hand}")));
        }
        Ok(plan)
    }

    /// All modes that must be seen.
    pub fn modes(&self) -> Vec<String> {
        let mut modes: Vec<String> = self.hands.iter().flatten().map(|act| act.fault.mode()).collect();
        modes.sort();
        modes.dedup();
        modes
    }
}

fn schedule(kinds: &[&Kind], demand: &Demand, rng: &mut Rng) -> Vec<Act> {
    let mut acts = Vec::new();
    let mut turns: Vec<usize> = kinds.iter().map(|kind| if demand.seconds < 120 { 0 } else { rng.index(kind.modes.len()) }).collect();
    let mut order: Vec<usize> = Vec::new();
    let mut now = rng.between(1500, 4000);
    loop {
        if order.is_empty() {
            order = (0..kinds.len()).collect();
            rng.shuffle(&mut order);
        }
        let Some(number) = order.pop() else { return acts };
        let Kind { modes, held_ms } = kinds[number];
        let fault = modes[turns[number] % modes.len()].clone();
        turns[number] += 1;
        let for_ms = match (held_ms, &fault) {
            (Some((least, most)), _) => rng.between(*least, *most),
            (None, Fault::StepDown) => 0,
            (None, Fault::Role | Fault::Forced | Fault::Revoke | Fault::Reseed) => rng.between(6000, 10_000),
            (None, _) => rng.between(2500, 8000),
        };
        // The last fault ends before the faults' time does.
        if now + for_ms > demand.seconds * 1000 {
            return acts;
        }
        let cluster = cluster(&fault, &demand.topology, rng);
        acts.push(Act { at_ms: now, for_ms, cluster, fault, dice: rng.next_u64() >> 1 });
        now += for_ms + rng.between(3000, 7000);
    }
}

/// Where there is a choice: the first or the second cluster, as often.
fn cluster(fault: &Fault, topology: &Topology, rng: &mut Rng) -> String {
    let needs_many = matches!(fault, Fault::Member(_) | Fault::StepDown | Fault::Partition(_));
    let fit = topology
        .clusters
        .iter()
        .filter(|(_, part, size)| (*size > 1 || !needs_many) && (*part != Part::Alone || topology.clusters.len() == 1));
    let fit: Vec<&String> = fit.map(|(name, _, _)| name).collect();
    rng.pick(&fit).map_or_else(|| topology.clusters[0].0.clone(), |name| (*name).clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn demand(topology: &str, kinds: &[&str], seconds: u64, hands: usize) -> Demand {
        let kinds = kinds.iter().map(|kind| (*kind).to_owned()).collect();
        Demand { kinds, topology: topology.parse().unwrap(), seconds, hands }
    }

    #[test]
    fn a_seed_is_a_plan_and_a_plan_survives_being_written() {
        let demand = demand("P3+S3", KINDS, 300, 2);
        let plan = Plan::new(&demand, &Rng::new(7)).unwrap();
        assert_eq!(plan, Plan::new(&demand, &Rng::new(7)).unwrap());
        assert_ne!(plan, Plan::new(&demand, &Rng::new(8)).unwrap());
        assert_eq!(plan, serde_json::from_str(&serde_json::to_string(&plan).unwrap()).unwrap());
    }

    #[test]
    fn acts_of_one_hand_do_not_overlap_and_end_in_time() {
        let plan = Plan::new(&demand("3", &["partition", "kill", "clock"], 200, 1), &Rng::new(1)).unwrap();
        let acts = &plan.hands[0];
        assert!(acts.len() > 10 && acts.windows(2).all(|pair| pair[0].at_ms + pair[0].for_ms < pair[1].at_ms));
        assert!(acts.iter().all(|act| act.at_ms + act.for_ms <= 200_000));
    }

    #[test]
    fn a_minute_sees_every_kind_that_is_asked_for() {
        for seed in 0..100 {
            let plan = Plan::new(&demand("3", &["partition", "kill", "pause"], 60, 1), &Rng::new(seed)).unwrap();
            for kind in ["partition", "kill", "pause"] {
                assert!(plan.hands[0].iter().any(|act| act.fault.kind() == kind), "seed {seed} has no {kind}");
            }
        }
    }

    #[test]
    fn modes_have_names() {
        let topology = "P3+S3".parse().unwrap();
        let modes: Vec<String> = KINDS.iter().flat_map(|kind| modes(kind, &topology).unwrap()).map(|fault| fault.mode()).collect();
        for mode in ["partition-active-in-minority", "kill-all", "packet-active-forged", "clock-active--60", "step-down", "role"] {
            assert!(modes.iter().any(|known| known == mode), "{mode} is not in {modes:?}");
        }
    }
}
