//! Canaries: what is local to a cluster is found nowhere else.
//!
//! | `:f` | value |
//! | --- | --- |
//! | `plant` | `{:canary id, :home cluster, :scope :local}`, or `:shared` |
//! | `scan` | `{:cluster c, :where :dump, :found [ids]}`: frames, logs, snapshots and dumps, each a `:where` |
//!
//! Both are an `ok` of a client or an `info` line of the harness. A scan that finds no canary at its own home is blind, and proves nothing.

use std::collections::{BTreeMap, BTreeSet};

use super::lines::{Fact, facts};
use super::verdict::Verdict;
use crate::core::{History, Malformed, Value};

/// Checks all scans.
///
/// # Errors
/// A line lacks a part.
pub fn check(history: &History) -> Result<Verdict, Malformed> {
    let mut local: BTreeMap<&Value, (&str, Fact<'_>)> = BTreeMap::new();
    for plant in facts(history, "plant") {
        let (home, scope) = (plant.text("home")?, plant.text("scope")?);
        match scope {
            "local" => drop(local.insert(plant.part("canary")?, (home, plant))),
            "shared" => {}
            other => return Err(plant.malformed(format!("a canary is :local or :shared, not :{other}"))),
        }
    }
    let mut crossed = Vec::new();
    let mut sighted: BTreeSet<&Value> = BTreeSet::new();
    let mut abroad: BTreeSet<&Value> = BTreeSet::new();
    let mut scans = 0;
    for scan in facts(history, "scan") {
        let (cluster, place) = (scan.text("cluster")?, scan.text("where")?);
        let found = scan.part("found")?.as_list().ok_or_else(|| scan.malformed("a scan has a list :found"))?;
        scans += 1;
        for (canary, (home, plant)) in &local {
            let is_found = found.contains(canary);
            if *home == cluster {
                if is_found {
                    sighted.insert(canary);
                }
                continue;
            }
            if plant.place < scan.place {
                abroad.insert(canary);
            }
            if is_found {
                let text = format!("local to {home}, found in a {place} of {cluster}");
                crossed.push(Verdict::invalid(format!("canary {canary}"), text, vec![plant.op.clone(), scan.op.clone()]));
            }
        }
    }
    if !crossed.is_empty() {
        return Ok(Verdict::all("canaries", crossed));
    }
    let blind: Vec<String> = local.keys().filter(|canary| !sighted.contains(*canary)).map(ToString::to_string).collect();
    let unsought: Vec<String> = local.keys().filter(|canary| !abroad.contains(*canary)).map(ToString::to_string).collect();
    Ok(if local.is_empty() {
        Verdict::unknown("canaries", "none were planted")
    } else if !blind.is_empty() {
        Verdict::unknown("canaries", format!("scans are blind: not found even at home: {}", blind.join(" ")))
    } else if !unsought.is_empty() {
        Verdict::unknown("canaries", format!("never looked for away from home: {}", unsought.join(" ")))
    } else {
        Verdict::valid("canaries", format!("{} local canaries stayed at home in {scans} scans", local.len()))
    })
}
