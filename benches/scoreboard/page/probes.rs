//! What the machine could do before and after each round, beside the numbers that were measured between.

use std::fmt::Write;

use super::plot;
use crate::probe::Probe;
use crate::result::{Measured, Plot, Series};
use crate::table::short;

/// A name, and how to read it.
type Column = (&'static str, fn(&Probe) -> f64);

const COLUMNS: [Column; 8] = [
    ("fdatasync p10 µs", |probe| probe.sync_p10_us),
    ("p50 µs", |probe| probe.sync_p50_us),
    ("p99 µs", |probe| probe.sync_p99_us),
    ("three at once /s", |probe| probe.three_syncs_per_s),
    ("round trip µs", |probe| probe.round_trip_us),
    ("echo cpu µs", |probe| probe.echo_cpu_us),
    ("seal cpu µs", |probe| probe.seal_cpu_us),
    ("get cpu µs", |probe| probe.get_cpu_us),
];

/// Table and picture, folded away.
pub fn all(metric: &Measured, out: &mut String) {
    if metric.probes.is_empty() {
        return;
    }
    let _ = write!(out, "<details><summary>{} probes of the machine</summary>\n<div class=\"pictures\">", metric.probes.len());
    plot::draw(&picture(&metric.probes), out);
    let _ = write!(out, "</div><div class=\"scroll\"><table class=\"raw\">\n<thead><tr><th>probe</th>");
    for (name, _) in COLUMNS {
        let _ = write!(out, "<th>{name}</th>");
    }
    let _ = write!(out, "</tr></thead>\n<tbody>\n");
    for (number, probe) in metric.probes.iter().enumerate() {
        let when = if number % 2 == 0 { "before" } else { "after" };
        let _ = write!(out, "<tr><td>{when} round {}</td>", number / 2);
        for (_, read) in COLUMNS {
            let _ = write!(out, "<td>{}</td>", short(read(probe)));
        }
        let _ = writeln!(out, "</tr>");
    }
    let _ = writeln!(out, "</tbody></table></div></details>");
}

/// Each number as a multiple of its first: a machine that stays the same draws flat lines.
fn picture(probes: &[Probe]) -> Plot {
    let series = COLUMNS.iter().filter(|(name, _)| !name.starts_with("p99")).map(|(name, read)| Series {
        name: (*name).to_owned(),
        points: probes
            .iter()
            .enumerate()
            .map(|(number, probe)| (number as f64, read(probe) / read(&probes[0]).max(f64::MIN_POSITIVE)))
            .collect(),
    });
    Plot {
        title: "Probes, as multiples of the first".into(),
        x: "probe".into(),
        y: "times".into(),
        kind: "lines",
        log_x: false,
        log_y: true,
        series: series.collect(),
    }
}
