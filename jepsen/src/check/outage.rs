//! When faults left a cluster without a majority: nobody could do any work then, so nothing was late.
//!
//! From the lines of faults that stop all nodes or most of them (`kill-all`, `pause-majority`, …), from the first `start-KIND` to the
//! last `stop-KIND`: starting nodes again takes a while, and is part of it.

use std::collections::BTreeMap;

use super::coverage::mode;
use crate::core::{History, Op, Process, Value};

/// Spans of time, in nanoseconds of the history; they may overlap.
#[derive(Debug, Clone, Default)]
pub struct Outages(Vec<(u64, u64)>);

impl Outages {
    /// Those of `history`. One that never ended lasts as long as it.
    pub fn of(history: &History) -> Self {
        let end = history.ops.iter().map(|op| op.time).max().unwrap_or(0);
        let mut open: BTreeMap<(&str, &Value), (u64, bool)> = BTreeMap::new();
        let mut spans = Vec::new();
        for op in history.ops.iter().filter(|op| op.process == Process::Nemesis && mode(op).is_some_and(takes_the_majority)) {
            if let Some(kind) = op.f.strip_prefix("start-") {
                let (_, is_installed) = open.entry((kind, &op.value)).or_insert((op.time, false));
                *is_installed |= is_done(op);
            } else if let Some(kind) = op.f.strip_prefix("stop-")
                && op.extra.contains_key("outcome")
                && let Some((from, true)) = open.remove(&(kind, &op.value))
            {
                spans.push((from, op.time));
            }
        }
        spans.extend(open.into_values().filter(|(_, is_installed)| *is_installed).map(|(from, _)| (from, end)));
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

fn takes_the_majority(mode: &str) -> bool {
    ["kill", "pause", "power"].iter().any(|kind| mode.strip_prefix(kind).is_some_and(|rest| rest == "-all" || rest == "-majority"))
}

fn is_done(op: &Op) -> bool {
    op.extra.get("outcome").and_then(Value::as_str) == Some("installed")
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
        let ops = vec![
            line(3, "start-pause", "pause-majority", None),
            line(4, "start-pause", "pause-majority", Some("installed")),
            line(9, "heal", "x", None),
        ];
        assert_eq!(Outages::of(&History::from_ops(ops)).deadline(0, 5), 11, "one that never ended lasts to the end");
    }
}
