//! Every fault by name, with its arguments: what a plan consists of.

use serde::{Deserialize, Serialize};

use crate::core::Value;

use super::context::{Context, Installed};
use super::packet::Trouble;
use super::partition::Shape;
use super::storage::Ailment;
use super::target::Target;
use super::{clock, disk, failpoint, member, packet, partition, power, reseed, role, storage};

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// Lines are cut.
    Partition(Shape),
    /// Processes are killed.
    Kill(Target),
    /// Processes are stopped.
    Pause(Target),
    /// Lines are bad.
    Packet(Target, Trouble),
    /// Clocks are off by seconds.
    Clock(Target, i64),
    /// The active node hands on.
    StepDown,
    /// A node is removed, and joins again.
    Member(Target),
    /// Primary and secondary change places.
    Role,
    /// Primary and secondary change places while they cannot reach each other.
    Forced,
    /// The secondary is revoked, and taken in again.
    Revoke,
    /// The secondary is wiped and filled anew, and killed meanwhile.
    Reseed,
    /// Disks are full.
    Disk(Target),
    /// Processes are killed, and what they had not synced is gone.
    Power(Target),
    /// Disks lie, fail, or are slow.
    BadDisk(Target, Ailment),
    /// A process is killed at the n-th hit of a place in the product.
    Failpoint(String, Target, u32),
}

impl Fault {
    /// The kind, as on the command line and in histories.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Partition(_) => "partition",
            Self::Kill(_) => "kill",
            Self::Pause(_) => "pause",
            Self::Packet(..) => "packet",
            Self::Clock(..) => "clock",
            Self::StepDown => "step-down",
            Self::Member(_) => "member",
            Self::Role => "role",
            Self::Forced => "forced",
            Self::Revoke => "revoke",
            Self::Reseed => "reseed",
            Self::Disk(_) => "disk",
            Self::Power(_) => "power",
            Self::BadDisk(..) => "bad-disk",
            Self::Failpoint(..) => "failpoint",
        }
    }

    /// Kind and arguments: what coverage counts.
    pub fn mode(&self) -> String {
        let word = |json: serde_json::Value| match json {
            serde_json::Value::Array(words) => {
                words.iter().map(|word| word.as_str().map_or_else(|| word.to_string(), str::to_owned)).collect::<Vec<_>>().join("-")
            }
            serde_json::Value::String(word) => word,
            other => other.to_string(),
        };
        if let Self::Failpoint(name, target, hit) = self {
            return format!("failpoint-{name}-{target:?}-{hit}").to_lowercase();
        }
        match serde_json::to_value(self) {
            Ok(serde_json::Value::Object(fields)) => {
                fields.into_iter().map(|(kind, arguments)| format!("{kind}-{}", word(arguments))).collect()
            }
            _ => self.kind().to_owned(),
        }
    }

    /// Puts it in force.
    ///
    /// # Errors
    /// Why it was not.
    pub fn install(&self, context: &Context, cluster: &str, dice: u64) -> Result<Installed, String> {
        match self {
            Self::Partition(shape) => partition::install(context, cluster, *shape, dice),
            Self::Kill(target) => power::kill(context, cluster, *target, dice),
            Self::Pause(target) => power::pause(context, cluster, *target, dice),
            Self::Packet(target, trouble) => packet::install(context, cluster, *target, *trouble, dice),
            Self::Clock(target, seconds) => clock::jump(context, cluster, *target, *seconds, dice),
            Self::StepDown => member::step_down(context, cluster),
            Self::Member(target) => member::remove(context, cluster, *target, dice),
            Self::Role => role::swap(context),
            Self::Forced => role::force(context),
            Self::Revoke => reseed::revoke(context),
            Self::Reseed => reseed::reseed(context, dice),
            Self::Disk(target) => disk::fill(context, cluster, *target, dice),
            Self::Power(target) => storage::cut_power(context, cluster, *target, dice),
            Self::BadDisk(target, ailment) => storage::sicken(context, cluster, *target, *ailment, dice),
            Self::Failpoint(name, target, hit) => failpoint::arm(context, cluster, name, *target, *hit, dice),
        }
    }

    /// As recorded: the mode and the cluster.
    pub fn value(&self, cluster: &str) -> Value {
        Value::pair(Value::keyword(self.mode()), cluster)
    }
}
