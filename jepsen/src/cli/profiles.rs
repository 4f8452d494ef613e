//! Combinations of topology, workloads and faults that fit together: what `soak` goes through.

/// A named combination, as arguments of `jepsen run`.
pub struct Profile {
    /// As on the command line.
    pub name: &'static str,
    /// `--topo`.
    pub topology: &'static str,
    /// `--workload`.
    pub workloads: &'static str,
    /// `--nemesis`.
    pub nemesis: &'static str,
    /// What else.
    pub more: &'static [&'static str],
}

const fn profile(
    name: &'static str,
    topology: &'static str,
    workloads: &'static str,
    nemesis: &'static str,
    more: &'static [&'static str],
) -> Profile {
    Profile { name, topology, workloads, nemesis, more }
}

/// The log is cut short all the time: snapshots and purges under way whenever something breaks.
const SNAPSHOTS: &str = "snapshot_threshold = 100\n  trailing_logs = 10";
/// So few records are kept that a cut between clusters ends in a comparison of trees.
const SHORT_MEMORY: &str = "replication {\n  logshipper_buffer_size = \"64kb\"\n}";

/// All of them.
pub const PROFILES: &[Profile] = &[
    profile("basic", "3", "register,set,append", "partition,kill,pause", &[]),
    profile("pair", "P3+S3", "set,session,prefix,forward,canary,crossing,converge", "partition,kill,pause", &[]),
    profile("tokens", "3", "uses,wrap,lease,family,policy,session", "kill,pause,step-down,partition", &[]),
    profile("rough", "3", "register,set,append", "packet,partition,pause", &["--hands", "2"]),
    profile("roles", "P3+S3", "fence,converge", "role,kill,pause", &[]),
    profile("snapshots", "3", "register,set,append", "kill,partition,pause", &["--storage", SNAPSHOTS]),
    profile("pair-short", "P3+S3", "set,prefix,session,canary,converge", "partition,kill", &["--stanzas", SHORT_MEMORY]),
    profile("members", "3", "register,set", "member,step-down,kill", &["--storage", SNAPSHOTS]),
    profile("clock", "3", "lease,uses,register", "clock,kill", &[]),
    profile("five", "5", "register,set,append", "partition,kill,pause", &["--hands", "2"]),
    profile("keys", "3", "seal,register,set,audit", "partition,pause,step-down", &[]),
    profile("one", "1", "register,set,lease,uses", "kill,pause", &[]),
    profile("forced", "P3+S3", "fence,converge", "forced", &[]),
    profile("reseed", "P3+S3", "set,prefix", "reseed,revoke", &[]),
    profile("power", "3", "register,set,append", "power,partition", &["--storage", SNAPSHOTS]),
    profile("saturated", "3", "register,set,append", "kill,pause,partition", &["--storage", SNAPSHOTS, "--burn", "4"]),
    profile("bad-disk", "3", "register,set", "bad-disk", &[]),
    profile("disk", "3", "register,set", "disk,partition", &[]),
];

/// Those of these names; all if it is `all`.
///
/// # Errors
/// With the names that there are.
pub fn named(names: &[String]) -> Result<Vec<&'static Profile>, String> {
    if names.iter().any(|name| name == "all") {
        return Ok(PROFILES.iter().collect());
    }
    let known: Vec<&str> = PROFILES.iter().map(|profile| profile.name).collect();
    let one = |name: &String| {
        let found = PROFILES.iter().find(|profile| profile.name == name);
        found.ok_or_else(|| format!("no profile `{name}`: there are {}", known.join(", ")))
    };
    names.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nemesis::plan::modes;
    use crate::work;

    #[test]
    fn profiles_name_workloads_and_faults_that_there_are() {
        for profile in PROFILES {
            let topology = profile.topology.parse().unwrap();
            for name in profile.workloads.split(',') {
                assert!(work::named(name).is_ok_and(|workload| profile.topology.contains('S') || !workload.is_across()), "{name}");
            }
            for kind in profile.nemesis.split(',') {
                assert!(modes(kind, &topology).is_ok_and(|modes| !modes.is_empty()), "{} {kind}", profile.name);
            }
        }
        assert!(named(&["nothing".to_owned()]).is_err());
    }
}
