//! When faults left a cluster without a majority: nobody could do any work then, so nothing was late.
//!
//! From the lines of faults that stop all nodes or most of them (`kill-all`, `pause-majority`, or so many victims of those that clients
//! spoke to), from the first `start-KIND` to the last `stop-KIND`: starting nodes again takes a while, and is part of it.

use std::collections::{BTreeMap, BTreeSet};

use super::coverage::{is_installed, mode};
use crate::core::{History, Op, Process, Value};

/// Spans of time, in nanoseconds of the history; they may overlap.
#[derive(Debug, Clone, Default)]
pub struct Outages(Vec<(u64, u64)>);

impl Outages {
    /// Those of `history`. One that never ended lasts as long as it.
    pub fn of(history: &History) -> Self {
        let end = history.ops.iter().map(|op| op.time).max().unwrap_or(0);
        let sizes = sizes(history);
        let mut open: BTreeMap<(&str, &Value), (u64, bool)> = BTreeMap::new();
        let mut spans = Vec::new();
        for op in history.ops.iter().filter(|op| op.process == Process::Nemesis && mode(op).is_some_and(stops_nodes)) {
            if let Some(kind) = op.f.strip_prefix("start-") {
                let (_, was_there) = open.entry((kind, &op.value)).or_insert((op.time, false));
                *was_there |= is_installed(op) && takes_the_majority(op, &sizes);
            } else if let Some(kind) = op.f.strip_prefix("stop-")
                && op.extra.contains_key("outcome")
                && let Some((from, true)) = open.remove(&(kind, &op.value))
            {
                spans.push((from, op.time));
            }
        }
        spans.extend(open.into_values().filter(|(_, was_there)| *was_there).map(|(from, _)| (from, end)));
        spans.sort_unstable();
        Self(spans)
    }

    /// The moment by which work that was due at `from` must be done, if it may take `patience`: outages do not count.
    pub fn deadline(&self, from: u64, patience: u64) -> u64 {
        let (mut deadline, mut counted) = (from.saturating_add(patience), from);
        for (begin, end) in &self.0 {
            let begin = (*begin).max(counted);
            if begin < deadline && begin < *end {
                deadline = deadline.saturating_add(end - begin);
                counted = *end;
            }
        }
        deadline
    }
}

/// How many nodes of each cluster clients spoke to.
fn sizes(history: &History) -> BTreeMap<&str, usize> {
    let mut nodes: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for op in &history.ops {
        if let (Some(cluster), Some(node)) = (op.cluster.as_deref(), op.node.as_deref()) {
            nodes.entry(cluster).or_default().insert(node);
        }
    }
    nodes.into_iter().map(|(cluster, nodes)| (cluster, nodes.len())).collect()
}

fn stops_nodes(mode: &str) -> bool {
    ["kill-", "pause-", "power-"].iter().any(|kind| mode.starts_with(kind))
}

fn takes_the_majority(op: &Op, sizes: &BTreeMap<&str, usize>) -> bool {
    let says_so = mode(op).is_some_and(|mode| mode.ends_with("-all") || mode.ends_with("-majority"));
    let size = op.value.as_pair().and_then(|(_, cluster)| sizes.get(cluster.as_str()?));
    let victims = op.extra.get("what").and_then(Value::as_list).map_or(0, <[Value]>::len);
    says_so || size.is_some_and(|size| victims > 0 && victims * 2 >= *size)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::Kind;

    fn line(at: u64, f: &str, mode: &str, outcome: Option<&str>) -> Op {
        let mut op = Op::new(Kind::Info, Process::Nemesis, f, Value::pair(Value::keyword(mode), "a")).at(at);
        op.extra.extend(outcome.map(|outcome| ("outcome".to_owned(), Value::keyword(outcome))));
        op
    }

    fn fault(kind: &str, mode: &str, [from, up, down, to]: [u64; 4]) -> [Op; 4] {
        let (start, stop) = (format!("start-{kind}"), format!("stop-{kind}"));
        [
            line(from, &start, mode, None),
            line(up, &start, mode, Some("installed")),
            line(down, &stop, mode, None),
            line(to, &stop, mode, Some("installed")),
        ]
    }

    #[test]
    fn time_without_a_majority_does_not_count() {
        let mut ops = Vec::new();
        ops.extend(fault("kill", "kill-active", [0, 1, 5, 6]));
        ops.extend(fault("kill", "kill-all", [10, 11, 14, 20]));
        ops.extend(fault("pause", "pause-majority", [18, 19, 24, 25]));
        ops.extend([line(40, "start-power", "power-all", None), line(41, "start-power", "power-all", Some("skipped"))]);
        let outages = Outages::of(&History::from_ops(ops));
        let table = [
            ((0, 5), 5, "a fault of one node is no excuse"),
            ((0, 10), 10, "over before it"),
            ((0, 11), 26, "15 without a majority, of which two faults share 2"),
            ((12, 3), 28, "begun in its midst"),
            ((30, 20), 50, "one that was skipped was never there"),
        ];
        for ((from, patience), deadline, why) in table {
            assert_eq!(outages.deadline(from, patience), deadline, "{why}");
        }
        // All nodes that anybody spoke to are one.
        let mut ops = fault("kill", "kill-active", [2, 3, 6, 8]).to_vec();
        ops[1] = ops[1].clone().with("what", Value::list(["a1"]));
        let spoke = |node: &str| Op { node: Some(node.to_owned()), cluster: Some("a".to_owned()), ..Op::invoke(1, "read", Value::Nil) };
        ops.push(spoke("a1"));
        assert_eq!(Outages::of(&History::from_ops(ops.clone())).deadline(0, 5), 11);
        ops.extend([spoke("a2"), spoke("a3")]);
        assert_eq!(Outages::of(&History::from_ops(ops)).deadline(0, 5), 5, "two of three are there");
        let ops = vec![
            line(3, "start-pause", "pause-majority", None),
            line(4, "start-pause", "pause-majority", Some("installed")),
            line(9, "heal", "x", None),
        ];
        assert_eq!(Outages::of(&History::from_ops(ops)).deadline(0, 5), 11, "one that never ended lasts to the end");
    }
}
