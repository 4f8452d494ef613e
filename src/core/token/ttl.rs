//! How long a token or a lease lives: pure arithmetic, at creation and at each renewal.
//!
//! All of it is in milliseconds since the epoch, and "nothing left" is an error of its own: a TTL of zero, which elsewhere means
//! *for ever*, can never come out of rounding down (the class of CVE-2021-32923).

use serde::{Deserialize, Serialize};

use crate::engine::Mount;
use crate::types::{Timestamp, Ttl};

/// What the mount allows, already resolved against the system's limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// What it gives to those that ask for nothing.
    pub default: Ttl,
    /// What nobody may exceed, counted from issue.
    pub max: Ttl,
}

impl From<&Mount> for Limits {
    fn from(mount: &Mount) -> Self {
        Self { default: mount.default_ttl, max: mount.max_ttl }
    }
}

/// What the role, user or creator of a token or lease fixed for its whole life. Zero: not fixed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// Instead of the mount's default, in seconds.
    #[serde(default)]
    pub default_secs: u64,
    /// A lower maximum than the mount's, counted from issue, in seconds.
    #[serde(default)]
    pub max_secs: u64,
    /// A hard end, counted from issue, in seconds.
    #[serde(default)]
    pub explicit_max_secs: u64,
    /// Renewable for ever, for this long each time, in seconds.
    #[serde(default)]
    pub period_secs: u64,
}

/// What came out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Renewal {
    /// From now on; never zero.
    pub ttl: Ttl,
    /// When it ends.
    pub expires: Timestamp,
    /// What the client should know.
    pub warnings: Vec<String>,
}

/// Nothing is left of the maximum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("past the max TTL, cannot renew")]
pub struct PastMax;

/// How long something that was issued at `issued` may live from `now` on, if its holder asks for `asked` (zero: for nothing special).
///
/// # Errors
/// If less than a second is left.
pub fn grant(limits: Limits, terms: &Terms, asked: Ttl, issued: Timestamp, now: Timestamp) -> Result<Renewal, PastMax> {
    let mut warnings = Vec::new();
    let mut ends: Vec<(Timestamp, u64)> = Vec::new();
    let wanted = if terms.period_secs > 0 {
        if terms.period_secs > limits.max.0 {
            warnings.push(format!(
                "period of {:?} exceeded the effective max_ttl of {:?}; period value is capped accordingly",
                short(Ttl(terms.period_secs)),
                short(limits.max)
            ));
        }
        terms.period_secs.min(limits.max.0)
    } else {
        let max = if terms.max_secs > 0 { terms.max_secs.min(limits.max.0) } else { limits.max.0 };
        if issued == now || !bug!(62) {
            ends.push((issued.plus(Ttl(max)), max));
        }
        [asked.0, terms.default_secs, limits.default.0].into_iter().find(|secs| *secs > 0).unwrap_or(limits.max.0)
    };
    if terms.explicit_max_secs > 0 && (issued == now || !bug!(43)) {
        ends.push((issued.plus(Ttl(terms.explicit_max_secs)), terms.explicit_max_secs));
    }
    let mut expires = now.plus(Ttl(wanted));
    if let Some((end, max)) = ends.into_iter().min()
        && end < expires
    {
        let end = if bug!(20) { end.plus(Ttl(1)) } else { end };
        expires = end;
        if asked.0 > 0 || terms.period_secs > 0 {
            warnings.push(format!(
                "TTL of {:?} exceeded the effective max_ttl of {:?}; TTL value is capped accordingly",
                short(Ttl(wanted)),
                short(Ttl(max))
            ));
        }
    }
    let ttl = Ttl(expires.0.saturating_sub(now.0) / 1000);
    if ttl.0 == 0 {
        return Err(PastMax);
    }
    Ok(Renewal { ttl, expires, warnings })
}

/// `72h` rather than `72h0m0s`.
fn short(ttl: Ttl) -> String {
    let text = ttl.go_string();
    let text = text.strip_suffix("m0s").map_or_else(|| text.clone(), |cut| format!("{cut}m"));
    text.strip_suffix("h0m").map_or_else(|| text.clone(), |cut| format!("{cut}h"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3600;
    const LIMITS: Limits = Limits { default: Ttl(HOUR), max: Ttl(10 * HOUR) };
    const ISSUED: Timestamp = Timestamp(1_000_000_500);

    #[track_caller]
    fn check(terms: Terms, asked: u64, age_ms: u64, expected: Option<(u64, usize)>) {
        let given = grant(LIMITS, &terms, Ttl(asked), ISSUED, Timestamp(ISSUED.0 + age_ms)).ok();
        assert_eq!(given.map(|given| (given.ttl.0, given.warnings.len())), expected, "{terms:?} {asked} {age_ms}");
    }

    #[test]
    fn a_ttl_is_capped_by_the_lowest_maximum() {
        let none = Terms::default();
        check(none, 0, 0, Some((HOUR, 0)));
        check(none, 60, 0, Some((60, 0)));
        check(none, 10 * HOUR, 0, Some((10 * HOUR, 0)));
        check(none, 10 * HOUR + 1, 0, Some((10 * HOUR, 1)));
        check(Terms { default_secs: 30, ..none }, 0, 0, Some((30, 0)));
        check(Terms { max_secs: 50, ..none }, 0, 0, Some((50, 0)));
        check(Terms { max_secs: 50, ..none }, 51, 0, Some((50, 1)));
        check(Terms { max_secs: 100 * HOUR, ..none }, 100 * HOUR, 0, Some((10 * HOUR, 1)));
        check(Terms { explicit_max_secs: 300, ..none }, 1800, 0, Some((300, 1)));
        check(none, u64::MAX, 0, Some((10 * HOUR, 1)));
    }

    #[test]
    fn renewing_counts_from_issue_and_never_gives_zero() {
        let none = Terms::default();
        let max_ms = 10 * HOUR * 1000;
        check(none, 0, max_ms - 2000, Some((2, 0)));
        check(none, 60, max_ms - 1000, Some((1, 1)));
        check(none, 60, max_ms - 999, None);
        check(none, 60, max_ms - 1, None);
        check(none, 60, max_ms, None);
        check(none, 60, max_ms + 1000, None);
        check(Terms { explicit_max_secs: 300, ..none }, 0, 299_000, Some((1, 0)));
        check(Terms { explicit_max_secs: 300, ..none }, 0, 300_000, None);
    }

    #[test]
    fn a_period_has_no_end_but_the_explicit_one() {
        let period = Terms { period_secs: 600, ..Terms::default() };
        check(period, 0, 0, Some((600, 0)));
        check(period, 5, 0, Some((600, 0)));
        check(period, 0, 1000 * HOUR * 1000, Some((600, 0)));
        check(Terms { period_secs: 20 * HOUR, ..period }, 0, 0, Some((10 * HOUR, 1)));
        check(Terms { explicit_max_secs: 700, ..period }, 0, 0, Some((600, 0)));
        check(Terms { explicit_max_secs: 700, ..period }, 0, 200_000, Some((500, 1)));
        check(Terms { explicit_max_secs: 700, ..period }, 0, 700_000, None);
    }

    #[test]
    fn warnings_speak_of_short_durations() {
        let terms = Terms { explicit_max_secs: 300, ..Terms::default() };
        let given = grant(LIMITS, &terms, Ttl(1800), ISSUED, ISSUED).unwrap();
        assert_eq!(given.warnings, ["TTL of \"30m\" exceeded the effective max_ttl of \"5m\"; TTL value is capped accordingly"]);
        assert_eq!(short(Ttl(72 * HOUR)), "72h");
        assert_eq!(short(Ttl(20)), "20s");
        assert_eq!(short(Ttl(630)), "10m30s");
    }
}
