//! Which fields a route knows, and the words for those of a request that it does not.
//!
//! A field that nobody knows is never refused, but a client that misspelled one should hear of it.

use serde_json::{Map, Value};

use super::Captures;

/// The fields that a route knows, besides what its path captures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fields {
    /// Whatever is sent is taken.
    Any,
    /// No others.
    Only(&'static [&'static str]),
}

/// What a client is to be told of the fields it sent: first those that nobody looks at, then those that the path overrides.
pub fn remarks(known: Fields, captures: &Captures<'_>, sent: &Map<String, Value>) -> Vec<String> {
    let Fields::Only(known) = known else { return Vec::new() };
    let said = |text: &str, mut names: Vec<&str>| {
        names.sort_unstable();
        (!names.is_empty()).then(|| format!("Endpoint {text}: [{}]", names.join(" ")))
    };
    let names = || sent.keys().map(String::as_str);
    let ignored = names().filter(|name| !known.contains(name) && !captures.has(name)).collect();
    let replaced = names().filter(|name| !captures.get(name).is_empty()).collect();
    [
        said("ignored these unrecognized parameters", ignored),
        said("replaced the value of these parameters with the values captured from the endpoint's path", replaced),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::engine::{Access, Operation, Route, Writes, find_route};

    const KNOWN: Fields = Fields::Only(&["a", "b"]);

    #[track_caller]
    fn check(known: Fields, path: &str, sent: Value, expected: &[&str]) {
        static ROUTES: &[Route] =
            &[Route { pattern: "x/*name", operations: &[Operation::Update], access: Access::Policy, writes: Writes::Nothing, help: "" }];
        let (_, captures) = find_route(ROUTES, Operation::Update, path).unwrap();
        assert_eq!(remarks(known, &captures, sent.as_object().unwrap()), expected);
    }

    #[test]
    fn fields_that_nobody_looks_at_are_named() {
        check(KNOWN, "x/1", json!({ "a": 1, "b": null }), &[]);
        check(KNOWN, "x/1", json!({ "z": 1, "a": 1, "c": 2 }), &["Endpoint ignored these unrecognized parameters: [c z]"]);
        check(Fields::Any, "x/1", json!({ "c": 2, "name": 3 }), &[]);
        let replaced = "Endpoint replaced the value of these parameters with the values captured from the endpoint's path: [name]";
        check(KNOWN, "x/1", json!({ "name": 3 }), &[replaced]);
        check(KNOWN, "x", json!({ "name": 3 }), &[]);
        check(KNOWN, "x/1", json!({ "name": 3, "q": 1 }), &["Endpoint ignored these unrecognized parameters: [q]", replaced]);
    }
}
