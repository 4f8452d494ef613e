//! A run as one HTML page: table with gates, plots, probes, and the raw numbers, all in the file itself. Nothing is loaded from anywhere.
//!
//! It reads the same [`Scoreboard`] that is written as JSON. Light or dark as the reader's system is; narrow screens get one column.

mod axis;
mod pictures;
mod plot;
mod probes;
mod tables;

use std::fmt::Write;

use crate::result::{Measured, Scoreboard};

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// The page.
pub fn render(board: &Scoreboard) -> String {
    let mut out = String::new();
    let title = format!("Coffer scoreboard, {}", board.commit);
    let _ = write!(
        out,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n",
        escaped(&title)
    );
    head(board, &mut out);
    for metric in &board.metrics {
        section(metric, &mut out);
    }
    let raw = serde_json::to_string(board).unwrap_or_default().replace("</", "<\\/");
    let _ = write!(
        out,
        "<footer><p>Every raw number of this page is in it. <button id=\"save\">Save them as JSON</button></p></footer>\n\
         <script type=\"application/json\" id=\"raw\">{raw}</script>\n<script>\n{SCRIPT}</script>\n</body>\n</html>\n"
    );
    out
}

fn head(board: &Scoreboard, out: &mut String) {
    let machine = &board.machine;
    let _ = write!(out, "<header>\n<h1>Coffer scoreboard</h1>\n");
    if board.profile != "release" || board.settings.quick {
        let why = if board.settings.quick { "a quick run: one short round" } else { "built with debug assertions" };
        let _ = writeln!(out, "<p class=\"warning\">These numbers mean nothing: {why}.</p>");
    }
    let _ = writeln!(out, "<dl>");
    let mut fact = |name: &str, text: &str| {
        let _ = writeln!(out, "<div><dt>{}</dt><dd>{}</dd></div>", escaped(name), escaped(text));
    };
    fact("began", &board.began);
    fact("commit", &board.commit);
    fact("machine", &format!("{}, {} cores, {} MiB", machine.cpu, machine.cores, machine.memory_mib));
    fact("kernel, disk", &format!("{}, {}", machine.kernel, machine.disk));
    let settings = &board.settings;
    fact(
        "how",
        &format!(
            "{} nodes, 1 disk; {} rounds of {} s a case; {} keys, {} B values; {}",
            settings.nodes, settings.rounds, settings.seconds, settings.keys, settings.value_bytes, settings.alike
        ),
    );
    for (system, version) in &board.systems {
        fact(system, version);
    }
    let _ = write!(out, "</dl>\n<nav>");
    for metric in &board.metrics {
        let _ = write!(out, "<a href=\"#{}\">{} {}</a> ", escaped(&metric.name), metric.number, escaped(&metric.name));
    }
    let _ = write!(out, "</nav>\n</header>\n");
}

fn section(metric: &Measured, out: &mut String) {
    let _ = writeln!(out, "<section id=\"{}\">\n<h2><span>{}</span> {}</h2>", escaped(&metric.name), metric.number, escaped(&metric.title));
    if let Some(why) = &metric.missing {
        let _ = writeln!(out, "<p class=\"warning\">{}</p>", escaped(why));
    }
    tables::lines(metric, out);
    pictures::all(metric, out);
    let notes = crate::table::notes(metric);
    if !notes.is_empty() {
        let _ = writeln!(out, "<ul class=\"notes\">");
        for note in notes {
            let _ = writeln!(out, "<li>{}</li>", escaped(&note));
        }
        let _ = writeln!(out, "</ul>");
    }
    probes::all(metric, out);
    tables::turns(metric, out);
    let _ = writeln!(out, "</section>");
}

/// A distribution as points (value, share of all up to it), from (value, how many) in any order; values are divided by `unit`.
pub fn shares(counts: &[(u64, u64)], unit: f64) -> Vec<(f64, f64)> {
    let mut sums = std::collections::BTreeMap::<u64, u64>::new();
    for (value, count) in counts {
        *sums.entry(*value).or_default() += count;
    }
    let all: u64 = sums.values().sum();
    let mut seen = 0;
    let share = |(value, count): (u64, u64)| {
        seen += count;
        (value as f64 / unit, seen as f64 / all as f64)
    };
    sums.into_iter().map(share).collect()
}

/// Text as it may stand in HTML.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
