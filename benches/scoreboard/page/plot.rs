//! One picture as SVG, with its legend as HTML so that it wraps on narrow screens.

use std::fmt::Write;

use super::axis::{Axis, Spread};
use super::escaped;
use crate::result::{Plot, Series};

/// The picture's units; it is as wide as its column.
const WIDTH: f64 = 480.0;
const HEIGHT: f64 = 270.0;
const LEFT: f64 = 52.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 42.0;
/// Points from which on a line has no dots.
const DOTS_MAX: usize = 24;
/// Colours there are in the style sheet.
const COLOURS: usize = 7;

/// Draws `plot`; nothing if it has no points.
pub fn draw(plot: &Plot, out: &mut String) {
    let series: Vec<&Series> = plot.series.iter().filter(|series| !series.points.is_empty()).collect();
    if series.is_empty() {
        return;
    }
    let is_distribution = plot.kind == "distribution";
    // A distribution is drawn with shares across and values up, so that its tail is what is wide.
    let turned = |(x, y): (f64, f64)| if is_distribution { (y, x) } else { (x, y) };
    let lines: Vec<Vec<(f64, f64)>> = series
        .iter()
        .map(|series| {
            let mut points: Vec<(f64, f64)> = series.points.iter().copied().map(turned).collect();
            if is_distribution {
                // The least is that of the first of all, so that even one alone is a line.
                points.insert(0, (0.0, points[0].1));
            }
            thinned(points)
        })
        .collect();
    let spread = |is_log: bool| if is_log { Spread::Powers } else { Spread::Even };
    let (across, up) = if is_distribution { (Spread::Nines, spread(plot.log_x)) } else { (spread(plot.log_x), spread(plot.log_y)) };
    let below_all = |share: f64| if is_distribution && share >= 1.0 { f64::NAN } else { share };
    let x = Axis::of(across, lines.iter().flatten().map(|(x, _)| below_all(*x)), WIDTH - LEFT - RIGHT);
    let y = Axis::of(up, lines.iter().flatten().map(|(_, y)| *y), HEIGHT - TOP - BOTTOM);
    let (x_name, y_name) = if is_distribution { (&plot.y, &plot.x) } else { (&plot.x, &plot.y) };

    let _ = write!(out, "<figure>\n<figcaption>{}</figcaption>\n", escaped(&plot.title));
    legend(&series, out);
    let _ = writeln!(out, "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">", escaped(&plot.title));
    grid(&x, &y, x_name, y_name, out);
    for (number, (series, points)) in series.iter().zip(&lines).enumerate() {
        let at = |(px, py): &(f64, f64)| (LEFT + x.place(*px), HEIGHT - BOTTOM - y.place(*py));
        let path: Vec<String> = points.iter().map(|point| format!("{:.1},{:.1}", at(point).0, at(point).1)).collect();
        let class = format!("s{}", number % COLOURS);
        let _ =
            writeln!(out, "<polyline class=\"{class}\" points=\"{}\"><title>{}</title></polyline>", path.join(" "), escaped(&series.name));
        for point in points.iter().filter(|_| points.len() <= DOTS_MAX && !is_distribution) {
            let (cx, cy) = at(point);
            let said = format!("{}: {} {}, {} {}", series.name, short(point.0), x_name, short(point.1), y_name);
            let _ =
                writeln!(out, "<circle class=\"{class}\" cx=\"{cx:.1}\" cy=\"{cy:.1}\" r=\"3\"><title>{}</title></circle>", escaped(&said));
        }
    }
    let _ = write!(out, "</svg>\n</figure>\n");
}

fn short(value: f64) -> String {
    crate::table::short(value)
}

fn legend(series: &[&Series], out: &mut String) {
    let _ = write!(out, "<p class=\"legend\">");
    for (number, series) in series.iter().enumerate() {
        let _ = write!(out, "<span><i class=\"s{}\"></i>{}</span> ", number % COLOURS, escaped(&series.name));
    }
    let _ = writeln!(out, "</p>");
}

fn grid(x: &Axis, y: &Axis, x_name: &str, y_name: &str, out: &mut String) {
    let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
    for (value, name) in y.ticks() {
        let at = bottom - y.place(value);
        let _ = writeln!(
            out,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/><text class=\"end\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            LEFT - 6.0,
            at + 4.0,
            escaped(&name)
        );
    }
    let mut free = 0.0;
    for (value, name) in x.ticks() {
        let at = LEFT + x.place(value);
        let _ = writeln!(out, "<line class=\"grid\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{TOP}\" y2=\"{bottom}\"/>");
        // Names that would touch the one before are left out.
        let half = name.chars().count() as f64 * 3.6;
        if at - half >= free {
            let _ = writeln!(
                out,
                "<text class=\"middle\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                at.min(right - half),
                bottom + 16.0,
                escaped(&name)
            );
            free = at + half + 6.0;
        }
    }
    let _ = writeln!(
        out,
        "<text class=\"end name\" x=\"{right}\" y=\"{:.1}\">{}</text><text class=\"name\" x=\"4\" y=\"{:.1}\">{}</text>",
        HEIGHT - 8.0,
        escaped(x_name),
        HEIGHT - 8.0,
        escaped(&format!("↑ {y_name}"))
    );
}

/// At most a few hundred points: the first and last of each small stretch, so that steps stay steps.
fn thinned(points: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    const MOST: usize = 400;
    if points.len() <= MOST {
        return points;
    }
    let each = points.len().div_ceil(MOST / 2);
    let chunks = points.chunks(each);
    chunks.flat_map(|chunk| [chunk[0], chunk[chunk.len() - 1]]).collect()
}
