//! From a policy's text to its rules: pure.

use serde_json::Value;

use super::capability::{Capabilities, Capability};
use super::parameters::{Constraints, Values};
use crate::types::Ttl;
use crate::types::hcl::{self, Line, Node};

/// Why a text is no policy. For the client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PolicyError(pub String);

/// What a policy says of one pattern.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct PathRule {
    pub(super) pattern: String,
    pub(super) capabilities: Capabilities,
    pub(super) constraints: Constraints,
}

/// A policy, read.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Policy {
    pub(super) rules: Vec<PathRule>,
}

const PATH_KEYS: &[&str] = &[
    "capabilities",
    "policy",
    "allowed_parameters",
    "denied_parameters",
    "required_parameters",
    "min_wrapping_ttl",
    "max_wrapping_ttl",
    "mfa_methods",
    "control_group",
    "subscribe_event_types",
    "comment",
];

fn wrong<T>(text: impl Into<String>) -> Result<T, PolicyError> {
    Err(PolicyError(text.into()))
}

impl Policy {
    /// Reads a policy's text.
    ///
    /// # Errors
    /// With a text for the client.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        let lines = hcl::read(text).map_err(|malformed| PolicyError(malformed.to_string()))?;
        let mut policy = Self::default();
        for Line { mut keys, node, line } in lines {
            match (keys[0].as_str(), keys.len(), node) {
                ("name", 1, Node::Text(_)) => {}
                ("path", 2, Node::Object(body)) => policy.rules.push(path_rule(&keys.remove(1), body)?),
                ("path", 1, node) => {
                    let bodies = if let Node::List(nodes) = node { nodes } else { vec![node] };
                    for body in bodies {
                        let Node::Object(paths) = body else { return wrong("path must be a block") };
                        for path in paths {
                            let Node::Object(body) = path.node else { return wrong(format!("path {:?} must be a block", path.keys[0])) };
                            policy.rules.push(path_rule(&path.keys[0], body)?);
                        }
                    }
                }
                ("path" | "name", ..) => return wrong(format!("invalid use of {:?} on line {line}", keys[0])),
                (unknown, ..) => return wrong(format!("invalid key {unknown:?} on line {line}")),
            }
        }
        Ok(policy)
    }
}

fn path_rule(path: &str, body: Vec<Line>) -> Result<PathRule, PolicyError> {
    let pattern = path.strip_prefix('/').unwrap_or(path);
    if pattern.contains("+*") {
        return wrong(format!("path {pattern:?}: policies cannot contain \"+*\""));
    }
    if pattern.matches("{{").count() != pattern.matches("}}").count() {
        return wrong(format!("path {pattern:?}: unbalanced templating characters"));
    }
    let mut rule = PathRule { pattern: pattern.to_owned(), capabilities: Capabilities::NONE, constraints: Constraints::default() };
    let mut seen: Vec<String> = Vec::new();
    for Line { keys, node, line } in body {
        let key = keys[0].as_str();
        if keys.len() != 1 || !PATH_KEYS.contains(&key) {
            return wrong(format!("path {pattern:?}: invalid key {key:?} on line {line}"));
        }
        if seen.iter().any(|known| known == key) {
            return wrong(format!("path {pattern:?}: the key {key:?} on line {line} was set before, it can be set only once"));
        }
        seen.push(key.to_owned());
        let constraints = &mut rule.constraints;
        match key {
            "capabilities" => {
                for name in texts(pattern, key, node)? {
                    match Capability::parse(&name) {
                        Some(capability) => rule.capabilities = rule.capabilities.with(capability),
                        None => return wrong(format!("path {pattern:?}: invalid capability {name:?}")),
                    }
                }
            }
            "policy" => rule.capabilities = rule.capabilities.union(legacy(pattern, node)?),
            "allowed_parameters" => constraints.allowed = values(pattern, key, node)?,
            "denied_parameters" => constraints.denied = values(pattern, key, node)?,
            "required_parameters" => {
                constraints.required = texts(pattern, key, node)?.into_iter().map(|name| name.to_lowercase()).collect();
            }
            "min_wrapping_ttl" => constraints.min_wrapping_ttl = ttl(pattern, key, node)?,
            "max_wrapping_ttl" => constraints.max_wrapping_ttl = ttl(pattern, key, node)?,
            _ => {}
        }
    }
    let Constraints { min_wrapping_ttl: min, max_wrapping_ttl: max, .. } = rule.constraints;
    if max.0 > 0 && max < min {
        return wrong(format!("path {pattern:?}: max_wrapping_ttl cannot be less than min_wrapping_ttl"));
    }
    Ok(rule)
}

fn legacy(pattern: &str, node: Node) -> Result<Capabilities, PolicyError> {
    use Capability::{Create, Delete, Deny, List, Read, Sudo, Update};
    let Node::Text(name) = node else { return wrong(format!("path {pattern:?}: policy must be a string")) };
    let write = [Create, Read, Update, Delete, List];
    Ok(match name.as_str() {
        "deny" => Capabilities::of(&[Deny]),
        "read" => Capabilities::of(&[Read, List]),
        "write" => Capabilities::of(&write),
        "sudo" => Capabilities::of(&write).with(Sudo),
        _ => return wrong(format!("path {pattern:?}: invalid policy {name:?}")),
    })
}

fn texts(pattern: &str, key: &str, node: Node) -> Result<Vec<String>, PolicyError> {
    let one = |node| match node {
        Node::Text(text) => Ok(text),
        _ => wrong(format!("path {pattern:?}: {key} must be a list of strings")),
    };
    match node {
        Node::List(nodes) => nodes.into_iter().map(one).collect(),
        node => one(node).map(|text| vec![text]),
    }
}

fn values(pattern: &str, key: &str, node: Node) -> Result<Values, PolicyError> {
    let must = || PolicyError(format!("path {pattern:?}: {key} must map names to lists"));
    let bodies = if let Node::List(nodes) = node { nodes } else { vec![node] };
    let mut all = Values::new();
    for body in bodies {
        let Node::Object(lines) = body else { return Err(must()) };
        for line in lines {
            let name = line.keys.into_iter().next().ok_or_else(must)?.to_lowercase();
            match line.node.into_json() {
                Value::Array(values) => all.insert(name, values),
                single => all.insert(name, vec![single]),
            };
        }
    }
    Ok(all)
}

fn ttl(pattern: &str, key: &str, node: Node) -> Result<Ttl, PolicyError> {
    let parsed = match node {
        Node::Text(text) => Ttl::parse(&text).ok(),
        Node::Other(Value::Number(number)) => number.as_u64().map(Ttl),
        _ => None,
    };
    parsed.ok_or_else(|| PolicyError(format!("path {pattern:?}: {key} must be a duration")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<usize, &str>) {
        match (Policy::parse(text), expected) {
            (Ok(policy), Ok(rules)) => assert_eq!(policy.rules.len(), rules, "{text}"),
            (Err(error), Err(part)) => assert!(error.0.contains(part), "{text}: {error}"),
            (got, _) => panic!("{text}: {got:?}"),
        }
    }

    #[test]
    fn policies_are_read_and_mistakes_named() {
        check("", Ok(0));
        check("name = \"x\"\npath \"a\" { policy = \"read\" }", Ok(1));
        check(r#"{"path": {"a": {"capabilities": ["read"]}, "b": {"policy": "deny"}}}"#, Ok(2));
        check(r#"{"path": [{"a": {"capabilities": ["read"]}}]}"#, Ok(1));
        check(r#"path "a" { capabilities = ["read"] allowed_parameters = { "A" = ["x", 1], "*" = [] } }"#, Ok(1));
        check(r#"path "a" { capabilities = ["subscribe", "recover", "patch"] }"#, Ok(1));
        check(r#"path "a" { capabilities = ["fly"] }"#, Err("path \"a\": invalid capability \"fly\""));
        check(r#"path "a" { policy = "fly" }"#, Err("path \"a\": invalid policy \"fly\""));
        check(r#"path "a/+*" { }"#, Err("policies cannot contain \"+*\""));
        check("\npaht \"a\" { }", Err("invalid key \"paht\" on line 2"));
        check("path \"a\" {\n capability = [] }", Err("invalid key \"capability\" on line 2"));
        check(r#"path "a" { min_wrapping_ttl = "10m" max_wrapping_ttl = 60 }"#, Err("cannot be less than min_wrapping_ttl"));
        check("path \"a\" {\n policy = \"read\"\n policy = \"deny\" }", Err("only once"));
        check(r#"path "a/{{identity.entity.id}" { }"#, Err("unbalanced"));
    }

    #[test]
    fn a_leading_slash_means_nothing() {
        assert_eq!(Policy::parse("path \"/a/b\" { }").unwrap().rules[0].pattern, "a/b");
    }
}
