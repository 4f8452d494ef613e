//! The one table from refusals to HTTP statuses and texts.
//!
//! Three answers are kept apart: *refused* (4xx, or 503 where trying again may help), *failed* (500), and *unknown* (500 with a text
//! that says that the write may have happened). What is ours to know goes to the log, not to the client.

use super::answer::Answer;
use crate::core::{ForwardError, Refused, WriteError};
use crate::engine::EngineError;

/// The status and the texts for a refusal. `has_token`: whether the client showed a token at all, which changes the text of a 403.
pub fn answer(refused: &Refused, has_token: bool) -> Answer {
    let (status, errors) = match refused {
        Refused::Denied if !has_token => (403, vec!["permission denied".to_owned()]),
        _ => table(refused),
    };
    // A moment without an active node is no failure of ours, and standbys would say it for every request.
    if status == 500 && !matches!(refused, Refused::NoActive | Refused::Engine(EngineError::AsFailure(_))) {
        tracing::error!(error = %chain(refused), "a request failed");
    }
    Answer::errors(status, errors)
}

/// Status and texts for a refusal of someone who showed a token.
pub fn table(refused: &Refused) -> (u16, Vec<String>) {
    match refused {
        Refused::Sealed => one(503, refused),
        Refused::NoActive => one(500, refused),
        Refused::Denied => (403, vec![listed("permission denied")]),
        Refused::BadToken => (403, vec!["2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n".to_owned()]),
        Refused::NoRoute(text) => (404, vec![text.clone()]),
        Refused::Engine(error) => engine(error),
        Refused::Write(error) => write(error),
        Refused::Audit => (500, vec!["internal error".to_owned()]),
        Refused::AuditResponse => one(500, refused),
        Refused::Upstream { status, errors } => (*status, errors.clone()),
        Refused::UpstreamUnreachable { text, may_have_happened } => (if *may_have_happened { 500 } else { 503 }, vec![text.clone()]),
        Refused::TooMany(text) => (429, vec![text.clone()]),
    }
}

fn engine(error: &EngineError) -> (u16, Vec<String>) {
    match error {
        EngineError::Invalid(_) | EngineError::BadLogin { .. } => one(400, error),
        EngineError::Forbidden(_) => one(403, error),
        EngineError::Denied => (403, vec![listed("permission denied")]),
        EngineError::Unsupported => (405, vec![listed("unsupported operation")]),
        EngineError::NotFound(text) if text.is_empty() => (404, Vec::new()),
        EngineError::NotFound(text) if text == "unsupported path" => (404, vec![listed(text)]),
        EngineError::NotFound(_) => one(404, error),
        EngineError::Unavailable(_) => one(503, error),
        EngineError::AsFailure(text) => (500, vec![listed(text)]),
        EngineError::Barrier(_) | EngineError::Internal(_) => (500, vec![listed("internal error")]),
    }
}

fn write(error: &WriteError) -> (u16, Vec<String>) {
    use crate::core::CommitError;
    match error {
        WriteError::Sealed(_) => one(503, error),
        WriteError::Conflict => one(503, error),
        WriteError::Refused(_) => one(503, error),
        WriteError::Commit(CommitError::NotLeader { .. }) => one(503, error),
        WriteError::Commit(CommitError::TooLarge { .. }) => one(413, error),
        WriteError::Commit(CommitError::Unknown) => one(500, error),
        WriteError::Barrier(_) => (500, vec![listed("internal error")]),
        WriteError::Engine(error) => engine(error),
    }
}

/// The answer of a standby that could not hand a request on; `None` where the client may go to the active node itself.
pub fn forward(error: &ForwardError) -> Option<Answer> {
    match error {
        ForwardError::NoActive => Some(Answer::error(500, error.to_string())),
        ForwardError::Unreachable(_) | ForwardError::Refused(_) => None,
        ForwardError::Unknown(_) if bug!(132) => None,
        ForwardError::Unknown(detail) => {
            tracing::warn!(%detail, "the outcome of a forwarded request is not known");
            Some(Answer::error(
                500,
                "the connection to the active node broke: the outcome of the request is not known, it may or may not have happened",
            ))
        }
    }
}

fn one(status: u16, error: &impl ToString) -> (u16, Vec<String>) {
    (status, vec![error.to_string()])
}

/// The shape in which some texts are known to clients: a list of one.
fn listed(text: &str) -> String {
    format!("1 error occurred:\n\t* {text}\n\n")
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        source = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::CommitError;

    #[track_caller]
    fn check(refused: Refused, status: u16, part: &str) {
        let (got, errors) = table(&refused);
        assert_eq!(got, status, "{refused:?}");
        assert!(errors.concat().contains(part), "{errors:?}");
    }

    #[test]
    fn each_refusal_has_its_status() {
        check(Refused::Sealed, 503, "Vault is sealed");
        check(Refused::NoActive, 500, "local node not active but active cluster node not found");
        check(Refused::Denied, 403, "1 error occurred:\n\t* permission denied\n\n");
        check(Refused::NoRoute("no handler for route \"x\"".into()), 404, "no handler");
        check(EngineError::Invalid("bad ttl".into()).into(), 400, "bad ttl");
        check(EngineError::BadLogin { is_known: true }.into(), 400, "invalid username");
        check(EngineError::AsFailure("no token found").into(), 500, "1 error occurred:\n\t* no token found\n\n");
        check(EngineError::Unsupported.into(), 405, "1 error occurred:\n\t* unsupported operation\n\n");
        check(EngineError::NotFound("unsupported path".into()).into(), 404, "1 error occurred:\n\t* unsupported path\n\n");
        check(EngineError::NotFound(String::new()).into(), 404, "");
        check(WriteError::Commit(CommitError::NotLeader { leader: None }).into(), 503, "leader");
        check(WriteError::Commit(CommitError::TooLarge { bytes: 9 }).into(), 413, "9 bytes");
        check(Refused::Audit, 500, "internal error");
        check(Refused::TooMany("slow down".into()), 429, "slow down");
        check(Refused::Upstream { status: 418, errors: vec!["tea".into()] }, 418, "tea");
    }

    #[test]
    fn an_unknown_outcome_says_so() {
        check(WriteError::Commit(CommitError::Unknown).into(), 500, "may or may not happen");
        check(Refused::UpstreamUnreachable { text: "not known".into(), may_have_happened: true }, 500, "not known");
        check(Refused::UpstreamUnreachable { text: "no way".into(), may_have_happened: false }, 503, "no way");
    }

    #[test]
    fn what_is_ours_to_know_is_not_told() {
        let (_, errors) = table(&EngineError::Internal("sys/token/id/abc is broken".into()).into());
        assert!(!errors.concat().contains("abc"), "{errors:?}");
    }
}
