//! What an answer, or the lack of one, says about an operation: it happened, it did not, or nobody knows.
//!
//! The rule: 2xx is ok; a *modelled* refusal is a failure; a server's error, a timeout or a broken connection after sending leaves
//! a mutation open (`info`), while a read, which changes nothing, has failed.

use super::http::{Failure, Reply};

/// What is known of an operation.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// It happened; here is what was answered.
    Ok(Reply),
    /// It did not happen, for this reason.
    Fail(String, Option<Reply>),
    /// It may have happened, or happen yet.
    Info(String, Option<Reply>),
}

impl Outcome {
    /// Sorts an answer. `is_refusal` says which answers of the operation are known to change nothing.
    pub fn of(answer: Result<Reply, Failure>, is_mutation: bool, is_refusal: impl Fn(&Reply) -> bool) -> Self {
        match answer {
            Ok(reply) if (200..300).contains(&reply.status) => Self::Ok(reply),
            Ok(reply) if is_refusal(&reply) || !is_mutation => Self::Fail(explain(&reply), Some(reply)),
            Ok(reply) => Self::Info(explain(&reply), Some(reply)),
            Err(Failure::NotSent(why)) => Self::Fail(why, None),
            Err(Failure::Unknown(why)) if is_mutation => Self::Info(why, None),
            Err(Failure::Unknown(why)) => Self::Fail(why, None),
        }
    }

    /// The answer, if there was one.
    pub fn reply(&self) -> Option<&Reply> {
        match self {
            Self::Ok(reply) => Some(reply),
            Self::Fail(_, reply) | Self::Info(_, reply) => reply.as_ref(),
        }
    }
}

/// Refusals that every operation has: malformed or forbidden, missing, or too old.
pub fn usual_refusal(reply: &Reply) -> bool {
    matches!(reply.status, 400 | 403 | 404 | 405 | 412)
}

/// The status, and what the server said first.
pub fn explain(reply: &Reply) -> String {
    let said = reply.body["errors"][0].as_str().unwrap_or_default();
    let said: String = said.chars().take(160).collect();
    format!("{} {said}", reply.status).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn kind(status: u16, is_mutation: bool) -> &'static str {
        let reply = Reply { status, headers: BTreeMap::new(), body: serde_json::Value::Null };
        name(&Outcome::of(Ok(reply), is_mutation, usual_refusal))
    }

    fn name(outcome: &Outcome) -> &'static str {
        match outcome {
            Outcome::Ok(_) => "ok",
            Outcome::Fail(..) => "fail",
            Outcome::Info(..) => "info",
        }
    }

    #[test]
    fn a_mutation_is_open_unless_the_answer_says_more() {
        assert_eq!(
            [200, 204, 400, 403, 404, 412, 429, 500, 503].map(|status| kind(status, true)),
            ["ok", "ok", "fail", "fail", "fail", "fail", "info", "info", "info"]
        );
        assert_eq!([200, 404, 500, 503].map(|status| kind(status, false)), ["ok", "fail", "fail", "fail"]);
    }

    #[test]
    fn what_was_never_sent_did_not_happen() {
        let not_sent = || Err(Failure::NotSent(String::new()));
        let unknown = || Err(Failure::Unknown(String::new()));
        assert_eq!(name(&Outcome::of(not_sent(), true, usual_refusal)), "fail");
        assert_eq!(name(&Outcome::of(unknown(), true, usual_refusal)), "info");
        assert_eq!(name(&Outcome::of(unknown(), false, usual_refusal)), "fail");
    }
}
