//! Audit before answer: whatever was answered well stands in a device, request and response.
//!
//! Answered: the `ok` lines with a `:request-id`. Audited: `audit`, an `info` line of the harness,
//! `{:request-id id, :type :request, :device d}` or `:response`. That no secret leaves while all devices fail is the same rule.

use std::collections::{BTreeMap, BTreeSet};

use super::lines::facts;
use super::verdict::Verdict;
use crate::core::{History, Malformed, Value, calls};

/// Joins answers and devices.
///
/// # Errors
/// A line lacks a part.
pub fn check(history: &History) -> Result<Verdict, Malformed> {
    let mut audited: BTreeMap<(&Value, &str), BTreeSet<&str>> = BTreeMap::new();
    for entry in facts(history, "audit") {
        let kind = entry.text("type")?;
        audited.entry((entry.part("request-id")?, entry.text("device")?)).or_default().insert(kind);
    }
    let devices: BTreeSet<&str> = audited.keys().map(|(_, device)| *device).collect();
    let mut answered = 0;
    for call in calls(history)? {
        let Some(end) = call.end.filter(|_| call.result().is_some()) else { continue };
        let Some(id) = end.extra.get("request-id") else { continue };
        answered += 1;
        let is_whole =
            |device: &&str| audited.get(&(id, *device)).is_some_and(|kinds| kinds.contains("request") && kinds.contains("response"));
        if !devices.is_empty() && !devices.iter().any(is_whole) {
            let somewhere: BTreeSet<&str> = devices.iter().flat_map(|device| audited.get(&(id, *device))).flatten().copied().collect();
            let text = match somewhere.into_iter().collect::<Vec<_>>().as_slice() {
                [] => "answered, and in no audit device".to_owned(),
                some => format!("answered, and no audit device has all of it: only {}", some.join(" and ")),
            };
            return Ok(Verdict::invalid("audit", text, call.lines().collect()));
        }
    }
    Ok(if answered == 0 || devices.is_empty() {
        Verdict::unknown("audit", format!("{answered} answers with a request id, {} devices with entries", devices.len()))
    } else {
        Verdict::valid("audit", format!("{answered} answers are in one of {} devices", devices.len()))
    })
}
