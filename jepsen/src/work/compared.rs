//! When secondaries compared themselves with their primary, from what their nodes logged: rows of different moments stand there side
//! by side then, as docs/replication.md says.
//!
//! One line of the nemesis each, `compared`, at the end of the history: `{:cluster c :from ns :to ns}`. A comparison lasts until the
//! next stream of records begins on any node of the cluster: one that broke leaves what it had repaired.

use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::core::{Kind, Op, Process, Recorder, Value};
use crate::world::World;
use crate::world::cluster::Cluster;

const DAY: f64 = 86_400.0;

/// Records them.
///
/// # Errors
/// The disk does not take it.
pub fn record(world: &World, recorder: &Recorder) -> Result<(), String> {
    // The moment at which the history began, by the clock of the logs.
    let start = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().saturating_sub(recorder.start().elapsed());
    let end = recorder.start().elapsed().as_secs_f64();
    for cluster in &world.clusters {
        for (from, to) in spans(&events(cluster, start), end) {
            let nanoseconds = |seconds: f64| Value::Int(Duration::from_secs_f64(seconds.max(0.0)).as_nanos() as i64);
            let value = Value::map([("cluster", cluster.name.as_str().into()), ("from", nanoseconds(from)), ("to", nanoseconds(to))]);
            recorder.record(Op::new(Kind::Info, Process::Nemesis, "compared", value)).map_err(|error| error.to_string())?;
        }
    }
    Ok(())
}

/// Seconds since the history began, and whether a comparison begins there (else a stream).
fn events(cluster: &Cluster, start: Duration) -> Vec<(f64, bool)> {
    let logs = cluster.nodes.iter().map(|node| fs::read_to_string(node.log()).unwrap_or_default());
    let mut events: Vec<(f64, bool)> = logs.flat_map(|log| log.lines().filter_map(|line| event(line, start)).collect::<Vec<_>>()).collect();
    events.sort_by(|one, other| one.0.total_cmp(&other.0));
    events
}

fn event(line: &str, start: Duration) -> Option<(f64, bool)> {
    let is_comparison = line.contains("comparing with the primary");
    if !is_comparison && !line.contains("streaming records from the primary") {
        return None;
    }
    // 2026-01-31T23:59:59.123456Z; a run is shorter than a day.
    let mut clock = line.split_once('T')?.1.split_once('Z')?.0.split(':');
    let mut next = || clock.next()?.parse::<f64>().ok();
    let of_day = next()? * 3600.0 + next()? * 60.0 + next()?;
    Some(((of_day - start.as_secs_f64()).rem_euclid(DAY), is_comparison))
}

fn spans(events: &[(f64, bool)], end: f64) -> Vec<(f64, f64)> {
    let (mut open, mut spans) = (None, Vec::new());
    for (at, is_comparison) in events {
        // What was before the first operation comes out as almost a day.
        let at = if *at > end { 0.0 } else { *at };
        match (is_comparison, open) {
            (true, None) => open = Some(at),
            (false, Some(from)) => {
                spans.push((from, at));
                open = None;
            }
            _ => {}
        }
    }
    spans.extend(open.map(|from| (from, end)));
    spans
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comparison_lasts_until_records_are_streamed() {
        let start = Duration::from_secs(20_000 * 86_400 + 86_398);
        let log = "\
2026-01-31T23:59:59.500000Z  INFO coffer::replication::follower: streaming records from the primary primary_wal=5
2026-02-01T00:00:01.250000Z  WARN coffer::replication::follower: comparing with the primary: what it does not have is given up here
2026-02-01T00:00:02.000000Z  WARN coffer::replication::follower: comparing with the primary: what it does not have is given up here
2026-02-01T00:00:03.000000Z  INFO coffer::raft: something else
2026-02-01T00:00:04.750000Z  INFO coffer::replication::follower: streaming records from the primary primary_wal=9
2026-02-01T00:00:06.000000Z  WARN coffer::replication::follower: comparing with the primary: what it does not have is given up here
not a line of ours: comparing with the primary";
        let events: Vec<_> = log.lines().filter_map(|line| event(line, start)).collect();
        assert_eq!(events, [(1.5, false), (3.25, true), (4.0, true), (6.75, false), (8.0, true)]);
        assert_eq!(spans(&events, 20.0), [(3.25, 6.75), (8.0, 20.0)]);
        let (before, during) = ((86_399.0, true), (2.0, false));
        assert_eq!(spans(&[before, during], 20.0), [(0.0, 2.0)]);
    }
}
