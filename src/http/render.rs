//! The status of an answer, and whether it has a body at all: 200, 202, 204 or 404.

use super::answer::Answer;
use crate::core::Response;
use crate::engine::Operation;

/// Renders what a request to `path` ended in.
pub fn answer(operation: Operation, path: &str, response: Response) -> Answer {
    let index = response.written.map(|written| written.performance.wal.0);
    let answer = body(operation, path, response);
    match index {
        Some(wal) if operation.is_write() && wal > 0 => answer.with_header("x-coffer-wal", wal.to_string()),
        _ => answer,
    }
}

fn body(operation: Operation, path: &str, response: Response) -> Answer {
    if let Some(raw) = response.raw {
        return Answer::bytes(if raw.is_missing { 404 } else { 200 }, raw.content_type, raw.bytes);
    }
    let has_more = response.data.is_some() || response.auth.is_some() || response.wrap_info.is_some() || !response.warnings.is_empty();
    if response.is_missing {
        return if has_more { Answer::json(404, &response.envelope(path)) } else { Answer::errors(404, Vec::new()) };
    }
    if response.is_accepted {
        return if has_more { Answer::json(202, &response.envelope(path)) } else { Answer::empty(202) };
    }
    if !has_more && response.lease_id.is_empty() {
        return match operation {
            Operation::Read | Operation::List => Answer::errors(404, Vec::new()),
            _ => Answer::empty(204),
        };
    }
    Answer::json(200, &response.envelope(path))
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value, json};

    use super::*;
    use crate::core::WrapInfo;

    fn object(value: Value) -> Map<String, Value> {
        let Value::Object(map) = value else { panic!("tests pass objects") };
        map
    }

    #[track_caller]
    fn check(operation: Operation, path: &str, response: Response, status: u16, text: &str) {
        let answer = answer(operation, path, response);
        assert_eq!(answer.status, status);
        assert_eq!(std::str::from_utf8(answer.body()).unwrap().trim_end(), text);
    }

    #[test]
    fn the_envelope_has_its_fields_in_order() {
        let response =
            Response { request_id: "r".into(), mount_type: "kv".into(), data: Some(object(json!({"a": 1}))), ..Response::default() };
        check(
            Operation::Read,
            "secret/a",
            response,
            200,
            r#"{"request_id":"r","lease_id":"","renewable":false,"lease_duration":0,"data":{"a":1},"wrap_info":null,"warnings":null,"auth":null,"mount_type":"kv"}"#,
        );
    }

    #[test]
    fn nothing_is_a_204_for_writes_and_a_404_for_reads() {
        check(Operation::Update, "a", Response::default(), 204, "");
        check(Operation::Delete, "a", Response::default(), 204, "");
        check(Operation::Read, "a", Response { is_missing: true, ..Response::default() }, 404, r#"{"errors":[]}"#);
        check(Operation::List, "a/", Response { is_missing: true, ..Response::default() }, 404, r#"{"errors":[]}"#);
    }

    #[test]
    fn a_deleted_version_is_a_404_with_an_envelope() {
        let response = Response { is_missing: true, data: Some(object(json!({"data": null}))), ..Response::default() };
        let answer = answer(Operation::Read, "secret/data/a", response);
        assert_eq!(answer.status, 404);
        assert!(std::str::from_utf8(answer.body()).unwrap().contains(r#""data":{"data":null}"#));
    }

    #[test]
    fn old_sys_paths_say_everything_twice() {
        let response = || Response { data: Some(object(json!({"term": 1, "auth": 2}))), ..Response::default() };
        let text = |path| String::from_utf8(answer(Operation::Read, path, response()).body().to_vec()).unwrap();
        assert!(text("sys/key-status").contains(r#""mount_type":"","term":1"#));
        assert!(!text("sys/key-status").contains(r#""auth":2,"mount_type""#), "an envelope's own field stands");
        assert!(!text("sys/leases/lookup").contains(r#""mount_type":"","term":1"#));
        assert!(!text("secret/key-status").contains(r#""mount_type":"","term":1"#));
    }

    #[test]
    fn a_wrapped_answer_shows_only_its_token() {
        let wrap = WrapInfo {
            token: "hvs.w".to_owned().into(),
            accessor: "acc".into(),
            ttl: 60,
            creation_time: "t".into(),
            creation_path: "secret/a".into(),
            wrapped_accessor: String::new(),
        };
        let response =
            Response { request_id: "r".into(), data: Some(object(json!({"a": 1}))), wrap_info: Some(wrap), ..Response::default() };
        let text = String::from_utf8(answer(Operation::Read, "secret/a", response).body().to_vec()).unwrap();
        assert!(
            text.starts_with(r#"{"request_id":"","#) && text.contains(r#""data":null"#) && text.contains(r#""token":"hvs.w""#),
            "{text}"
        );
    }
}
