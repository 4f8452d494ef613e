//! Every metric's name, kind, unit and meaning: read from `docs/telemetry.md`, which is what operators read too.
//!
//! Not here: the counting (each folder's `metrics.rs`).

use std::collections::BTreeMap;
use std::sync::LazyLock;

const PAGE: &str = include_str!("../../docs/telemetry.md");

/// One metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// As it is counted, dots and all.
    pub name: &'static str,
    /// `gauge`, `counter` or `summary`.
    pub kind: &'static str,
    /// What one is.
    pub unit: &'static str,
    /// What it tells.
    pub meaning: &'static str,
}

/// Rows of the page's tables that name a metric of one of the three kinds.
pub fn entries() -> impl Iterator<Item = Entry> {
    PAGE.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| `")?.strip_suffix(" |")?.split(" | ");
        let name = cells.next()?.strip_suffix('`')?;
        let (kind, unit, meaning) = (cells.next()?, cells.next()?, cells.next()?);
        matches!(kind, "gauge" | "counter" | "summary").then_some(Entry { name, kind, unit, meaning })
    })
}

/// The name with dots of what Prometheus' text calls `exported`.
pub fn dotted(exported: &str) -> &str {
    static NAMES: LazyLock<BTreeMap<String, &'static str>> =
        LazyLock::new(|| entries().map(|entry| (entry.name.replace(['.', '-'], "_"), entry.name)).collect());
    NAMES.get(exported).copied().unwrap_or(exported)
}

/// Gives each metric its line of help.
pub fn describe() {
    for Entry { name, kind, meaning, .. } in entries() {
        match kind {
            "gauge" => ::metrics::describe_gauge!(name, meaning),
            "counter" => ::metrics::describe_counter!(name, meaning),
            _ => ::metrics::describe_histogram!(name, meaning),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_metric_is_listed_once_with_a_meaning() {
        let names: Vec<&str> = entries().map(|entry| entry.name).collect();
        assert!(names.len() > 60, "{names:?}");
        let mut once = names.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!(once.len(), names.len());
        assert!(entries().all(|entry| !entry.meaning.is_empty() && !entry.unit.is_empty()));
        assert_eq!((dotted("vault_raft_storage_entry_size"), dotted("unknown")), ("vault.raft-storage.entry_size", "unknown"));
    }
}
