//! What each client did, one lane for each: an operation is a bar from its first line to its last.
//!
//! A process is gone after an `info`, so a run has hundreds of them; those that follow each other share a lane of their workload.

use super::load::{Call, OUTCOMES, Run};
use super::page::Part;
use super::svg::{Plot, Time, WIDTH};

/// Of a lane, with the gap.
const LANE: f64 = 12.0;
/// More lanes than anyone looks at: the rest is left out, and that is told.
const LANES_MAX: usize = 60;
/// Narrower bars are drawn this wide, and of several within it one is drawn.
const NARROW: f64 = 0.8;

/// The plot.
pub fn draw(run: &Run, behind: &dyn Fn(f64) -> String) -> Part {
    let time = Time { span: run.span };
    let mut lanes = lanes(&run.calls, run.span);
    let all = lanes.len();
    lanes.truncate(LANES_MAX);
    let height = (lanes.len().max(1) as f64) * LANE + 4.0;
    let mut plot = Plot::new("timeline", height, &behind(height));
    let mut drawn = 0;
    for (number, lane) in lanes.iter().enumerate() {
        let y = LANE * number as f64 + 3.0;
        if number == 0 || lanes[number - 1].workload != lane.workload {
            plot.label(y + LANE / 2.0, lane.workload);
        }
        for outcome in OUTCOMES {
            let mut edge = f64::MIN;
            for call in lane.calls.iter().filter(|call| call.outcome == outcome) {
                let (x, to) = (time.x(call.began), time.x(call.ended.unwrap_or(run.span)));
                if to.max(x + NARROW) - edge >= NARROW {
                    edge = to.max(x + NARROW).min(WIDTH);
                    plot.rect(outcome.name(), (x, y), (edge - x, LANE - 3.0), &call.text);
                    drawn += 1;
                }
            }
        }
    }
    let mut about = format!(
        "{} operations of {} processes in {all} lanes: who follows a process that got no answer goes on in its lane. {drawn} bars are drawn, as \
         of those that are narrower than a pixel and beside each other one is enough.",
        run.calls.len(),
        processes(&run.calls)
    );
    if all > LANES_MAX {
        about.push_str(&format!(" {} lanes are left out.", all - LANES_MAX));
    }
    Part { title: "Clients", about, body: plot.finish(time) }
}

fn processes(calls: &[Call]) -> usize {
    let mut numbers: Vec<u64> = calls.iter().map(|call| call.process).collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers.len()
}

struct Lane<'c> {
    workload: &'c str,
    process: u64,
    calls: Vec<&'c Call>,
}

/// Calls by workload and process; a new process takes the first lane of its workload whose process is done for good.
fn lanes(calls: &[Call], span: f64) -> Vec<Lane<'_>> {
    let mut last: std::collections::HashMap<u64, f64> = std::collections::HashMap::new();
    for call in calls {
        last.insert(call.process, call.ended.unwrap_or(span));
    }
    let mut lanes: Vec<Lane<'_>> = Vec::new();
    for call in calls {
        let workload = call.workload.as_str();
        let mine = lanes.iter().position(|lane| lane.process == call.process);
        let free = || lanes.iter().position(|lane| lane.workload == workload && last[&lane.process] <= call.began);
        let place = mine.or_else(free).unwrap_or(lanes.len());
        if place == lanes.len() {
            lanes.push(Lane { workload, process: call.process, calls: Vec::new() });
        }
        let lane = &mut lanes[place];
        lane.process = call.process;
        lane.calls.push(call);
    }
    // Stable: within a workload lanes keep the order in which they were begun.
    lanes.sort_by(|a, b| a.workload.cmp(b.workload));
    lanes
}

#[cfg(test)]
mod tests {
    use super::super::load::Outcome;
    use super::*;

    fn call(process: u64, began: f64, ended: Option<f64>, workload: &str) -> Call {
        let outcome = if ended.is_some() { Outcome::Ok } else { Outcome::Info };
        Call { began, ended, outcome, process, text: String::new(), workload: workload.to_owned(), node: None }
    }

    #[test]
    fn successors_share_a_lane_of_their_workload() {
        let calls = [
            call(0, 0.0, Some(1.0), "set"),
            call(1, 0.0, Some(9.0), "register"),
            call(2, 0.5, Some(2.0), "set"),
            call(3, 1.5, Some(3.0), "set"),
            call(2, 2.5, Some(3.5), "set"),
        ];
        let lanes = lanes(&calls, 10.0);
        let shown: Vec<(&str, usize)> = lanes.iter().map(|lane| (lane.workload, lane.calls.len())).collect();
        assert_eq!(shown, [("register", 1), ("set", 2), ("set", 2)]);
    }

    #[test]
    fn bars_narrower_than_a_pixel_are_drawn_once() {
        let calls: Vec<Call> = (0..10_000).map(|n| call(0, f64::from(n) / 1000.0, Some(f64::from(n) / 1000.0), "set")).collect();
        let part = draw(&Run { calls, span: 10.0, ..Run::default() }, &|_| String::new());
        let bars = part.body.matches("class=\"ok\"").count();
        assert!((1000..=1300).contains(&bars), "{bars}");
    }
}
