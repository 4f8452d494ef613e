//! When which fault was in force: shaded bands behind every plot.
//!
//! From the nemesis' lines: `start-KIND` and `stop-KIND` come twice each, before it is done and after. A band reaches from the first
//! to the last, so that putting a fault in force and ending it lie inside. One that was skipped was never in force and has no band.

use std::collections::BTreeMap;

use crate::core::{History, Process, Value};

use super::load::seconds;
use super::svg::{Plot, Time, WIDTH, escape};

/// A fault while it was in force.
#[derive(Debug, Clone, PartialEq)]
pub struct Band {
    /// `partition`, `kill`, …
    pub kind: String,
    /// What exactly: `kill-active`.
    pub mode: String,
    /// The nodes that it befell, as far as it tells names.
    pub victims: Vec<String>,
    /// Mode, cluster and victims, in words.
    pub text: String,
    /// Seconds.
    pub from: f64,
    /// Seconds; the end of the history if it never ended.
    pub to: f64,
}

/// All faults that were in force.
pub fn bands(history: &History) -> Vec<Band> {
    let mut bands: Vec<Band> = Vec::new();
    let mut begun: BTreeMap<(String, String), (f64, Option<usize>)> = BTreeMap::new();
    let end = history.ops.last().map_or(0.0, |op| seconds(op.time));
    for op in history.ops.iter().filter(|op| op.process == Process::Nemesis) {
        let at = seconds(op.time);
        let outcome = op.extra.get("outcome").and_then(Value::as_str);
        if let Some(kind) = op.f.strip_prefix("start-") {
            let key = (kind.to_owned(), op.value.to_string());
            match outcome {
                None => drop(begun.insert(key, (at, None))),
                Some("installed") => {
                    let from = begun.get(&key).map_or(at, |(from, _)| *from);
                    let what = op.extra.get("what").map(|what| format!(": {what}")).unwrap_or_default();
                    begun.insert(key, (from, Some(bands.len())));
                    let (mode, text) = (mode(&op.value), format!("{}{what}", words(&op.value)));
                    let victims = op.extra.get("what").map(names).unwrap_or_default();
                    bands.push(Band { kind: kind.to_owned(), mode, victims, text, from, to: end });
                }
                Some(_) => drop(begun.remove(&key)),
            }
        } else if let (Some(kind), true) = (op.f.strip_prefix("stop-"), outcome.is_some())
            && let Some((_, Some(band))) = begun.remove(&(kind.to_owned(), op.value.to_string()))
        {
            bands[band].to = at;
        }
    }
    bands
}

fn mode(value: &Value) -> String {
    value.as_pair().and_then(|(mode, _)| mode.as_str()).unwrap_or_default().to_owned()
}

fn names(what: &Value) -> Vec<String> {
    let all = what.as_list().unwrap_or(std::slice::from_ref(what));
    all.iter().filter_map(|name| name.as_str()).map(str::to_owned).collect()
}

fn words(value: &Value) -> String {
    match value.as_pair() {
        Some((_, cluster)) => format!("{} in {}", mode(value), cluster.as_str().unwrap_or("?")),
        None => value.to_string(),
    }
}

/// The kinds that there are, each with the number of its colour.
pub fn kinds(bands: &[Band]) -> BTreeMap<&str, usize> {
    let mut kinds: BTreeMap<&str, usize> = bands.iter().map(|band| (band.kind.as_str(), 0)).collect();
    kinds.values_mut().enumerate().for_each(|(number, colour)| *colour = number % COLOURS);
    kinds
}

/// Classes `fault0` and so on in the style sheet.
const COLOURS: usize = 8;

/// Width of a letter of a mode.
const LETTER: f64 = 5.4;

/// The bands of a plot of this height.
pub fn draw(bands: &[Band], time: Time, height: f64) -> String {
    let kinds = kinds(bands);
    let one = |band: &Band| {
        let (x, to) = (time.x(band.from), time.x(band.to));
        let text = escape(&format!("{} · {:.1} s to {:.1} s", band.text, band.from, band.to));
        let class = kinds[band.kind.as_str()];
        let place = format!("x=\"{x:.2}\" y=\"0\" width=\"{:.2}\" height=\"{height:.0}\"", (to - x).max(1.0));
        format!("<rect class=\"band fault{class}\" {place} data-t=\"{text}\"/>")
    };
    bands.iter().map(one).collect()
}

/// Writes the modes at the top of their bands. Bands of different hands overlap: their names have rows of their own, and one that no
/// row has room for is left to the pointer.
pub fn name(bands: &[Band], time: Time, plot: &mut Plot) {
    let mut rows = [0.0_f64; 3];
    for band in bands {
        let (x, width) = (time.x(band.from) + 3.0, band.mode.chars().count() as f64 * LETTER);
        if let Some(row) = rows.iter().position(|taken| *taken <= x)
            && x + width < WIDTH
        {
            plot.note("mode", x, 11.0 + 11.0 * row as f64, &band.mode);
            rows[row] = x + width + LETTER;
        }
    }
}

/// What the colours mean.
pub fn legend(bands: &[Band]) -> String {
    let count = |kind: &str| bands.iter().filter(|band| band.kind == kind).count();
    let item = |(kind, class): (&str, usize)| {
        format!("<span class=\"key\"><i class=\"fault{class}\"></i>{} {}×</span>", escape(kind), count(kind))
    };
    kinds(bands).into_iter().map(item).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{Kind, Op};

    fn line(at: u64, f: &str, outcome: Option<&str>) -> Op {
        let op = Op::new(Kind::Info, Process::Nemesis, f, Value::pair(Value::keyword("kill-all"), "a")).at(at * 1_000_000_000);
        match outcome {
            Some(outcome) => op.with("outcome", Value::keyword(outcome)).with("what", "a1"),
            None => op,
        }
    }

    #[test]
    fn a_band_reaches_from_the_first_line_of_a_fault_to_its_last() {
        let lines = [
            line(1, "start-kill", None),
            line(2, "start-kill", Some("installed")),
            line(5, "stop-kill", None),
            line(6, "stop-kill", Some("installed")),
            line(7, "start-kill", None),
            line(8, "start-kill", Some("skipped")),
            line(9, "start-pause", None),
            line(9, "start-pause", Some("installed")),
            line(12, "heal", None),
        ];
        let bands = bands(&History::from_ops(lines));
        let shown: Vec<(&str, f64, f64)> = bands.iter().map(|band| (band.kind.as_str(), band.from, band.to)).collect();
        assert_eq!(shown, [("kill", 1.0, 6.0), ("pause", 9.0, 12.0)]);
        assert_eq!(bands[0].text, "kill-all in a: \"a1\"");
    }
}
