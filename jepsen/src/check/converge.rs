//! After silence all nodes are one: equal roots of their trees, equal answers to the same question.
//!
//! | `:f` | value | with |
//! | --- | --- | --- |
//! | `root` | `{:tree :shared, :root "…"}` | `:cluster`, `:node` |
//! | `answer` | `{:route "sys/mounts", :answer "…"}`: the answer or its digest | `:cluster`, `:node` |
//!
//! The last line of each node counts. A shared tree is the same in all clusters, any other tree and all answers within a cluster.

use std::collections::{BTreeMap, BTreeSet};

use super::lines::{Fact, facts};
use super::verdict::Verdict;
use crate::core::{History, Malformed, Value};

/// What must be equal, and what each node said of it.
type Reports<'a> = BTreeMap<String, BTreeMap<(&'a str, &'a str), (&'a Value, Fact<'a>)>>;

/// Checks the last reports.
///
/// # Errors
/// A line lacks a part.
pub fn check(history: &History) -> Result<Verdict, Malformed> {
    let mut reports: Reports<'_> = BTreeMap::new();
    let mut nodes = BTreeSet::new();
    for (f, subject, said) in [("root", "tree", "root"), ("answer", "route", "answer")] {
        for fact in facts(history, f) {
            let (cluster, subject) = (fact.cluster()?, fact.text(subject)?);
            let node = fact.op.node.as_deref().ok_or_else(|| fact.malformed(format!("`{f}` has no :node")))?;
            let is_everywhere = f == "root" && subject == "shared";
            let name = if is_everywhere { format!("{f} {subject}") } else { format!("{f} {subject} in {cluster}") };
            nodes.insert((cluster, node));
            reports.entry(name).or_default().insert((cluster, node), (fact.part(said)?, fact));
        }
    }
    let children = reports.into_iter().map(|(name, reports)| one(name, reports, &nodes)).collect();
    Ok(Verdict::all("converged", children))
}

fn one<'a>(name: String, reports: BTreeMap<(&'a str, &'a str), (&'a Value, Fact<'a>)>, nodes: &BTreeSet<(&str, &str)>) -> Verdict {
    let clusters: BTreeSet<&str> = reports.keys().map(|(cluster, _)| *cluster).collect();
    let silent: Vec<&str> = nodes
        .iter()
        .filter(|(cluster, node)| clusters.contains(cluster) && !reports.contains_key(&(cluster, node)))
        .map(|(_, node)| *node)
        .collect();
    let mut said: BTreeMap<&Value, Vec<(&str, Fact<'_>)>> = BTreeMap::new();
    for ((_, node), (value, fact)) in &reports {
        said.entry(value).or_default().push((node, *fact));
    }
    if said.len() > 1 {
        let mut said: Vec<_> = said.values().collect();
        said.sort_by_key(|group| group.first().map(|(node, _)| *node));
        let groups: Vec<String> = said.iter().map(|group| group.iter().map(|(node, _)| *node).collect::<Vec<_>>().join(" ")).collect();
        let witness = said.iter().filter_map(|group| group.first()).map(|(_, fact)| fact.op.clone()).collect();
        return Verdict::invalid(name, format!("nodes differ: {}", groups.join(" / ")), witness);
    }
    if !silent.is_empty() {
        return Verdict::unknown(name, format!("nothing was heard of {}", silent.join(" ")));
    }
    match reports.len() {
        0 | 1 => Verdict::unknown(name, "one node only: nothing to compare"),
        count => Verdict::valid(name, format!("{count} nodes agree")),
    }
}
