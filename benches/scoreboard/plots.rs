//! Pictures that several metrics have.

use crate::cluster::System;
use crate::load::latencies::quantile;
use crate::result::{Plot, Series};
use crate::rounds::Rounds;

/// How latencies are distributed: for each system and case, all turns that count taken together.
pub fn distribution(title: &str, rounds: &Rounds, systems: &[System], cases: &[&str]) -> Plot {
    let mut series = Vec::new();
    for system in systems {
        for case in cases {
            let mut counts: Vec<(u64, u64)> = rounds.counting(*system, case).flat_map(|turn| turn.latencies_us.clone()).collect();
            counts.sort_unstable();
            if counts.is_empty() {
                continue;
            }
            let shares = (1..1000).map(|thousandth| f64::from(thousandth) / 1000.0).chain([0.9995, 0.9999, 1.0]);
            let points = shares.filter_map(|share| Some((quantile(&counts, share)?, share)));
            series.push(Series { name: format!("{}, {case}", system.name()), points: points.collect() });
        }
    }
    Plot {
        title: title.into(),
        x: "microseconds".into(),
        y: "share of all requests".into(),
        kind: "distribution",
        log_x: true,
        log_y: false,
        series,
    }
}

/// A value by the number of clients.
pub fn by_clients(title: &str, unit: &str, rounds: &Rounds, systems: &[System], cases: &[(u32, String)], value: &str) -> Plot {
    let series = systems.iter().map(|system| Series {
        name: system.name().into(),
        points: cases.iter().filter_map(|(count, case)| Some((f64::from(*count), rounds.reading(*system, case, value).value()?))).collect(),
    });
    Plot { title: title.into(), x: "clients".into(), y: unit.into(), kind: "lines", log_x: true, log_y: true, series: series.collect() }
}
