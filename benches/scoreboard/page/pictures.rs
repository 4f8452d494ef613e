//! Which pictures a metric has: those that it made, and the latencies of its turns if it made none of them.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::{plot, shares};
use crate::result::{Measured, Plot, Series};

/// Draws all of them.
pub fn all(metric: &Measured, out: &mut String) {
    let mut drawn = String::new();
    for picture in &metric.plots {
        plot::draw(picture, &mut drawn);
    }
    if !metric.plots.iter().any(|plot| plot.kind == "distribution") {
        for picture in latencies(metric) {
            plot::draw(&picture, &mut drawn);
        }
    }
    if !drawn.is_empty() {
        let _ = write!(out, "<div class=\"pictures\">\n{drawn}</div>\n");
    }
}

/// One for each case, a line for each system: all turns that count, together.
fn latencies(metric: &Measured) -> Vec<Plot> {
    let mut cases: Vec<&str> = Vec::new();
    let mut counts: BTreeMap<(&str, &str), Vec<(u64, u64)>> = BTreeMap::new();
    let is_noise = |why: &String| why.starts_with(crate::rounds::NOISE);
    for turn in metric.turns.iter().filter(|turn| turn.void.as_ref().is_none_or(is_noise) && !turn.latencies_us.is_empty()) {
        if !cases.contains(&turn.case.as_str()) {
            cases.push(&turn.case);
        }
        counts.entry((&turn.case, &turn.system)).or_default().extend(&turn.latencies_us);
    }
    let picture = |case: &&str| Plot {
        title: format!("Latency, {case}"),
        x: "ms".into(),
        y: "of all requests".into(),
        kind: "distribution",
        log_x: true,
        log_y: false,
        series: counts
            .iter()
            .filter(|((of, _), _)| of == case)
            .map(|((_, system), counts)| Series { name: (*system).to_owned(), points: shares(counts, 1000.0) })
            .collect(),
    };
    cases.iter().map(picture).collect()
}
