//! Tokens with a number of uses: never more successes than uses, and none lost without a trace.
//!
//! `use` takes `[token limit]`; a `fail` with `:error "exhausted"` is the refusal of a token that has none left. A crash after the use was
//! counted and before the answer burns a use, which is the safe side: so what may have happened counts as used once the token is exhausted.

use super::keyed::by_key;
use super::verdict::Verdict;
use crate::core::{Call, History, Malformed, Op, Outcome, calls};

/// The error of a call whose token has no use left.
pub const EXHAUSTED: &str = "exhausted";

/// Checks each token.
///
/// # Errors
/// A line is no use of a token, or its limit changes.
pub fn check(history: &History) -> Result<Verdict, Malformed> {
    let calls = calls(history)?;
    let mut children = Vec::new();
    for (token, uses) in by_key(&calls, &["use"])? {
        let mut limit = None;
        for one in &uses {
            match (one.argument.as_int().and_then(|limit| usize::try_from(limit).ok()), limit) {
                (Some(said), None) => limit = Some(said),
                (Some(said), Some(limit)) if said == limit => {}
                _ => {
                    return Err(Malformed::new(
                        one.call.began,
                        format!("`use` takes [token limit] with one limit a token, not {}", one.argument),
                    ));
                }
            }
        }
        let calls: Vec<Call<'_>> = uses.iter().map(|one| one.call).collect();
        children.push(one_token(format!("uses of {token}"), &calls, limit.unwrap_or_default()));
    }
    Ok(Verdict::all("uses", children))
}

fn lines(calls: &[Call<'_>]) -> Vec<Op> {
    calls.iter().flat_map(Call::lines).collect()
}

fn one_token(name: String, calls: &[Call<'_>], limit: usize) -> Verdict {
    let of = |outcome| calls.iter().filter(move |call| call.outcome == outcome).copied().collect::<Vec<_>>();
    let (used, unknown) = (of(Outcome::Ok), of(Outcome::Info));
    if used.len() > limit {
        return Verdict::invalid(name, format!("used {} times, with {limit} uses", used.len()), lines(&used));
    }
    let Some(refusal) = calls.iter().filter(|call| call.is_refused_as(EXHAUSTED)).min_by_key(|call| call.ended) else {
        return Verdict::unknown(name, format!("used {} times of {limit}, and never until it was refused", used.len()));
    };
    if let Some(after) = used.iter().find(|call| refusal.is_before(call)) {
        return Verdict::invalid(name, "used after it was refused as exhausted", lines(&[*refusal, *after]));
    }
    // Only what began before the refusal ended can have used it up.
    let spent = used.iter().chain(&unknown).filter(|call| call.began < refusal.ended).count();
    if spent < limit {
        let text = format!("refused as exhausted after at most {spent} of {limit} uses");
        return Verdict::invalid(name, text, lines(&[used, vec![*refusal]].concat()));
    }
    Verdict::valid(name, format!("used {} times of {limit}, {} unknown, then refused", used.len(), unknown.len()))
}
