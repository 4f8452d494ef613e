//! The scoreboard on a terminal.

use crate::result::{Line, Measured, Reading, Scoreboard};

/// A number as short as it can be understood.
pub fn short(value: f64) -> String {
    match value.abs() {
        _ if value == 0.0 => "0".into(),
        size if size >= 10_000.0 => format!("{:.1}k", value / 1000.0),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => trimmed(format!("{value:.1}")),
        size if size >= 0.1 => trimmed(format!("{value:.2}")),
        _ => trimmed(format!("{value:.4}")),
    }
}

fn trimmed(text: String) -> String {
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// What was compared, and where.
pub fn heading(board: &Scoreboard) -> String {
    let mut out = String::new();
    for (name, version) in &board.systems {
        out += &format!("{name:<8} {version}\n");
    }
    out += &format!(
        "{} · {} cores · {} · {}\n3 nodes, 1 disk · {}\n",
        board.machine.cpu, board.machine.cores, board.machine.kernel, board.machine.disk, board.settings.alike
    );
    out
}

/// The table of a metric.
pub fn section(metric: &Measured) -> String {
    let head = ["", "coffer", "openbao", "etcd", "limit", "x openbao", "x etcd", "gate", "moonshot"].map(String::from);
    let mut out = format!("\n{:>2}  {} ({})\n", metric.number, metric.title, metric.name);
    if let Some(why) = &metric.missing {
        out += &format!("    {why}\n");
    }
    if !metric.lines.is_empty() {
        out += &columns(&head, &metric.lines.iter().map(cells).collect::<Vec<_>>());
    }
    for note in notes(metric) {
        out += &format!("    {note}\n");
    }
    out
}

/// Notes, and why numbers are missing.
pub fn notes(metric: &Measured) -> Vec<String> {
    let mut notes = metric.notes.clone();
    for line in &metric.lines {
        for (system, reading) in line.peers.iter().map(|(name, reading)| (name.as_str(), reading)).chain([("coffer", &line.coffer)]) {
            if let Reading::Not(why) = reading {
                // Said once, not for each case.
                let of = if why.starts_with("missing") { String::new() } else { format!("{}, ", line.case) };
                let note = format!("{of}{system}: {why}");
                if !notes.contains(&note) {
                    notes.push(note);
                }
            }
        }
    }
    notes
}

fn cells(line: &Line) -> [String; 9] {
    let show = |reading: Option<&Reading>| match reading {
        Some(Reading::Value(value)) => short(*value),
        Some(Reading::Not(_)) => "–".into(),
        None => String::new(),
    };
    let bar = |name: &str| match line.bars.iter().filter(|bar| bar.name == name).collect::<Vec<_>>().as_slice() {
        [] => String::new(),
        bars => bars
            .iter()
            .map(|bar| {
                let mark = match bar.passed {
                    Some(true) => "✓",
                    Some(false) => "✗",
                    None => "?",
                };
                format!("{} {mark}", bar.text)
            })
            .collect::<Vec<_>>()
            .join(", "),
    };
    let ratio = |system: &str| line.ratio(system).map_or_else(String::new, |ratio| format!("{ratio:.2}"));
    [
        format!("{}, {}", line.case, line.unit),
        show(Some(&line.coffer)),
        show(line.peers.get("openbao")),
        show(line.peers.get("etcd")),
        line.limit.map_or_else(String::new, short),
        ratio("openbao"),
        ratio("etcd"),
        bar("gate"),
        bar("moonshot"),
    ]
}

fn columns(head: &[String; 9], rows: &[[String; 9]]) -> String {
    let width = |column: usize| rows.iter().chain([head]).map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let mut out = String::new();
    for row in [head].into_iter().chain(rows) {
        let mut line = String::from("   ");
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let space = " ".repeat(width - cell.chars().count());
            let is_text = column == 0 || column >= 7;
            line += &if is_text { format!(" {cell}{space} ") } else { format!(" {space}{cell} ") };
        }
        out += line.trim_end();
        out.push('\n');
    }
    out
}
