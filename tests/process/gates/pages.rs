//! Pages of memory: one of 2 MiB is cleared in one go, while requests wait.

use crate::cluster::Cluster;

/// Reads that nothing else disturbed waited up to 50 ms for it.
pub(super) fn no_node_has_huge_ones(cluster: &Cluster) {
    for node in &cluster.nodes {
        let pid = node.pid().expect("it runs");
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the kernel tells");
        // A kernel without huge pages has no such line, or says 0.
        let line = status.lines().find_map(|line| line.strip_prefix("THP_enabled:"));
        assert!(line.is_none_or(|enabled| enabled.trim() == "0"), "{pid} takes huge pages: {line:?}");
    }
}
