//! Several policies compiled into one set of rules, and asked: pure.

use std::collections::HashMap;

use super::capability::{Capabilities, Capability};
use super::parameters::Constraints;
use super::parse::Policy;
use super::pattern::Pattern;
use crate::engine::{Data, Operation};
use crate::types::Ttl;

/// What a pattern allows, over all policies.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) capabilities: Capabilities,
    pub(super) constraints: Constraints,
    pub(super) policies: Vec<String>,
}

/// What the policies of one caller say together.
#[derive(Clone, Debug, Default)]
pub struct Acl {
    pub(super) is_root: bool,
    /// What grants all to the all-powerful.
    root: Vec<String>,
    pub(super) exact: HashMap<String, Rule>,
    /// The most specific first.
    pub(super) patterns: Vec<(Pattern, Rule)>,
}

/// Whether one request may be done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision<'a> {
    /// It may, as far as the path's own rule goes.
    pub is_allowed: bool,
    /// It may also where `sudo` is needed. Only together with `is_allowed`.
    pub is_sudo: bool,
    /// The policies that allowed it, for the audit log.
    pub granting: &'a [String],
}

impl Acl {
    /// All-powerful.
    pub fn root() -> Self {
        Self { is_root: true, root: vec!["root".to_owned()], ..Self::default() }
    }

    /// Compiles `policies`, given with their names.
    pub fn compile<'p>(policies: impl IntoIterator<Item = (&'p str, &'p Policy)>) -> Self {
        let mut acl = Self::default();
        for (name, policy) in policies {
            for rule in &policy.rules {
                // What a template stands for depends on the caller's entity; without one, the rule does not apply.
                if rule.pattern.contains("{{") {
                    continue;
                }
                let pattern = Pattern::parse(&rule.pattern);
                let slot = match &pattern {
                    None => acl.exact.get_mut(&rule.pattern),
                    Some(pattern) => acl.patterns.iter_mut().find(|(known, _)| known == pattern).map(|(_, rule)| rule),
                };
                if let Some(known) = slot {
                    if bug!(68) && (known.capabilities.is_denied() || rule.capabilities.is_denied()) {
                        if known.capabilities.is_denied() {
                            known.capabilities = rule.capabilities;
                        }
                        continue;
                    }
                    known.capabilities = known.capabilities.union(rule.capabilities);
                    known.constraints.merge(&rule.constraints);
                    if known.policies.last().is_none_or(|last| last != name) {
                        known.policies.push(name.to_owned());
                    }
                    continue;
                }
                let new = Rule { capabilities: rule.capabilities, constraints: rule.constraints.clone(), policies: vec![name.to_owned()] };
                match pattern {
                    None => {
                        acl.exact.insert(rule.pattern.clone(), new);
                    }
                    Some(pattern) => acl.patterns.push((pattern, new)),
                }
            }
        }
        acl.patterns.sort_by(|(one, _), (other, _)| one.by_priority(other));
        acl
    }

    /// Whether it is all-powerful.
    pub fn is_root(&self) -> bool {
        self.is_root
    }

    /// Whether `operation` may be done on `path` with these fields and this wish for wrapping.
    pub fn decide(&self, operation: Operation, path: &str, data: &Data, wrap_ttl: Option<Ttl>) -> Decision<'_> {
        if self.is_root {
            return Decision { is_allowed: true, is_sudo: true, granting: &self.root };
        }
        let Some(needed) = Capability::needed(operation) else {
            return Decision { is_allowed: true, is_sudo: false, granting: &[] };
        };
        let Some(rule) = self.rule(path, operation == Operation::List) else { return Decision::default() };
        let takes_fields = !(matches!(operation, Operation::List | Operation::Delete) || bug!(173) && operation == Operation::Patch);
        let is_allowed = !rule.capabilities.is_denied()
            && rule.capabilities.has(needed)
            && rule.constraints.admit_wrapping(wrap_ttl)
            && (!takes_fields || rule.constraints.admit_fields(data));
        if !is_allowed {
            return Decision::default();
        }
        Decision { is_allowed, is_sudo: rule.capabilities.has(Capability::Sudo), granting: &rule.policies }
    }

    /// What may be done on `path`, in alphabetical order; `root` and `deny` stand alone.
    pub fn capabilities(&self, path: &str) -> Vec<&'static str> {
        if self.is_root {
            return vec!["root"];
        }
        let path = path.strip_prefix('/').unwrap_or(path);
        self.rule(path, path.ends_with('/')).map_or_else(|| vec!["deny"], |rule| rule.capabilities.names())
    }

    /// Whether anything at all is allowed on some path that starts with `folder`: whether a mount is shown.
    pub fn reaches(&self, folder: &str) -> bool {
        self.is_root
            || self.exact.iter().any(|(path, rule)| !rule.capabilities.is_denied() && path.starts_with(folder))
            || self.patterns.iter().any(|(pattern, rule)| !rule.capabilities.is_denied() && pattern.reaches(folder))
    }

    /// The one rule that decides over `path`.
    fn rule(&self, path: &str, is_list: bool) -> Option<&Rule> {
        if !is_list {
            return self.exact.get(path).or_else(|| self.pattern(path));
        }
        let plain = path.strip_suffix('/').unwrap_or(path);
        let folder = format!("{plain}/");
        let exact = self.exact.get(&folder).or_else(|| self.exact.get(plain));
        exact.or_else(|| self.pattern(&folder)).or_else(|| self.pattern(plain))
    }

    fn pattern(&self, path: &str) -> Option<&Rule> {
        self.patterns.iter().find(|(pattern, _)| pattern.matches(path)).map(|(_, rule)| rule)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acl(texts: &[&str]) -> Acl {
        let policies: Vec<(String, Policy)> =
            texts.iter().enumerate().map(|(n, text)| (format!("p{n}"), Policy::parse(text).unwrap())).collect();
        Acl::compile(policies.iter().map(|(name, policy)| (name.as_str(), policy)))
    }

    fn allows(acl: &Acl, operation: Operation, path: &str) -> bool {
        acl.decide(operation, path, &Data::default(), None).is_allowed
    }

    #[track_caller]
    fn check(acl: &Acl, path: &str, expected: &[&str]) {
        assert_eq!(acl.capabilities(path), expected, "{path}");
    }

    #[test]
    fn the_most_specific_pattern_decides_alone() {
        let acl = acl(&[r#"
            path "secret/*" { capabilities = ["read", "list"] }
            path "secret/a/*" { capabilities = ["create"] }
            path "secret/a/b" { capabilities = ["delete"] }
            path "secret/+/deep" { capabilities = ["update"] }
            path "secret/no/*" { capabilities = ["deny"] }
            path "secret/no/but" { capabilities = ["read", "sudo"] }
        "#]);
        check(&acl, "secret/x", &["list", "read"]);
        check(&acl, "secret/a/x", &["create"]);
        check(&acl, "secret/a/b", &["delete"]);
        check(&acl, "secret/a/b/c", &["create"]);
        check(&acl, "secret/x/deep", &["update"]);
        check(&acl, "secret/a/deep", &["create"]);
        check(&acl, "secret/no/x", &["deny"]);
        check(&acl, "secret/no/but", &["read", "sudo"]);
        check(&acl, "other", &["deny"]);
        check(&acl, "secret", &["deny"]);
        check(&acl, "/secret/x", &["list", "read"]);
        assert!(acl.decide(Operation::Read, "secret/no/but", &Data::default(), None).is_sudo);
        assert!(!acl.decide(Operation::Update, "secret/no/but", &Data::default(), None).is_sudo);
    }

    #[test]
    fn equal_patterns_unite_and_deny_wins() {
        let two = acl(&[r#"path "a/*" { capabilities = ["read"] }"#, r#"path "a/*" { capabilities = ["list"] }"#]);
        check(&two, "a/b", &["list", "read"]);
        assert_eq!(two.decide(Operation::Read, "a/b", &Data::default(), None).granting, ["p0", "p1"]);
        let denied = acl(&[r#"path "a/*" { capabilities = ["read"] }"#, r#"path "a/*" { policy = "deny" }"#]);
        check(&denied, "a/b", &["deny"]);
        assert!(!allows(&denied, Operation::Read, "a/b"));
        check(&acl(&[r#"path "a" { capabilities = ["sudo", "deny", "read"] }"#]), "a", &["deny"]);
    }

    #[test]
    fn a_listing_does_not_escape_a_more_specific_deny() {
        let acl = acl(&[r#"
            path "secret/*" { capabilities = ["list", "read"] }
            path "secret/foo" { capabilities = ["deny"] }
            path "secret/bar*" { capabilities = ["deny"] }
            path "kv/meta/" { capabilities = ["list"] }
            path "kv/app" { capabilities = ["list"] }
        "#]);
        assert!(!allows(&acl, Operation::List, "secret/foo/"));
        assert!(!allows(&acl, Operation::List, "secret/foo"));
        assert!(!allows(&acl, Operation::List, "secret/bar/"));
        assert!(!allows(&acl, Operation::List, "secret/bar/x/"));
        assert!(allows(&acl, Operation::List, "secret/x/"));
        assert!(allows(&acl, Operation::List, "kv/meta"));
        assert!(allows(&acl, Operation::List, "kv/app/"));
        assert!(!allows(&acl, Operation::Read, "kv/app"));
    }

    #[test]
    fn every_verb_needs_its_own_capability() {
        use Operation::{Create, Delete, Help, List, Patch, Read, Update};
        for (name, operation) in
            [("read", Read), ("list", List), ("create", Create), ("update", Update), ("patch", Patch), ("delete", Delete)]
        {
            let acl = acl(&[&format!("path \"a\" {{ capabilities = [\"{name}\"] }}")]);
            for other in [Read, List, Create, Update, Patch, Delete] {
                assert_eq!(allows(&acl, other, "a"), other == operation, "{name} {other:?}");
            }
            assert!(allows(&acl, Help, "anything"));
        }
        assert!(allows(&Acl::root(), Delete, "anything"));
        assert!(!allows(&Acl::default(), Read, "a"));
    }

    #[test]
    fn fields_and_wrapping_are_part_of_the_decision() {
        let acl = acl(&[r#"
            path "a" { capabilities = ["update", "patch"] required_parameters = ["ttl"] }
            path "b" { capabilities = ["update"] min_wrapping_ttl = "1m" max_wrapping_ttl = "10m" }
        "#]);
        let sent = Data(serde_json::json!({"ttl": 1}).as_object().unwrap().clone());
        for operation in [Operation::Update, Operation::Patch] {
            assert!(!allows(&acl, operation, "a"));
            assert!(acl.decide(operation, "a", &sent, None).is_allowed);
        }
        assert!(!allows(&acl, Operation::Update, "b"));
        assert!(acl.decide(Operation::Update, "b", &sent, Some(Ttl(60))).is_allowed);
        assert!(!acl.decide(Operation::Update, "b", &sent, Some(Ttl(601))).is_allowed);
    }

    #[test]
    fn templated_rules_do_not_apply_without_an_entity() {
        check(&acl(&[r#"path "id/{{identity.entity.id}}" { capabilities = ["read"] }"#]), "id/{{identity.entity.id}}", &["deny"]);
    }
}
