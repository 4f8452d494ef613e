//! The audit file, which all nodes of a simulation write: every request that a client got an answer to stands in it with its answer, and
//! nothing that is secret.

use std::collections::HashSet;
use std::path::Path;

use serde_json::Value;

use crate::clients::Answered;
use crate::kv::LOCAL_VALUE;
use crate::operator::PASSWORD;

/// What begins a service token, and a batch token.
const TOKENS: [&str; 2] = ["hvs.", "hvb."];

/// Looks for answers that are not in `file`, and for what must not be there, `shares` too.
///
/// # Errors
/// With what was found.
pub fn check(file: &Path, answered: &[Answered], shares: &[String]) -> Result<(), String> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("the audit file cannot be read: {error}"))?;
    let secret = TOKENS.iter().copied().chain([LOCAL_VALUE, PASSWORD]).chain(shares.iter().map(String::as_str));
    for secret in secret {
        if let Some(line) = text.lines().find(|line| line.contains(secret)) {
            return Err(format!("{secret} stands in the audit file: {line}"));
        }
    }
    let (mut asked, mut logged) = (HashSet::new(), HashSet::new());
    for line in text.lines() {
        let line: Value = serde_json::from_str(line).map_err(|error| format!("a line of the audit file is no JSON: {error}: {line}"))?;
        let lines = if line["type"] == "response" { &mut logged } else { &mut asked };
        lines.extend(line["request"]["id"].as_str().map(str::to_owned));
    }
    let stands = |one: &Answered| asked.contains(&one.id) && logged.contains(&one.id);
    let missing: Vec<&str> = answered.iter().filter(|one| !stands(one)).map(|one| one.what.as_str()).collect();
    match missing.first() {
        None => Ok(()),
        Some(first) => Err(format!("{} of {} answers do not stand in the audit file: {first}", missing.len(), answered.len())),
    }
}
