//! What a policy says about the fields of a request and about wrapping its answer: pure.

use std::collections::BTreeMap;

use serde_json::Value;

use super::glob;
use crate::engine::Data;
use crate::types::Ttl;

/// Values that a field may or may not have; none listed: any value.
pub(super) type Values = BTreeMap<String, Vec<Value>>;

/// The conditions of one rule. Names of fields are in lower case.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Constraints {
    pub(super) allowed: Values,
    pub(super) denied: Values,
    pub(super) required: Vec<String>,
    pub(super) min_wrapping_ttl: Ttl,
    pub(super) max_wrapping_ttl: Ttl,
}

impl Constraints {
    /// Adds those of the same pattern in another policy.
    pub(super) fn merge(&mut self, other: &Self) {
        for (mine, theirs) in [(&mut self.allowed, &other.allowed), (&mut self.denied, &other.denied)] {
            for (name, values) in theirs {
                match mine.get_mut(name) {
                    None => {
                        mine.insert(name.clone(), values.clone());
                    }
                    Some(known) if known.is_empty() || values.is_empty() => known.clear(),
                    Some(known) => known.extend(values.iter().filter(|value| !known.contains(value)).cloned().collect::<Vec<_>>()),
                }
            }
        }
        self.required.extend(other.required.iter().filter(|name| !self.required.contains(name)).cloned().collect::<Vec<_>>());
        for (mine, theirs) in [(&mut self.min_wrapping_ttl, other.min_wrapping_ttl), (&mut self.max_wrapping_ttl, other.max_wrapping_ttl)] {
            if theirs.0 > 0 && (mine.0 == 0 || theirs < *mine) {
                *mine = theirs;
            }
        }
    }

    /// Whether the answer may be wrapped for `asked`, or not wrapped at all.
    pub(super) fn admit_wrapping(&self, asked: Option<Ttl>) -> bool {
        match asked.filter(|ttl| ttl.0 > 0) {
            None => self.min_wrapping_ttl.0 == 0 && self.max_wrapping_ttl.0 == 0,
            Some(ttl) => ttl >= self.min_wrapping_ttl && (self.max_wrapping_ttl.0 == 0 || ttl <= self.max_wrapping_ttl),
        }
    }

    /// Whether a request may have these fields.
    pub(super) fn admit_fields(&self, data: &Data) -> bool {
        if self.required.is_empty() && self.denied.is_empty() && self.allowed.is_empty() {
            return true;
        }
        let sent: BTreeMap<String, &Value> = data.0.iter().map(|(name, value)| (name.to_lowercase(), value)).collect();
        if self.required.iter().any(|name| !sent.contains_key(name)) {
            return false;
        }
        if sent.is_empty() {
            return true;
        }
        if self.denied.contains_key("*") {
            return false;
        }
        let is_denied = |(name, value): (&String, &&Value)| self.denied.get(name).is_some_and(|values| matches_any(values, value));
        if sent.iter().any(is_denied) {
            return false;
        }
        if self.allowed.is_empty() {
            return true;
        }
        let is_open = self.allowed.contains_key("*");
        sent.iter().all(|(name, value)| match self.allowed.get(name) {
            Some(values) => matches_all(values, value),
            None => is_open,
        })
    }
}

/// Whether `value` is one of `values`, or a list that has one of them.
fn matches_any(values: &[Value], value: &Value) -> bool {
    values.is_empty()
        || matches_one(values, value)
        || value.as_array().is_some_and(|list| list.iter().any(|element| matches_one(values, element)))
}

/// Whether `value` is one of `values`, or a list of nothing else.
fn matches_all(values: &[Value], value: &Value) -> bool {
    values.is_empty()
        || matches_one(values, value)
        || value.as_array().is_some_and(|list| list.iter().all(|element| matches_one(values, element)))
}

fn matches_one(values: &[Value], value: &Value) -> bool {
    values.iter().any(|allowed| match (allowed, value) {
        (Value::String(pattern), Value::String(text)) => glob(pattern, text),
        (allowed, value) => allowed == value,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn values(value: Value) -> Values {
        let object = value.as_object().unwrap();
        object.iter().map(|(name, list)| (name.clone(), list.as_array().unwrap().clone())).collect()
    }

    #[track_caller]
    fn check(allowed: Value, denied: Value, required: &[&str], sent: Value, expected: bool) {
        let constraints = Constraints {
            allowed: values(allowed.clone()),
            denied: values(denied.clone()),
            required: required.iter().map(|name| (*name).to_owned()).collect(),
            ..Constraints::default()
        };
        let data = Data(sent.as_object().unwrap().clone());
        assert_eq!(constraints.admit_fields(&data), expected, "{allowed} {denied} {required:?} {sent}");
    }

    #[test]
    fn fields_are_constrained_as_documented() {
        check(json!({}), json!({}), &[], json!({"a": 1}), true);
        check(json!({}), json!({}), &["a"], json!({}), false);
        check(json!({}), json!({}), &["a"], json!({"A": 1}), true);
        check(json!({"a": []}), json!({}), &[], json!({}), true);
        check(json!({"a": []}), json!({}), &[], json!({"a": "x"}), true);
        check(json!({"a": []}), json!({}), &[], json!({"b": "x"}), false);
        check(json!({"a": ["x", "y*"]}), json!({}), &[], json!({"a": "yes"}), true);
        check(json!({"a": ["x", "y*"]}), json!({}), &[], json!({"a": "z"}), false);
        check(json!({"a": ["x"], "*": []}), json!({}), &[], json!({"b": 1}), true);
        check(json!({"a": ["x"], "*": []}), json!({}), &[], json!({"a": "z"}), false);
        check(json!({"a": [1, true]}), json!({}), &[], json!({"a": true}), true);
        check(json!({"a": [1]}), json!({}), &[], json!({"a": 2}), false);
        check(json!({"a": ["x", "y"]}), json!({}), &[], json!({"a": ["x", "y"]}), true);
        check(json!({"a": ["x", "y"]}), json!({}), &[], json!({"a": ["x", "z"]}), false);
        check(json!({}), json!({"*": []}), &[], json!({"a": 1}), false);
        check(json!({}), json!({"*": []}), &[], json!({}), true);
        check(json!({}), json!({"a": []}), &[], json!({"a": 1}), false);
        check(json!({}), json!({"a": ["bad"]}), &[], json!({"a": "good"}), true);
        check(json!({}), json!({"a": ["bad"]}), &[], json!({"a": ["good", "bad"]}), false);
        check(json!({"*": []}), json!({"a": []}), &[], json!({"A": 1}), false);
    }

    #[test]
    fn wrapping_ttls_are_bounds() {
        let constraints = |min, max| Constraints { min_wrapping_ttl: Ttl(min), max_wrapping_ttl: Ttl(max), ..Constraints::default() };
        assert!(constraints(0, 0).admit_wrapping(None));
        assert!(constraints(0, 0).admit_wrapping(Some(Ttl(5))));
        assert!(!constraints(1, 0).admit_wrapping(None));
        assert!(!constraints(0, 9).admit_wrapping(None));
        assert!(constraints(5, 9).admit_wrapping(Some(Ttl(5))) && constraints(5, 9).admit_wrapping(Some(Ttl(9))));
        assert!(!constraints(5, 9).admit_wrapping(Some(Ttl(4))) && !constraints(5, 9).admit_wrapping(Some(Ttl(10))));
    }

    #[test]
    fn merging_takes_the_union_and_the_smallest_bounds() {
        let mut one = Constraints { allowed: values(json!({"a": ["x"], "b": ["x"]})), max_wrapping_ttl: Ttl(9), ..Constraints::default() };
        let two = Constraints { allowed: values(json!({"a": ["y"], "b": []})), max_wrapping_ttl: Ttl(5), ..Constraints::default() };
        one.merge(&two);
        assert_eq!(one.allowed, values(json!({"a": ["x", "y"], "b": []})));
        assert_eq!(one.max_wrapping_ttl, Ttl(5));
    }
}
