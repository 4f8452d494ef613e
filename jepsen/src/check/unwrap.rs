//! Wrapping tokens open once: one winner at most, with what was wrapped, and no loser without a winner.
//!
//! `wrap` takes and answers `[token payload]`, where the token is the harness's name for it; `unwrap` takes `[token nil]` and answers
//! `[token payload]`. A `fail` with `:error "gone"` is the refusal of a token that was opened.

use super::keyed::{Keyed, by_key};
use super::verdict::Verdict;
use crate::core::{History, Malformed, Op, Outcome, Value, calls};

/// The error of a token that was opened before.
pub const GONE: &str = "gone";

/// Checks each token.
///
/// # Errors
/// A line is no wrap or unwrap.
pub fn check(history: &History) -> Result<Verdict, Malformed> {
    let calls = calls(history)?;
    let keys = by_key(&calls, &["wrap", "unwrap"])?;
    Ok(Verdict::all("unwrap", keys.iter().map(|(token, calls)| one_token(token, calls)).collect()))
}

fn one_token(token: &Value, calls: &[Keyed<'_>]) -> Verdict {
    let name = format!("unwrap {token}");
    let lines = |calls: &[&Keyed<'_>]| calls.iter().flat_map(|keyed| keyed.call.lines()).collect::<Vec<Op>>();
    let Some(wrap) = calls.iter().find(|keyed| keyed.call.f() == "wrap" && keyed.call.outcome == Outcome::Ok) else {
        return Verdict::unknown(name, "nothing was wrapped");
    };
    let unwraps: Vec<&Keyed<'_>> = calls.iter().filter(|keyed| keyed.call.f() == "unwrap").collect();
    let opened: Vec<&Keyed<'_>> = unwraps.iter().copied().filter(|keyed| keyed.call.outcome == Outcome::Ok).collect();
    if opened.len() > 1 {
        return Verdict::invalid(name, format!("opened {} times", opened.len()), lines(&opened));
    }
    if let Some(other) = opened.iter().find(|keyed| keyed.result != wrap.result) {
        return Verdict::invalid(name, "opened to something else than was wrapped", lines(&[wrap, other]));
    }
    let refusal = unwraps.iter().copied().filter(|keyed| keyed.call.is_refused_as(GONE)).min_by_key(|keyed| keyed.call.ended);
    let may_have_opened = |before: usize| unwraps.iter().any(|keyed| keyed.call.outcome != Outcome::Fail && keyed.call.began < before);
    match (opened.first(), refusal) {
        (_, Some(refused)) if !may_have_opened(refused.call.ended) => {
            Verdict::invalid(name, "refused as gone before anybody can have opened it", lines(&[wrap, refused]))
        }
        (Some(winner), Some(refused)) if refused.call.is_before(&winner.call) => {
            Verdict::invalid(name, "opened after it was refused as gone", lines(&[refused, winner]))
        }
        (Some(_), _) => Verdict::valid(name, format!("opened once of {} attempts", unwraps.len())),
        (None, Some(_)) => Verdict::valid(name, "opened by a call of unknown outcome, refused afterwards"),
        (None, None) => Verdict::unknown(name, "nobody is known to have opened it, or to have been refused"),
    }
}
