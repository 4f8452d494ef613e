//! Axes: where a value stands, and which values are worth a line. Pure.

/// How values are spread over an axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Spread {
    Even,
    /// By powers of ten.
    Powers,
    /// Shares of all: 90 %, 99 % and 99.9 % stand equally far apart.
    Nines,
}

/// An axis from one value to another, `length` units long.
#[derive(Clone, Copy, Debug)]
pub struct Axis {
    spread: Spread,
    from: f64,
    to: f64,
    length: f64,
}

/// What stands beside a line of the grid.
pub type Tick = (f64, String);

impl Axis {
    /// An axis that holds all `values`, with round ends.
    pub fn of(spread: Spread, values: impl Iterator<Item = f64>, length: f64) -> Self {
        let usable = values.filter(|value| value.is_finite() && (spread != Spread::Powers || *value > 0.0));
        let (low, high) = usable.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
        let (low, high) = if low > high { (0.0, if spread == Spread::Nines { 0.99 } else { 1.0 }) } else { (low, high) };
        let (from, to) = match spread {
            Spread::Even => {
                let step = step((high - low.min(0.0)).max(f64::MIN_POSITIVE) / 5.0);
                let low = if low >= 0.0 { 0.0 } else { (low / step).floor() * step };
                (low, ((high / step).ceil() * step).max(step))
            }
            Spread::Powers => {
                let (low, high) = (low.max(1e-9), high.max(1e-9));
                (round_down(low), round_up(high.max(low * 1.001)))
            }
            Spread::Nines => (0.0, nines(high).max(2.0)),
        };
        Self { spread, from, to, length }
    }

    /// How far from the beginning `value` stands; what lies outside stands at the end.
    pub fn place(&self, value: f64) -> f64 {
        let share = match self.spread {
            Spread::Even => (value - self.from) / (self.to - self.from),
            Spread::Powers => (value.max(self.from) / self.from).ln() / (self.to / self.from).ln(),
            Spread::Nines => nines(value) / self.to,
        };
        share.clamp(0.0, 1.0) * self.length
    }

    /// Values for lines of the grid, with their names.
    pub fn ticks(&self) -> Vec<Tick> {
        match self.spread {
            Spread::Even => {
                let step = step((self.to - self.from) / 5.0);
                let count = ((self.to - self.from) / step).round() as u32;
                let name = |n: u32| self.from + f64::from(n) * step;
                (0..=count).map(|n| (name(n), crate::table::short(name(n)))).collect()
            }
            Spread::Powers => {
                let decades = (self.to / self.from).log10();
                let steps: &[f64] = if decades > 4.0 {
                    &[1.0]
                } else if decades > 2.0 {
                    &[1.0, 3.0]
                } else {
                    &[1.0, 2.0, 5.0]
                };
                let first = self.from.log10().floor() as i32;
                let all = (first..first + 20).flat_map(|power| steps.iter().map(move |step| step * 10_f64.powi(power)));
                let is_inside = |value: &f64| *value >= self.from * 0.999 && *value <= self.to * 1.001;
                all.filter(is_inside).map(|value| (value, crate::table::short(value))).collect()
            }
            Spread::Nines => {
                let all = [0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999];
                let names = ["50 %", "90 %", "99 %", "99.9 %", "99.99 %", "99.999 %"];
                all.into_iter()
                    .zip(names)
                    .filter(|(share, _)| nines(*share) <= self.to)
                    .map(|(share, name)| (share, name.to_owned()))
                    .collect()
            }
        }
    }
}

/// 0.9 is 1, 0.99 is 2.
fn nines(share: f64) -> f64 {
    -(1.0 - share).max(1e-7).log10()
}

/// The round number next to `about`: 1, 2 or 5 times a power of ten.
fn step(about: f64) -> f64 {
    let power = 10_f64.powf(about.log10().floor());
    let head = about / power;
    let round = if head < 1.5 {
        1.0
    } else if head < 3.5 {
        2.0
    } else if head < 7.5 {
        5.0
    } else {
        10.0
    };
    round * power
}

fn round_down(value: f64) -> f64 {
    let power = 10_f64.powf(value.log10().floor());
    let head = value / power;
    power
        * if head >= 5.0 {
            5.0
        } else if head >= 2.0 {
            2.0
        } else {
            1.0
        }
}

fn round_up(value: f64) -> f64 {
    let power = 10_f64.powf(value.log10().floor());
    let head = value / power;
    power
        * if head > 5.0 {
            10.0
        } else if head > 2.0 {
            5.0
        } else if head > 1.0 {
            2.0
        } else {
            1.0
        }
}
