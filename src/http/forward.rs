//! What a standby does with a request: hands it to the active node unread, or sends the client there.

use super::answer::Answer;
use super::{parse, status};
use crate::core::{ActiveNode, Core, ForwardError, RawRequest, RawResponse};

/// Paths that clients are sent to the active node for, because of their size.
const REDIRECTED: &[&str] = &["/v1/sys/storage/raft/snapshot", "/v1/sys/storage/raft/snapshot-force"];

/// What came of handing a request on.
pub enum Handed {
    /// The client's answer.
    Answered(RawResponse),
    /// Nobody could take it, and it may be tried again: the answer to give if that lasts.
    NotYet(RawResponse),
}

/// Hands `raw` on.
pub async fn hand_on(core: &Core, active: Option<&ActiveNode>, raw: RawRequest) -> Handed {
    let Some(active) = active else { return Handed::NotYet(no_active()) };
    let wants_no_forwarding = parse::header(&raw, "x-vault-no-request-forwarding").is_some_and(|value| !value.is_empty());
    let path = raw.uri.split('?').next().unwrap_or_default();
    let to = redirect(&active.member.api_addr, &raw.uri);
    if wants_no_forwarding || REDIRECTED.contains(&path) {
        return Handed::Answered(to.into_raw());
    }
    let token = parse::token(&raw).ok().flatten();
    let only_reads = matches!(raw.method.as_str(), "GET" | "HEAD" | "LIST");
    match core.upstream().to_active(raw).await {
        Ok(response) => Handed::Answered(response),
        Err(error) => {
            tracing::debug!(%error, "the request was not handed on");
            let answer = status::forward(&error).unwrap_or(to).into_raw();
            // Reading twice does no harm, so it may be tried again even where it is not known whether it was done; but not with a
            // token whose uses are counted, which would lose two of them.
            let may_repeat = || bug!(41) || only_reads && !token.is_some_and(|token| core.may_count_uses(&token));
            // Sending the client to a node that does not answer would help nobody until it is known that this lasts.
            if matches!(error, ForwardError::Unknown(_)) && !may_repeat() { Handed::Answered(answer) } else { Handed::NotYet(answer) }
        }
    }
}

fn no_active() -> RawResponse {
    status::forward(&ForwardError::NoActive).unwrap_or_else(|| Answer::error(500, ForwardError::NoActive.to_string())).into_raw()
}

fn redirect(api_addr: &str, uri: &str) -> Answer {
    if api_addr.is_empty() {
        return Answer::error(503, "no active Vault instance found");
    }
    Answer::empty(307).with_header("location", format!("{}{uri}", api_addr.trim_end_matches('/')))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use serde_json::json;

    use super::*;
    use crate::core::testing::TestCore;
    use crate::engine::Operation;

    /// Seen on real nodes: a read through a standby whose active node died took two uses.
    #[tokio::test]
    async fn what_may_have_been_done_is_repeated_only_if_that_changes_nothing() {
        let test = TestCore::new(&[]).await;
        test.upstream.active_dies.store(true, Ordering::Relaxed);
        let made = test.ask(Operation::Update, "auth/token/create", json!({ "num_uses": 3 })).await.unwrap();
        let (counted, plain) = (made.auth.unwrap().client_token.expose().clone(), test.root.expose().clone());
        let active = ActiveNode { id: crate::types::NodeId(2), member: crate::raft::Member::default(), is_voter: true };
        for (method, token, repeats) in [
            ("GET", plain.as_str(), true),
            ("LIST", plain.as_str(), true),
            ("GET", "", true),
            ("GET", counted.as_str(), false),
            ("GET", "hvs.nobody-knows-it", false),
            ("POST", plain.as_str(), false),
        ] {
            let headers = vec![("x-vault-token".to_owned(), token.as_bytes().to_vec())];
            let raw = RawRequest {
                method: method.to_owned(),
                uri: "/v1/auth/token/lookup-self".to_owned(),
                headers,
                body: bytes::Bytes::new(),
                remote: "127.0.0.1".to_owned(),
            };
            let handed = hand_on(&test.core, Some(&active), raw).await;
            assert_eq!(matches!(handed, Handed::NotYet(_)), repeats, "{method} {token}");
        }
    }

    #[test]
    fn a_client_is_sent_to_the_same_path_of_the_active_node() {
        let answer = redirect("https://a:8200/", "/v1/secret/a?list=true");
        assert_eq!((answer.status, answer.header("location")), (307, Some("https://a:8200/v1/secret/a?list=true")));
        assert_eq!(redirect("", "/v1/a").status, 503);
    }
}
