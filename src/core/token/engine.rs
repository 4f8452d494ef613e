//! `auth/token/`: the API of tokens.

use std::sync::Arc;

use async_trait::async_trait;

use super::entry::{read_entry, read_json};
use super::identify::Identified;
use super::lookup::shown;
use super::request::{CreateRequest, Creator, policies_for};
use super::role::{RoleTokenType, TokenRole};
use super::spec::{TokenSpec, auth_block};
use super::ttl::{self, Limits, Terms};
use super::{TokenError, Tokens, engine_roles, id};
use crate::barrier::Txn;
use crate::core::lease::RevokeLease;
use crate::core::policy::Policies;
use crate::core::{SystemEngine, keys};
use crate::engine::{Access, Body, Call, EngineError, Operation, Reply, Route, TokenKind, Writes};
use crate::types::{Secret, Ttl};

use Operation::{Delete, List, Read, Update};

const fn route(pattern: &'static str, operations: &'static [Operation], access: Access, writes: Writes, help: &'static str) -> Route {
    Route { pattern, operations, access, writes, help }
}

const ROUTES: &[Route] = &[
    route("create", &[Update], Access::Policy, Writes::Local, "Make a token."),
    route("create-orphan", &[Update], Access::Sudo, Writes::Local, "Make a token without a parent."),
    route("create/:role_name", &[Update], Access::Policy, Writes::Local, "Make a token by a role."),
    route("lookup", &[Update], Access::Policy, Writes::Nothing, "Look a token up."),
    route("lookup-self", &[Read, Update], Access::Policy, Writes::Nothing, "Look the own token up."),
    route("lookup-accessor", &[Update], Access::Policy, Writes::Nothing, "Look a token up by its accessor."),
    route("renew", &[Update], Access::Policy, Writes::Local, "Renew a token."),
    route("renew-self", &[Update], Access::Policy, Writes::Local, "Renew the own token."),
    route("renew-accessor", &[Update], Access::Policy, Writes::Local, "Renew a token by its accessor."),
    route("revoke", &[Update], Access::Policy, Writes::Local, "End a token and its children."),
    route("revoke-self", &[Update], Access::Policy, Writes::Local, "End the own token and its children."),
    route("revoke-accessor", &[Update], Access::Policy, Writes::Local, "End a token by its accessor."),
    route("revoke-orphan", &[Update], Access::Sudo, Writes::Local, "End a token; its children become orphans."),
    route("accessors", &[List], Access::Sudo, Writes::Nothing, "List the accessors of all tokens."),
    route("tidy", &[Update], Access::Policy, Writes::Nothing, "Sweep what is left of ended tokens."),
    route("roles", &[List], Access::Policy, Writes::Nothing, "List the token roles."),
    route("roles/:role_name", &[Read, Update, Delete], Access::Policy, Writes::Shared, "Read, write or delete a token role."),
];

/// `auth/token/`.
pub struct TokenEngine {
    tokens: Arc<Tokens>,
    policies: Arc<Policies>,
    mounts: Arc<dyn RevokeLease>,
}

impl TokenEngine {
    /// `mounts` tells the limits of the mount that a token came from.
    pub fn new(tokens: Arc<Tokens>, policies: Arc<Policies>, mounts: Arc<dyn RevokeLease>) -> Self {
        Self { tokens, policies, mounts }
    }

    fn create(&self, call: &Call<'_>, txn: &mut Txn, role_name: &str) -> Result<Reply, EngineError> {
        let parent_key = call.caller.token_key.clone().ok_or_else(|| EngineError::invalid("batch tokens cannot create more tokens"))?;
        let parent = read_entry(txn, &parent_key)?.ok_or_else(|| EngineError::invalid("parent token lookup failed: no parent found"))?;
        if parent.is_limited {
            return Err(EngineError::invalid("restricted use token cannot generate child tokens"));
        }
        let role: Option<TokenRole> = match role_name {
            "" => None,
            name => Some(read_json(txn, &keys::token_role(name))?.ok_or_else(|| EngineError::invalid(format!("unknown role {name}")))?),
        };
        let role = role.as_ref();
        let asked = CreateRequest::parse(call.data(), role.is_some())?;
        let acl = self.policies.acl_for(&call.caller.policies)?;
        let is_sudo = acl.decide(Operation::Update, call.request.path.as_str(), call.data(), call.request.wrap_ttl).is_sudo;
        let creator = Creator { entry: &parent, policies: &call.caller.policies, is_sudo };
        let orphan_path = call.path == "create-orphan";
        for (wants, what) in [
            (asked.id.is_some(), "specify token id"),
            (asked.no_parent && role.is_none_or(|role| !role.orphan) && !orphan_path, "create orphan token"),
            (asked.period.0 > 0, "create periodic token"),
        ] {
            if wants && !is_sudo {
                return Err(EngineError::invalid(format!("root or sudo privileges required to {what}")));
            }
        }
        if let Some(id) = &asked.id {
            id::check_custom(id)?;
        }
        let policies = policies_for(&asked, creator, role)?;
        let is_root = policies.iter().any(|policy| policy == "root");
        let kind = role.map_or(RoleTokenType::DefaultService, |role| role.token_type).resolve(asked.kind);
        let mut warnings = Vec::new();
        let lower = |a: u64, b: u64| if a > 0 && b > 0 { a.min(b) } else { a.max(b) };
        let terms = Terms {
            explicit_max_secs: lower(asked.explicit_max_ttl.0, role.map_or(0, |role| role.explicit_max_secs)),
            period_secs: role.map_or(0, |role| role.period_secs).max(if is_sudo { asked.period.0 } else { 0 }),
            ..Terms::default()
        };
        if asked.explicit_max_ttl.0 > 0 && role.is_some_and(|role| role.explicit_max_secs > 0) {
            warnings.push("Explicit max TTL specified both during creation call and in role; using the lesser value".to_owned());
        }
        let num_uses = match (asked.num_uses, role.map_or(0, |role| role.num_uses)) {
            (asked, 0) => asked,
            (0, of_role) => of_role,
            (asked, of_role) => asked.min(of_role),
        };
        if kind == TokenKind::Batch {
            for (is_set, what) in [
                (asked.id.is_some(), "id"),
                (terms.explicit_max_secs > 0, "explicit_max_ttl"),
                (num_uses > 0, "num_uses"),
                (terms.period_secs > 0, "period"),
            ] {
                if is_set {
                    return Err(EngineError::invalid(format!("batch tokens cannot have {what:?} set")));
                }
            }
        }
        let is_endless = is_root && asked.ttl.0 == 0 && terms.period_secs == 0 && terms.explicit_max_secs == 0;
        if is_endless && parent.expires_ms.is_some() {
            return Err(EngineError::invalid("expiring root tokens cannot create non-expiring root tokens"));
        }
        let ttl = if is_endless {
            Ttl::ZERO
        } else {
            let given = ttl::grant(Limits::from(call.mount), &terms, asked.ttl, call.now, call.now)
                .map_err(|past| EngineError::invalid(past.to_string()))?;
            warnings.extend(given.warnings);
            given.ttl
        };
        for policy in &policies {
            if !self.policies.exists(policy)? {
                warnings.push(format!("Policy {policy:?} does not exist"));
            }
        }
        let is_orphan = orphan_path || asked.no_parent || role.is_some_and(|role| role.orphan);
        if asked.id.is_some() {
            warnings.push("Supplying a custom ID for the token is weaker than a random one: choose it as you would a key.".to_owned());
        }
        let suffix = role.map(|role| role.path_suffix.as_str()).filter(|suffix| !suffix.is_empty());
        let mut path = format!("{}{}", call.mount.path, call.path);
        if let Some(suffix) = suffix {
            path = format!("{path}/{suffix}");
        }
        let spec = TokenSpec {
            id: asked.id.map(Secret::new),
            kind,
            parent: (!is_orphan || bug!(61)).then_some(parent_key),
            path,
            display_name: asked.display_name,
            policies,
            meta: asked.meta,
            num_uses,
            ttl,
            terms,
            renewable: asked.renewable && role.is_none_or(|role| role.renewable) && !is_endless,
            role: role_name.to_owned(),
            bound_cidrs: role.map(|role| role.bound_cidrs.clone()).unwrap_or_default(),
            entity_id: if is_orphan && creator.entry.is_root() { String::new() } else { parent.entity_id.clone() },
            ..TokenSpec::default()
        };
        let made = self.tokens.create(txn, spec, call.now)?;
        Ok(Reply { body: Body::Auth(Box::new(made.auth(call.now))), warnings, ..Reply::default() })
    }

    /// The token that a request's `token` field, its accessor or its own header names.
    fn named(&self, call: &Call<'_>, txn: &mut Txn, by: By) -> Result<Option<(Identified, Secret<String>)>, EngineError> {
        let text = match by {
            By::Own => call.request.token.clone().ok_or(EngineError::Denied)?,
            By::Field => {
                let text = call.data().text("token")?.filter(|text| !text.is_empty());
                Secret::new(text.ok_or_else(|| EngineError::invalid("missing token ID"))?)
            }
            By::Accessor => {
                let accessor = call.data().text("accessor")?.filter(|text| !text.is_empty());
                let accessor = accessor.ok_or_else(|| EngineError::invalid("missing accessor"))?;
                let found = self.tokens.by_accessor(txn, &accessor, call.now)?;
                return Ok(found.map(|found| (found, Secret::default())));
            }
        };
        match self.tokens.find(txn, &text, call.now) {
            Ok(found) => Ok(Some((found, text))),
            // The last use of the own token has marked it already.
            Err(TokenError::Unknown) if by == By::Own => {
                let key = self.tokens.key_of(txn, &text)?;
                Ok(read_entry(txn, &key)?.map(|entry| (Identified { entry, key }, text)))
            }
            Err(TokenError::Unknown) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn renew(&self, call: &Call<'_>, txn: &mut Txn, by: By) -> Result<Reply, EngineError> {
        let missing = if by == By::Accessor { "invalid accessor" } else { "token not found" };
        let (mut found, text) = self.named(call, txn, by)?.ok_or_else(|| EngineError::invalid(missing))?;
        let increment = call.data().ttl("increment")?.unwrap_or_default();
        let limits = self.mounts.limits(&found.entry.path).unwrap_or_else(|| Limits::from(call.mount));
        let warnings = self.tokens.renew(txn, &mut found, increment, limits, call.now)?;
        Ok(Reply { body: Body::Auth(Box::new(auth_block(text, &found.entry, call.now))), warnings, ..Reply::default() })
    }

    fn revoke(&self, call: &Call<'_>, txn: &mut Txn, by: By) -> Result<Reply, EngineError> {
        match self.named(call, txn, by)? {
            None if by == By::Accessor => Ok(Reply::empty().warn("No token found with this accessor")),
            None => Ok(Reply::empty()),
            Some((found, _)) if found.entry.is_batch => Err(EngineError::invalid("batch tokens cannot be revoked")),
            #[cfg(feature = "chaos")]
            Some((found, _)) if by == By::Accessor && bug!(59) => {
                txn.delete(keys::token_accessor(&found.entry.accessor));
                Ok(Reply::empty())
            }
            Some((found, _)) => {
                self.tokens.revoke(txn, &found.key, call.now)?;
                Ok(Reply::empty())
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Own,
    Field,
    Accessor,
}

#[async_trait]
impl SystemEngine for TokenEngine {
    fn routes(&self) -> &'static [Route] {
        ROUTES
    }

    async fn handle(&self, call: &Call<'_>, txn: &mut Txn) -> Result<Reply, EngineError> {
        match call.route.pattern {
            "create" | "create-orphan" => self.create(call, txn, ""),
            "create/:role_name" => self.create(call, txn, call.captures.get("role_name")),
            "lookup" => match self.named(call, txn, By::Field)? {
                None => Err(EngineError::Forbidden("bad token".to_owned())),
                Some((found, text)) => Ok(Reply::data(shown(&found.entry, text.expose(), call.now))),
            },
            "lookup-self" => match self.named(call, txn, By::Own)? {
                None => Err(EngineError::Denied),
                Some((found, text)) => Ok(Reply::data(shown(&found.entry, text.expose(), call.now))),
            },
            "lookup-accessor" => match self.named(call, txn, By::Accessor)? {
                None => Err(EngineError::invalid("invalid accessor")),
                Some((found, _)) => Ok(Reply::data(shown(&found.entry, "", call.now))),
            },
            "renew" => self.renew(call, txn, By::Field),
            "renew-self" => self.renew(call, txn, By::Own),
            "renew-accessor" => self.renew(call, txn, By::Accessor),
            "revoke" => self.revoke(call, txn, By::Field),
            "revoke-self" => self.revoke(call, txn, By::Own),
            "revoke-accessor" => self.revoke(call, txn, By::Accessor),
            "revoke-orphan" => match self.named(call, txn, By::Field)? {
                None => Err(EngineError::invalid("token to revoke not found")),
                Some((found, _)) if found.entry.is_batch => Err(EngineError::invalid("batch tokens cannot be revoked")),
                Some((found, _)) => {
                    self.tokens.revoke_orphan(txn, &found.key, call.now)?;
                    Ok(Reply::empty())
                }
            },
            "accessors" => Ok(Reply::keys(engine_roles::all_names(txn, &keys::token_accessors())?)),
            "tidy" => Ok(Reply::from(Body::Accepted).warn(crate::core::lease::TIDY_STARTED)),
            "roles" => Ok(Reply::keys(engine_roles::all_names(txn, &keys::token_roles())?)),
            "roles/:role_name" => engine_roles::handle(call, txn),
            pattern => Err(EngineError::Internal(format!("no handler for {pattern}"))),
        }
    }
}
