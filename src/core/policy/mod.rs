//! Who may do what: policies, read from their text, compiled into rules, and asked.
//!
//! Parsing and deciding are pure; [`Policies`] alone reads storage, and keeps what it read until the row changes.
//! Not here: who is calling (`core::token`), which routes need `sudo` (each engine's own table).

mod acl;
mod builtin;
mod cache;
mod capabilities;
mod capability;
mod engine;
mod parameters;
mod parse;
mod pattern;
mod resultant;

pub use acl::{Acl, Decision};
pub use cache::Policies;
pub use capabilities::CapabilitiesEngine;
pub use engine::PolicyEngine;
pub use parse::{Policy, PolicyError};
pub use pattern::glob;

/// Names of policies as they are kept: trimmed, in lower case, sorted, each once, no blanks; `root` swallows all others.
pub fn sanitize(names: Vec<String>) -> Vec<String> {
    let mut names: Vec<String> = names.iter().map(|name| name.trim().to_lowercase()).filter(|name| !name.is_empty()).collect();
    names.sort_unstable();
    names.dedup();
    if names.iter().any(|name| name == builtin::ROOT) { vec![builtin::ROOT.to_owned()] } else { names }
}
