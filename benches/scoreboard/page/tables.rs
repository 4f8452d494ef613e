//! Tables of the page: lines with what is asked of them, and every turn's raw numbers.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::escaped;
use crate::result::{Bar, Line, Measured, Reading};
use crate::table::short;

/// The metric's lines.
pub fn lines(metric: &Measured, out: &mut String) {
    if metric.lines.is_empty() {
        return;
    }
    let peers: BTreeSet<&String> = metric.lines.iter().flat_map(|line| line.peers.keys()).collect();
    let _ = write!(out, "<div class=\"scroll\"><table>\n<thead><tr><th>case</th><th>Coffer</th>");
    for peer in &peers {
        let _ = write!(out, "<th>{0}</th><th>× {0}</th>", escaped(peer));
    }
    let _ = write!(out, "<th>limit</th><th class=\"bars\">gate</th><th class=\"bars\">moonshot</th></tr></thead>\n<tbody>\n");
    for line in &metric.lines {
        let _ = write!(
            out,
            "<tr><th>{} <small>{}</small></th><td class=\"ours\">{}</td>",
            escaped(&line.case),
            escaped(&line.unit),
            reading(Some(&line.coffer))
        );
        for peer in &peers {
            let ratio = line.ratio(peer).map_or_else(String::new, |ratio| format!("{ratio:.2}"));
            let _ = write!(out, "<td>{}</td><td>{ratio}</td>", reading(line.peers.get(*peer)));
        }
        let limit = line.limit.map_or_else(String::new, short);
        let _ = writeln!(
            out,
            "<td>{limit}</td><td class=\"bars\">{}</td><td class=\"bars\">{}</td></tr>",
            bars(line, "gate"),
            bars(line, "moonshot")
        );
    }
    let _ = writeln!(out, "</tbody></table></div>");
}

fn reading(reading: Option<&Reading>) -> String {
    match reading {
        Some(Reading::Value(value)) => short(*value),
        Some(Reading::Not(why)) => format!("<span title=\"{}\">–</span>", escaped(why)),
        None => String::new(),
    }
}

fn bars(line: &Line, name: &str) -> String {
    let shown = |bar: &Bar| {
        let (class, mark) = match bar.passed {
            Some(true) => ("passed", "✓"),
            Some(false) => ("missed", "✗"),
            None => ("open", "?"),
        };
        format!("<span class=\"{class}\">{mark} {}</span>", escaped(&bar.text))
    };
    line.bars.iter().filter(|bar| bar.name == name).map(shown).collect::<Vec<_>>().join(" ")
}

/// Every turn, folded away.
pub fn turns(metric: &Measured, out: &mut String) {
    if metric.turns.is_empty() {
        return;
    }
    let names: BTreeSet<&String> = metric.turns.iter().flat_map(|turn| turn.values.keys()).collect();
    let _ = write!(
        out,
        "<details><summary>{} turns, raw</summary><div class=\"scroll\"><table class=\"raw\">\n<thead><tr><th>round</th><th>system</th><th>case</th>",
        metric.turns.len()
    );
    for name in &names {
        let _ = write!(out, "<th>{}</th>", escaped(name));
    }
    let _ = write!(out, "<th></th></tr></thead>\n<tbody>\n");
    for turn in &metric.turns {
        let class = if turn.void.is_some() { " class=\"void\"" } else { "" };
        let _ = write!(out, "<tr{class}><td>{}</td><td>{}</td><td>{}</td>", turn.round, escaped(&turn.system), escaped(&turn.case));
        for name in &names {
            let _ = write!(out, "<td>{}</td>", turn.values.get(*name).copied().map_or_else(String::new, short));
        }
        let said: Vec<&str> = turn.void.iter().chain(&turn.remarks).map(String::as_str).collect();
        let _ = writeln!(out, "<td>{}</td></tr>", escaped(&said.join("; ")));
    }
    let _ = writeln!(out, "</tbody></table></div></details>");
}
