//! `sys/health`: which status a kind of health has, and what a probe may make of it.

use crate::core::health::{Health, HealthKind};
use crate::http::answer::Answer;
use crate::http::parse::{Head, parse_flag};

/// The answer to a probe; a HEAD gets the same without a body.
pub fn answer(health: &Health, head: &Head) -> Answer {
    match status(health.kind, |name| head.query(name)) {
        Ok(status) => Answer::json(status, health),
        Err(Wrong::Flag(name)) => Answer::error(400, format!("bad value for {name} parameter")),
        Err(Wrong::Code) => Answer::errors(400, Vec::new()),
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Wrong {
    Flag(&'static str),
    Code,
}

/// Each kind's status and the parameter that changes it.
fn default_of(kind: HealthKind) -> (&'static str, u16) {
    match kind {
        HealthKind::Uninitialized => ("uninitcode", 501),
        HealthKind::Removed => ("removedcode", 530),
        HealthKind::Sealed => ("sealedcode", 503),
        HealthKind::Unhealthy => ("haunhealthycode", 474),
        HealthKind::Standby => ("standbycode", 429),
        HealthKind::Active => ("activecode", 200),
    }
}

const CODES: &[&str] = &[
    "uninitcode",
    "removedcode",
    "sealedcode",
    "haunhealthycode",
    "drsecondarycode",
    "performancestandbycode",
    "standbycode",
    "activecode",
];

fn status<'q>(kind: HealthKind, query: impl Fn(&str) -> Option<&'q str>) -> Result<u16, Wrong> {
    let flag = |name: &'static str| match query(name) {
        None | Some("") => Ok(false),
        Some(text) => parse_flag(text).ok_or(Wrong::Flag(name)),
    };
    let standby_is_fine = flag("standbyok")?;
    flag("perfstandbyok")?;
    let code = |name: &str| match query(name) {
        None | Some("") => Ok(None),
        Some(text) => text.parse::<u16>().ok().filter(|code| (100..1000).contains(code)).map(Some).ok_or(Wrong::Code),
    };
    for name in CODES {
        code(name)?;
    }
    let kind = if kind == HealthKind::Standby && standby_is_fine { HealthKind::Active } else { kind };
    let (name, usual) = default_of(kind);
    Ok(code(name)?.unwrap_or(usual))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(kind: HealthKind, query: &[(&str, &'static str)], expected: Result<u16, Wrong>) {
        let got = status(kind, |name| query.iter().find(|(key, _)| *key == name).map(|(_, value)| *value));
        assert_eq!(got, expected, "{kind:?} {query:?}");
    }

    #[test]
    fn probes_choose_their_codes() {
        check(HealthKind::Active, &[], Ok(200));
        check(HealthKind::Standby, &[], Ok(429));
        check(HealthKind::Sealed, &[], Ok(503));
        check(HealthKind::Uninitialized, &[], Ok(501));
        check(HealthKind::Standby, &[("standbyok", "true")], Ok(200));
        check(HealthKind::Standby, &[("standbyok", "true"), ("activecode", "204")], Ok(204));
        check(HealthKind::Standby, &[("standbyok", "")], Ok(429));
        check(HealthKind::Unhealthy, &[("standbyok", "true")], Ok(474));
        check(HealthKind::Sealed, &[("sealedcode", "299"), ("standbycode", "298")], Ok(299));
        check(HealthKind::Active, &[("standbyok", "maybe")], Err(Wrong::Flag("standbyok")));
        check(HealthKind::Active, &[("sealedcode", "x")], Err(Wrong::Code));
        check(HealthKind::Active, &[("activecode", "9")], Err(Wrong::Code));
    }
}
