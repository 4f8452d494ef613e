//! JSON for programs: two blanks, names in the order Vault's own client prints them.
//!
//! Not here: YAML, which always sorts.

use serde_json::{Map, Value};

/// Two-blank JSON of a value, in the order it has.
pub fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_else(|_| value.to_string())
}

/// The same value with the members of all objects in it sorted by name.
pub fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let mut names: Vec<&String> = members.keys().collect();
            names.sort();
            Value::Object(names.into_iter().map(|name| (name.clone(), sorted(&members[name]))).collect())
        }
        Value::Array(several) => Value::Array(several.iter().map(sorted).collect()),
        other => other.clone(),
    }
}

/// The members in this order first, then the others sorted.
pub fn ordered(members: &Map<String, Value>, names: &[&str]) -> Map<String, Value> {
    let mut out = Map::new();
    for name in names {
        if let Some(value) = members.get(*name) {
            out.insert((*name).to_owned(), sorted(value));
        }
    }
    if let Value::Object(rest) = sorted(&Value::Object(members.clone())) {
        for (name, value) in rest {
            out.entry(name).or_insert(value);
        }
    }
    out
}

const AUTH: &[&str] = &[
    "client_token",
    "accessor",
    "policies",
    "token_policies",
    "identity_policies",
    "metadata",
    "orphan",
    "entity_id",
    "lease_duration",
    "renewable",
    "mfa_requirement",
];
const WRAP: &[&str] = &["token", "accessor", "ttl", "creation_time", "creation_path", "wrapped_accessor"];

/// An envelope as Vault's client prints it: `auth` and `wrap_info` only where they say something.
pub fn envelope(envelope: &Map<String, Value>) -> Value {
    let of = |name: &str, default: Value| envelope.get(name).cloned().unwrap_or(default);
    let mut out = Map::new();
    out.insert("request_id".into(), of("request_id", "".into()));
    out.insert("lease_id".into(), of("lease_id", "".into()));
    out.insert("lease_duration".into(), of("lease_duration", 0.into()));
    out.insert("renewable".into(), of("renewable", false.into()));
    out.insert("data".into(), sorted(&of("data", Value::Null)));
    out.insert("warnings".into(), of("warnings", Value::Null));
    for (name, fields) in [("auth", AUTH), ("wrap_info", WRAP)] {
        if let Some(members) = envelope.get(name).and_then(Value::as_object) {
            let mut section = Map::new();
            for field in fields {
                section.insert((*field).to_owned(), sorted(members.get(*field).unwrap_or(&default_of(field))));
            }
            out.insert(name.to_owned(), Value::Object(section));
        }
    }
    Value::Object(out)
}

fn default_of(field: &str) -> Value {
    match field {
        "orphan" | "renewable" => false.into(),
        "lease_duration" | "ttl" => 0.into(),
        "entity_id" | "wrapped_accessor" | "accessor" | "client_token" | "token" | "creation_path" | "creation_time" => "".into(),
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn envelopes_print_in_a_fixed_order() {
        let came = json!({"warnings": null, "data": {"b": 1, "a": {"d": 1, "c": 2}}, "request_id": "r", "auth": null, "lease_duration": 5});
        let text = envelope(came.as_object().unwrap()).to_string();
        assert_eq!(
            text,
            r#"{"request_id":"r","lease_id":"","lease_duration":5,"renewable":false,"data":{"a":{"c":2,"d":1},"b":1},"warnings":null}"#
        );
    }
}
