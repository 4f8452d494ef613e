//! A policy's change holds from its acknowledgement on: a register over `:allow` and `:deny`, linearizable.
//!
//! `set` takes `[policy :allow]` or `[policy :deny]`; `probe` takes `[policy nil]` and answers what a request that the policy decides was
//! told. A policy begins as `:deny`.

use super::verdict::Verdict;
use super::wgl::{self, Limits, Objects, Register};
use crate::core::{History, Malformed, Value};

/// Checks each policy.
///
/// # Errors
/// A line is no `set` or `probe`.
pub fn check(history: &History, limits: Limits) -> Result<Verdict, Malformed> {
    let renamed = |f: &str| match f {
        "set" => "write".to_owned(),
        "probe" => "read".to_owned(),
        // Nothing of another workload.
        other => format!("other-{other}"),
    };
    let mut register = history.clone();
    for op in &mut register.ops {
        op.f = renamed(&op.f);
    }
    let mut verdict = wgl::check("policy", &register, &Register { initial: Value::keyword("deny") }, Objects::PerKey, limits)?;
    restore(&mut verdict);
    Ok(verdict)
}

/// Witnesses as they were recorded.
fn restore(verdict: &mut Verdict) {
    for op in &mut verdict.witness {
        op.f = match op.f.as_str() {
            "write" => "set".to_owned(),
            "read" => "probe".to_owned(),
            other => other.to_owned(),
        };
    }
    verdict.children.iter_mut().for_each(restore);
}
