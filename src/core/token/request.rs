//! What a client asks for at `auth/token/create`, and what it gets: pure.

use std::collections::BTreeMap;

use super::TokenEntry;
use super::role::TokenRole;
use crate::core::policy::sanitize;
use crate::engine::{Data, EngineError, TokenKind};
use crate::types::Ttl;

/// The fields of a create request.
#[derive(Clone, Debug, Default)]
pub(super) struct CreateRequest {
    pub(super) id: Option<String>,
    pub(super) policies: Option<Vec<String>>,
    pub(super) meta: BTreeMap<String, String>,
    pub(super) no_parent: bool,
    pub(super) no_default_policy: bool,
    pub(super) renewable: bool,
    pub(super) ttl: Ttl,
    pub(super) kind: Option<TokenKind>,
    pub(super) explicit_max_ttl: Ttl,
    pub(super) display_name: String,
    pub(super) num_uses: u32,
    pub(super) period: Ttl,
}

impl CreateRequest {
    /// Reads the fields.
    ///
    /// # Errors
    /// With a text for the client.
    pub(super) fn parse(data: &Data, has_role: bool) -> Result<Self, EngineError> {
        let ttl = |field: &str| {
            let is_negative = data.text(field).ok().flatten().is_some_and(|text| text.trim().starts_with('-'));
            match is_negative {
                true => Err(EngineError::invalid(format!("{field} must be positive"))),
                false => Ok(data.ttl(field)?),
            }
        };
        let kind = match data.text("type")?.as_deref() {
            None | Some("") => None,
            Some("service") => Some(TokenKind::Service),
            Some("batch") => Some(TokenKind::Batch),
            Some(_) => return Err(EngineError::invalid("invalid 'token_type' value")),
        };
        if data.text("entity_alias")?.is_some_and(|alias| !alias.is_empty()) {
            let text =
                if has_role { "invalid 'entity_alias' value" } else { "'entity_alias' is only allowed in combination with token role" };
            return Err(EngineError::invalid(text));
        }
        let uses = data.integer("num_uses")?.unwrap_or(0);
        let display_name = data.text("display_name")?.unwrap_or_default();
        Ok(Self {
            id: data.text("id")?.filter(|id| !id.is_empty()),
            policies: data.texts("policies")?.map(sanitize).filter(|policies| !policies.is_empty()),
            meta: data.text_map("meta")?.unwrap_or_default(),
            no_parent: data.flag("no_parent")?.unwrap_or(false),
            no_default_policy: data.flag("no_default_policy")?.unwrap_or(false),
            renewable: data.flag("renewable")?.unwrap_or(true),
            ttl: ttl("ttl")?.or(ttl("lease")?).unwrap_or_default(),
            kind,
            explicit_max_ttl: ttl("explicit_max_ttl")?.unwrap_or_default(),
            display_name: shown_name(&display_name),
            num_uses: u32::try_from(uses).map_err(|_| EngineError::invalid("number of uses cannot be negative"))?,
            period: ttl("period")?.unwrap_or_default(),
        })
    }
}

fn shown_name(asked: &str) -> String {
    if asked.is_empty() {
        return "token".to_owned();
    }
    let clean: String = format!("token-{asked}").chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    clean.trim_end_matches('-').to_owned()
}

/// Who creates.
#[derive(Clone, Copy, Debug)]
pub(super) struct Creator<'a> {
    /// Its token.
    pub(super) entry: &'a TokenEntry,
    /// Its policies, all of them.
    pub(super) policies: &'a [String],
    /// Whether it may `sudo` on the path that it calls.
    pub(super) is_sudo: bool,
}

/// The policies that the new token gets.
///
/// # Errors
/// With a text for the client.
pub(super) fn policies_for(asked: &CreateRequest, creator: Creator<'_>, role: Option<&TokenRole>) -> Result<Vec<String>, EngineError> {
    let no_default = asked.no_default_policy || role.is_some_and(|role| role.no_default_policy);
    let has = |names: &[String], name: &str| names.iter().any(|known| known == name);
    let mut adds_default = !no_default;
    let mut policies = match role {
        Some(role) if role.allows_some() => {
            let chosen = asked.policies.clone().unwrap_or_else(|| role.allowed_policies.clone());
            if let Some(wrong) = chosen.iter().find(|name| !role.allows(name) && (*name != "default" || no_default)) {
                let _ = wrong;
                return Err(EngineError::invalid(format!(
                    "token policies ({}) must be subset of the role's allowed policies ({}) or glob policies ({})",
                    quoted(&chosen),
                    quoted(&role.allowed_policies),
                    quoted(&role.allowed_policies_glob)
                )));
            }
            chosen
        }
        Some(role) if role.disallows_some() => asked.policies.clone().unwrap_or_else(|| creator.policies.to_vec()),
        _ => match &asked.policies {
            None => {
                adds_default = false;
                creator.policies.to_vec()
            }
            Some(chosen) if creator.is_sudo => chosen.clone(),
            Some(chosen) => {
                if chosen.iter().any(|name| !has(creator.policies, name) && !has(creator.policies, "root")) && !bug!(69) {
                    return Err(EngineError::invalid("child policies must be subset of parent"));
                }
                adds_default &= has(creator.policies, "default");
                chosen.clone()
            }
        },
    };
    if let Some(role) = role.filter(|role| role.disallows_some() && !(bug!(164) && role.allows_some())) {
        adds_default &= !role.disallows("default");
        if let Some(wrong) = policies.iter().find(|name| role.disallows(name)) {
            return Err(EngineError::invalid(format!("token policy {wrong:?} is disallowed by this role")));
        }
    }
    if has(&policies, "response-wrapping") {
        return Err(EngineError::invalid("cannot assign policy \"response-wrapping\""));
    }
    if no_default && asked.policies.is_none() {
        policies.retain(|name| name != "default");
    }
    if adds_default && !has(&policies, "root") {
        policies.push("default".to_owned());
    }
    let policies = sanitize(policies);
    if has(&policies, "root") && !has(creator.policies, "root") {
        return Err(EngineError::invalid("root tokens may not be created without parent token being root"));
    }
    Ok(policies)
}

fn quoted(names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("{name:?}")).collect();
    format!("[{}]", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|name| (*name).to_owned()).collect()
    }

    #[track_caller]
    fn check(asked: Option<&[&str]>, creator: &[&str], is_sudo: bool, role: Option<&TokenRole>, expected: Result<&[&str], &str>) {
        let asked = CreateRequest { policies: asked.map(names), ..CreateRequest::default() };
        let entry = TokenEntry::default();
        let creator_policies = names(creator);
        let creator = Creator { entry: &entry, policies: &creator_policies, is_sudo };
        let got = policies_for(&asked, creator, role).map_err(|error| error.to_string());
        match (got, expected) {
            (Ok(got), Ok(expected)) => assert_eq!(got, names(expected)),
            (Err(got), Err(expected)) => assert!(got.contains(expected), "{got}"),
            (got, expected) => panic!("{got:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn a_child_has_no_policy_that_its_parent_lacks() {
        check(None, &["a", "default"], false, None, Ok(&["a", "default"]));
        check(None, &["root"], true, None, Ok(&["root"]));
        check(Some(&["a"]), &["a", "b", "default"], false, None, Ok(&["a", "default"]));
        check(Some(&["a"]), &["a"], false, None, Ok(&["a"]));
        check(Some(&["c"]), &["a", "default"], false, None, Err("subset of parent"));
        check(Some(&["c"]), &["a", "default"], true, None, Ok(&["c", "default"]));
        check(Some(&["c"]), &["root"], true, None, Ok(&["c", "default"]));
    }

    #[test]
    fn only_root_makes_root() {
        check(Some(&["root"]), &["root"], true, None, Ok(&["root"]));
        check(Some(&["root"]), &["a", "default"], true, None, Err("without parent token being root"));
        check(Some(&["root"]), &["a", "default"], false, None, Err("subset of parent"));
        let role = TokenRole { allowed_policies: names(&["root"]), ..TokenRole::default() };
        check(None, &["a"], false, Some(&role), Err("without parent token being root"));
        let any = TokenRole { allowed_policies_glob: names(&["*"]), ..TokenRole::default() };
        check(Some(&["root"]), &["a"], false, Some(&any), Err("without parent token being root"));
        check(Some(&["response-wrapping"]), &["root"], true, None, Err("cannot assign policy"));
    }

    #[test]
    fn a_role_decides_instead_of_the_parent() {
        let role = TokenRole { allowed_policies: names(&["a", "b"]), allowed_policies_glob: names(&["team-*"]), ..TokenRole::default() };
        check(None, &["x"], false, Some(&role), Ok(&["a", "b", "default"]));
        check(Some(&["team-x"]), &["x"], false, Some(&role), Ok(&["default", "team-x"]));
        check(Some(&["c"]), &["x"], false, Some(&role), Err("must be subset of the role's allowed policies"));
        let not = TokenRole { disallowed_policies: names(&["b"]), disallowed_policies_glob: names(&["d*"]), ..TokenRole::default() };
        check(Some(&["a"]), &["x"], false, Some(&not), Ok(&["a"]));
        check(Some(&["b"]), &["x"], false, Some(&not), Err("is disallowed by this role"));
        check(None, &["b"], false, Some(&not), Err("is disallowed by this role"));
        let both = TokenRole { allowed_policies: names(&["a", "b"]), ..not };
        check(Some(&["a"]), &["x"], false, Some(&both), Ok(&["a"]));
        check(Some(&["b"]), &["x"], false, Some(&both), Err("is disallowed by this role"));
    }

    #[test]
    fn display_names_are_clean() {
        assert_eq!(shown_name(""), "token");
        assert_eq!(shown_name("me"), "token-me");
        assert_eq!(shown_name("a b/c"), "token-a-b-c");
    }
}
