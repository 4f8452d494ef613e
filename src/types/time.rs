//! Wall time and lengths of time, as the API speaks of them.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Wall time: milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// From whole seconds since the epoch.
    pub fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1000))
    }
    /// Whole seconds since the epoch, rounded down.
    pub fn secs(self) -> u64 {
        self.0 / 1000
    }
    /// This time plus `ttl`, saturating.
    #[must_use]
    pub fn plus(self, ttl: Ttl) -> Self {
        Self(self.0.saturating_add(ttl.0.saturating_mul(1000)))
    }
    /// How long from `earlier` to this; zero if it is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
    /// RFC 3339 in UTC with milliseconds, as in `2026-02-11T08:14:03.511Z`.
    pub fn rfc3339(self) -> String {
        let millis = i64::try_from(self.0).unwrap_or(i64::MAX);
        jiff::Timestamp::from_millisecond(millis).map_or_else(|_| "0001-01-01T00:00:00Z".to_owned(), |at| format!("{at:.3}"))
    }
    /// Reads RFC 3339; `None` if it is not, or lies before 1970.
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        let at: jiff::Timestamp = text.parse().ok()?;
        u64::try_from(at.as_millisecond()).ok().map(Self)
    }
}

/// The wall clock. Timers use `tokio::time`; this is for what is stored and shown.
pub trait Clock: Send + Sync + 'static {
    /// The time now.
    fn now(&self) -> Timestamp;
}

/// The machine's own clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let millis = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        Timestamp(millis.saturating_add_signed(crate::clock_offset_ms!()))
    }
}

/// A time to live, in whole seconds. Zero usually means "the default of the mount".
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Ttl(pub u64);

/// Text that is no length of time.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is not a length of time: use seconds (90) or a duration (1h30m, 45s, 7d)")]
pub struct TtlError(pub String);

impl Ttl {
    /// No time at all, or "not given".
    pub const ZERO: Self = Self(0);

    /// Reads what Vault's clients send: whole seconds (`"90"`) or a Go duration (`1h30m`, `1.5h`, `500ms`, rounded down) plus `d` for days.
    ///
    /// # Errors
    /// If the text is neither, is negative, or does not fit.
    pub fn parse(text: &str) -> Result<Self, TtlError> {
        let wrong = || TtlError(text.chars().take(64).collect());
        let trimmed = text.trim();
        if trimmed.is_empty() {
            return Ok(Self::ZERO);
        }
        if let Ok(secs) = trimmed.parse::<u64>() {
            return Ok(Self(secs));
        }
        let mut rest = trimmed;
        let mut total_ms: f64 = 0.0;
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
            let (number, tail) = rest.split_at(digits);
            let number: f64 = number.parse().map_err(|_| wrong())?;
            let unit_len = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
            let (unit, tail) = tail.split_at(unit_len);
            let unit_ms = match unit {
                "ns" => 1e-6,
                "us" | "µs" => 1e-3,
                "ms" => 1.0,
                "s" => 1e3,
                "m" => 60e3,
                "h" => 3_600e3,
                "d" => 86_400e3,
                _ => return Err(wrong()),
            };
            total_ms += number * unit_ms;
            rest = tail;
        }
        if !total_ms.is_finite() || total_ms > 1e15 {
            return Err(wrong());
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be finite, positive and below 1e15")]
        Ok(Self((total_ms / 1000.0) as u64))
    }

    /// As a standard duration.
    pub fn duration(self) -> Duration {
        Duration::from_secs(self.0)
    }

    /// Go's form, as Vault shows it: `768h0m0s`, `1m30s`, `0s`.
    pub fn go_string(self) -> String {
        let (hours, minutes, secs) = (self.0 / 3600, self.0 / 60 % 60, self.0 % 60);
        match (hours, minutes) {
            (0, 0) => format!("{secs}s"),
            (0, _) => format!("{minutes}m{secs}s"),
            _ => format!("{hours}h{minutes}m{secs}s"),
        }
    }
}

impl fmt::Display for Ttl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.go_string())
    }
}

/// Go's form of a length of time, to the millisecond: `0s`, `87ms`, `1.2s`, `1m15.25s`.
pub fn go_duration(time: Duration) -> String {
    let millis = time.as_millis();
    if millis == 0 {
        return "0s".to_owned();
    }
    if millis < 1000 {
        return format!("{millis}ms");
    }
    let (hours, minutes, secs, rest) = (millis / 3_600_000, millis / 60_000 % 60, millis / 1000 % 60, millis % 1000);
    let fraction = if rest == 0 { String::new() } else { format!(".{rest:03}").trim_end_matches('0').to_owned() };
    match (hours, minutes) {
        (0, 0) => format!("{secs}{fraction}s"),
        (0, _) => format!("{minutes}m{secs}{fraction}s"),
        _ => format!("{hours}h{minutes}m{secs}{fraction}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<u64>) {
        assert_eq!(Ttl::parse(text).ok().map(|ttl| ttl.0), expected, "{text:?}");
    }

    #[test]
    fn ttls_are_read_as_vault_reads_them() {
        check("", Some(0));
        check("90", Some(90));
        check("1h30m", Some(5400));
        check("1.5h", Some(5400));
        check("7d", Some(604_800));
        check("500ms", Some(0));
        check("-1s", None);
        check("1x", None);
        check("h", None);
        check("1e999h", None);
        check("99999999999999999999999h", None);
    }

    #[test]
    fn times_are_shown_in_rfc_3339() {
        let at = Timestamp::parse_rfc3339("2026-02-11T08:14:03.511Z").unwrap();
        assert_eq!(at.rfc3339(), "2026-02-11T08:14:03.511Z");
    }

    #[test]
    fn lengths_of_time_are_shown_as_go_shows_them() {
        for (millis, expected) in
            [(0, "0s"), (87, "87ms"), (1200, "1.2s"), (10_000, "10s"), (75_250, "1m15.25s"), (3_600_007, "1h0m0.007s")]
        {
            assert_eq!(go_duration(Duration::from_millis(millis)), expected);
        }
    }
}
