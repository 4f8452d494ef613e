//! The frame of every plot: escaping, scales, axes, and marks that can be zoomed along the time axis.
//!
//! A plot is an SVG with another inside, whose view box the script narrows to zoom; so marks inside are strokes that do not scale.
//! Widths are in units of the view box, and the page scales the whole.

use std::fmt::Write as _;

/// Of the drawing inside.
pub const WIDTH: f64 = 1000.0;
/// For names at the left.
const LEFT: f64 = 92.0;
/// For times below.
const BELOW: f64 = 22.0;

/// Text that may stand in HTML and in quoted attributes. Control characters, which no browser shows, become dots.
pub fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            '\n' | '\t' => safe.push(letter),
            control if control.is_control() => safe.push('·'),
            other => safe.push(other),
        }
    }
    safe
}

/// Times to places.
#[derive(Debug, Clone, Copy)]
pub struct Time {
    /// Seconds that the width stands for.
    pub span: f64,
}

impl Time {
    /// Where a moment is.
    pub fn x(self, seconds: f64) -> f64 {
        (seconds / self.span).clamp(0.0, 1.0) * WIDTH
    }
}

/// A plot that is being drawn.
#[derive(Debug)]
pub struct Plot {
    name: &'static str,
    height: f64,
    marks: String,
    axis: String,
}

impl Plot {
    /// An empty one, with what lies behind its marks.
    pub fn new(name: &'static str, height: f64, behind: &str) -> Self {
        Self { name, height, marks: behind.to_owned(), axis: String::new() }
    }

    /// A dot: a stroke without a length, so that it stays round when it is zoomed.
    pub fn dot(&mut self, class: &str, x: f64, y: f64, text: &str) {
        let _ = write!(self.marks, "<path class=\"dot {class}\" d=\"M{x:.1} {y:.1}h0\" data-t=\"{}\"/>", escape(text));
    }

    /// A box.
    pub fn rect(&mut self, class: &str, (x, y): (f64, f64), (width, height): (f64, f64), text: &str) {
        let place = format!("x=\"{x:.2}\" y=\"{y:.1}\" width=\"{width:.2}\" height=\"{height:.1}\"");
        let _ = write!(self.marks, "<rect class=\"{class}\" {place} data-t=\"{}\"/>", escape(text));
    }

    /// A box in a colour of its own, as degrees on the wheel.
    pub fn tinted(&mut self, hue: u32, (x, y): (f64, f64), (width, height): (f64, f64), text: &str) {
        let place = format!("x=\"{x:.2}\" y=\"{y:.1}\" width=\"{width:.2}\" height=\"{height:.1}\"");
        let _ = write!(self.marks, "<rect {place} fill=\"hsl({hue} 60% 55%)\" data-t=\"{}\"/>", escape(text));
    }

    /// A line through points; where a point is missing, it is broken.
    pub fn line(&mut self, class: &str, points: impl IntoIterator<Item = Option<(f64, f64)>>) {
        let (mut path, mut is_down) = (String::new(), false);
        for point in points {
            if let Some((x, y)) = point {
                let _ = write!(path, "{}{x:.1} {y:.1}", if is_down { 'L' } else { 'M' });
            }
            is_down = point.is_some();
        }
        if !path.is_empty() {
            let _ = write!(self.marks, "<path class=\"line {class}\" d=\"{path}\"/>");
        }
    }

    /// A word among the marks. The script keeps it from being stretched.
    pub fn note(&mut self, class: &str, x: f64, y: f64, text: &str) {
        let _ = write!(self.marks, "<text class=\"note {class}\" x=\"{x:.1}\" y=\"{y:.1}\">{}</text>", escape(text));
    }

    /// A name at the left.
    pub fn label(&mut self, y: f64, text: &str) {
        let _ = write!(self.axis, "<text class=\"label\" x=\"{:.0}\" y=\"{:.1}\">{}</text>", LEFT - 8.0, y + 4.0, escape(text));
    }

    /// A line across the plot, with its name at the left.
    pub fn level(&mut self, y: f64, text: &str) {
        self.label(y, text);
        let _ = write!(self.axis, "<path class=\"grid\" d=\"M{LEFT} {y:.1}h{WIDTH}\"/>");
    }

    /// The whole, with the times below.
    pub fn finish(self, time: Time) -> String {
        let Self { name, height, marks, axis } = self;
        let (width, total) = (LEFT + WIDTH + 8.0, height + BELOW);
        let times: String = ticks(time.span)
            .into_iter()
            .map(|tick| format!("<text class=\"tick\" x=\"{:.1}\" y=\"{:.0}\">{tick:.0} s</text>", LEFT + time.x(tick), height + 15.0))
            .collect();
        format!(
            "<svg class=\"plot\" id=\"{name}\" viewBox=\"0 0 {width:.0} {total:.0}\" data-height=\"{height:.0}\">\
             <rect class=\"ground\" x=\"{LEFT}\" y=\"0\" width=\"{WIDTH}\" height=\"{height:.0}\"/>{axis}\
             <svg class=\"marks\" x=\"{LEFT}\" y=\"0\" width=\"{WIDTH}\" height=\"{height:.0}\" viewBox=\"0 0 {WIDTH} {height:.0}\" \
             preserveAspectRatio=\"none\">{marks}</svg><g class=\"times\">{times}</g></svg>\n"
        )
    }
}

/// Round moments, some ten of them.
pub fn ticks(span: f64) -> Vec<f64> {
    let steps = [1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0];
    let step = steps.into_iter().find(|step| span / step <= 13.0).unwrap_or(span / 10.0);
    (0..).map(|n| f64::from(n) * step).take_while(|tick| *tick <= span).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_can_leave_its_place() {
        assert_eq!(escape("</script><b a='x' b=\"y\">&\u{0}"), "&lt;/script&gt;&lt;b a=&#39;x&#39; b=&quot;y&quot;&gt;&amp;·");
    }

    #[test]
    fn ticks_are_round_and_few() {
        assert_eq!(ticks(9.5), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]);
        for span in [1.0, 33.0, 61.0, 400.0, 7200.0, 90_000.0] {
            assert!((2..=14).contains(&ticks(span).len()), "{span}: {:?}", ticks(span));
        }
    }

    #[test]
    fn lines_break_where_nothing_is_known() {
        let mut plot = Plot::new("p", 10.0, "");
        plot.line("a", [Some((0.0, 1.0)), Some((1.0, 2.0)), None, Some((3.0, 4.0))]);
        assert!(plot.finish(Time { span: 1.0 }).contains("d=\"M0.0 1.0L1.0 2.0M3.0 4.0\""));
    }
}
