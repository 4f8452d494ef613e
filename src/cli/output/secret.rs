//! An envelope as a table, and one field of it.
//!
//! Order of rows: lease, token, wrapping, then the members of `data` sorted by name.
//! Not here: JSON and YAML.

use serde_json::{Map, Value};

use super::table::{key_value, rows_of};
use super::value::{cell, go_text, go_time, human_time, quoted_list};

/// The table of an envelope; empty if there is nothing to show.
pub fn table(envelope: &Map<String, Value>) -> String {
    let rows = rows(envelope);
    if rows.is_empty() { String::new() } else { key_value(rows) }
}

fn rows(envelope: &Map<String, Value>) -> Vec<(String, String)> {
    let mut rows = Vec::new();
    let lease_id = envelope.get("lease_id").and_then(Value::as_str).unwrap_or_default();
    let lease_duration = envelope.get("lease_duration").and_then(Value::as_i64).unwrap_or(0);
    if !lease_id.is_empty() {
        rows.push(("lease_id".to_owned(), lease_id.to_owned()));
        rows.push(("lease_duration".to_owned(), human_time(lease_duration)));
        rows.push(("lease_renewable".to_owned(), go_text(envelope.get("renewable").unwrap_or(&Value::Bool(false)))));
    } else if lease_duration > 0 {
        rows.push(("refresh_interval".to_owned(), human_time(lease_duration)));
    }
    if let Some(auth) = envelope.get("auth").and_then(Value::as_object) {
        rows.extend(auth_rows(auth));
    }
    if let Some(wrap) = envelope.get("wrap_info").and_then(Value::as_object) {
        rows.extend(wrap_rows(wrap));
    }
    if let Some(members) = envelope.get("data").and_then(Value::as_object) {
        rows.extend(rows_of(members));
    }
    rows
}

fn auth_rows(auth: &Map<String, Value>) -> Vec<(String, String)> {
    let text = |name: &str| auth.get(name).filter(|value| !value.is_null()).map(go_text).unwrap_or_default();
    if auth.get("mfa_requirement").is_some_and(Value::is_object) {
        return mfa_rows(&auth["mfa_requirement"]);
    }
    let duration = auth.get("lease_duration").and_then(Value::as_i64).unwrap_or(0);
    let mut rows = vec![
        ("token".to_owned(), text("client_token")),
        ("token_accessor".to_owned(), text("accessor")),
        ("token_duration".to_owned(), if duration == 0 { "∞".to_owned() } else { human_time(duration) }),
        ("token_renewable".to_owned(), go_text(auth.get("renewable").unwrap_or(&Value::Bool(false)))),
        ("token_policies".to_owned(), quoted_list(auth.get("token_policies"))),
        ("identity_policies".to_owned(), quoted_list(auth.get("identity_policies"))),
        ("policies".to_owned(), quoted_list(auth.get("policies"))),
    ];
    if let Some(metadata) = auth.get("metadata").and_then(Value::as_object) {
        let mut meta: Vec<(String, String)> = metadata.iter().map(|(name, value)| (format!("token_meta_{name}"), go_text(value))).collect();
        meta.sort();
        rows.extend(meta);
    }
    rows
}

fn mfa_rows(requirement: &Value) -> Vec<(String, String)> {
    let mut rows = vec![("mfa_request_id".to_owned(), requirement.get("mfa_request_id").map(go_text).unwrap_or_default())];
    if let Some(constraints) = requirement.get("mfa_constraints").and_then(Value::as_object) {
        for (name, constraint) in constraints {
            for method in constraint.get("any").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default() {
                let kind = method.get("type").map(go_text).unwrap_or_default();
                rows.push((format!("mfa_constraint_{name}_{kind}_id"), method.get("id").map(go_text).unwrap_or_default()));
            }
        }
    }
    rows
}

fn wrap_rows(wrap: &Map<String, Value>) -> Vec<(String, String)> {
    let text = |name: &str| wrap.get(name).filter(|value| !value.is_null()).map(go_text).unwrap_or_default();
    let mut rows = vec![
        ("wrapping_token:".to_owned(), text("token")),
        ("wrapping_accessor:".to_owned(), text("accessor")),
        ("wrapping_token_ttl:".to_owned(), wrap.get("ttl").map(|ttl| cell("ttl", ttl)).unwrap_or_default()),
        ("wrapping_token_creation_time:".to_owned(), go_time(&text("creation_time"))),
        ("wrapping_token_creation_path:".to_owned(), text("creation_path")),
    ];
    if !text("wrapped_accessor").is_empty() {
        rows.push(("wrapped_accessor:".to_owned(), text("wrapped_accessor")));
    }
    rows
}

/// One field of an envelope: by the names the table shows, else a member of `data`.
pub fn field(envelope: &Map<String, Value>, name: &str) -> Option<Value> {
    let within =
        |section: &str, member: &str| envelope.get(section).and_then(|value| value.get(member)).filter(|value| !value.is_null()).cloned();
    let members = envelope.get("data").and_then(Value::as_object);
    let special = match name {
        "token" => within("auth", "client_token"),
        "token_accessor" => within("auth", "accessor"),
        "token_duration" => within("auth", "lease_duration"),
        "token_renewable" => within("auth", "renewable"),
        "token_policies" | "identity_policies" | "policies" => within("auth", name),
        "wrapping_token" => within("wrap_info", "token"),
        "wrapping_accessor" => within("wrap_info", "accessor"),
        "wrapping_token_ttl" => within("wrap_info", "ttl"),
        "wrapping_token_creation_time" => within("wrap_info", "creation_time"),
        "wrapping_token_creation_path" => within("wrap_info", "creation_path"),
        "wrapped_accessor" => within("wrap_info", "wrapped_accessor"),
        _ => None,
    };
    let member = || members.and_then(|members| members.get(name)).filter(|value| !value.is_null()).cloned();
    let envelope_field = || match name {
        "lease_id" | "lease_duration" | "request_id" => envelope.get(name).cloned(),
        "lease_renewable" => envelope.get("renewable").cloned(),
        "refresh_interval" => envelope.get("lease_duration").cloned(),
        "data" => members.map(|members| Value::Object(members.clone())),
        _ => None,
    };
    special.or_else(member).or_else(envelope_field)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(envelope: Value, expected: &str) {
        assert_eq!(table(envelope.as_object().unwrap()), expected);
    }

    #[test]
    fn a_new_token_is_a_table() {
        check(
            json!({"auth": {"client_token": "hvs.X", "accessor": "acc", "lease_duration": 3600, "renewable": true,
                "token_policies": ["default", "dev"], "policies": ["default", "dev"], "metadata": {"username": "bob"}}}),
            "Key                    Value\n---                    -----\ntoken                  hvs.X\ntoken_accessor         acc\n\
             token_duration         1h\ntoken_renewable        true\ntoken_policies         [\"default\" \"dev\"]\n\
             identity_policies      []\npolicies               [\"default\" \"dev\"]\ntoken_meta_username    bob",
        );
    }

    #[test]
    fn a_leased_secret_begins_with_its_lease() {
        check(
            json!({"lease_id": "database/creds/r/9", "lease_duration": 3600, "renewable": true, "data": {"username": "u", "password": "p"}}),
            "Key                Value\n---                -----\nlease_id           database/creds/r/9\nlease_duration     1h\n\
             lease_renewable    true\npassword           p\nusername           u",
        );
    }

    #[test]
    fn a_wrapped_answer_shows_its_token() {
        check(
            json!({"wrap_info": {"token": "hvs.W", "accessor": "a", "ttl": 60, "creation_time": "2026-04-02T08:15:30.123456789Z",
                "creation_path": "auth/approle/role/ci/secret-id", "wrapped_accessor": ""}}),
            "Key                              Value\n---                              -----\nwrapping_token:                  hvs.W\n\
             wrapping_accessor:               a\nwrapping_token_ttl:              1m\n\
             wrapping_token_creation_time:    2026-04-02 08:15:30.123456789 +0000 UTC\n\
             wrapping_token_creation_path:    auth/approle/role/ci/secret-id",
        );
    }

    #[test]
    fn fields_are_found_by_their_shown_names() {
        let envelope = json!({"request_id": "r", "lease_duration": 5, "data": {"data": {"a": 1}, "x": "y"}, "auth": {"client_token": "t"}});
        let envelope = envelope.as_object().unwrap();
        assert_eq!(field(envelope, "token"), Some(json!("t")));
        assert_eq!(field(envelope, "refresh_interval"), Some(json!(5)));
        assert_eq!(field(envelope, "data"), Some(json!({"a": 1})));
        assert_eq!(field(envelope, "x"), Some(json!("y")));
        assert_eq!(field(envelope, "nope"), None);
    }
}
