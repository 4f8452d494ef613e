//! All rules of an ACL as the UI is shown them.

use serde_json::{Map, Value, json};

use super::acl::{Acl, Rule};

/// The `data` of `sys/internal/ui/resultant-acl`.
pub(super) fn shown(acl: &Acl) -> Map<String, Value> {
    let mut exact: Vec<_> = acl.exact.iter().collect();
    exact.sort_by_key(|(path, _)| path.as_str());
    let exact: Map<String, Value> = exact.into_iter().map(|(path, rule)| (path.clone(), shown_rule(rule))).collect();
    let globs: Map<String, Value> = acl.patterns.iter().map(|(pattern, rule)| (pattern.shown().to_owned(), shown_rule(rule))).collect();
    let mut data = Map::new();
    data.insert("root".to_owned(), json!(acl.is_root));
    data.insert("exact_paths".to_owned(), Value::Object(exact));
    data.insert("glob_paths".to_owned(), Value::Object(globs));
    data
}

fn shown_rule(rule: &Rule) -> Value {
    let mut shown = Map::new();
    shown.insert("capabilities".to_owned(), json!(rule.capabilities.names()));
    let constraints = &rule.constraints;
    for (name, ttl) in [("min_wrapping_ttl", constraints.min_wrapping_ttl), ("max_wrapping_ttl", constraints.max_wrapping_ttl)] {
        if ttl.0 > 0 {
            shown.insert(name.to_owned(), json!(ttl.0));
        }
    }
    for (name, values) in [("allowed_parameters", &constraints.allowed), ("denied_parameters", &constraints.denied)] {
        if !values.is_empty() {
            shown.insert(name.to_owned(), json!(values));
        }
    }
    if !constraints.required.is_empty() {
        shown.insert("required_parameters".to_owned(), json!(constraints.required));
    }
    Value::Object(shown)
}
