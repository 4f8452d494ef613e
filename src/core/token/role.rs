//! Token roles: what tokens that are made by one may be.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::identify::is_cidr;
use crate::core::policy::{glob, sanitize};
use crate::engine::{Data, EngineError, TokenKind};

/// Which kind of token a role makes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RoleTokenType {
    /// Always service tokens.
    Service,
    /// Always batch tokens.
    Batch,
    /// Service tokens, unless the request says otherwise.
    #[default]
    DefaultService,
    /// Batch tokens, unless the request says otherwise.
    DefaultBatch,
}

impl RoleTokenType {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "service" => Some(Self::Service),
            "batch" => Some(Self::Batch),
            "default-service" | "default" | "" => Some(Self::DefaultService),
            "default-batch" => Some(Self::DefaultBatch),
            _ => None,
        }
    }
    fn name(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Batch => "batch",
            Self::DefaultService => "default-service",
            Self::DefaultBatch => "default-batch",
        }
    }
    /// What a request for `asked` gets.
    pub(super) fn resolve(self, asked: Option<TokenKind>) -> TokenKind {
        match self {
            Self::Service => TokenKind::Service,
            Self::Batch => TokenKind::Batch,
            Self::DefaultService => asked.unwrap_or(TokenKind::Service),
            Self::DefaultBatch => asked.unwrap_or(TokenKind::Batch),
        }
    }
}

/// A token role, as stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TokenRole {
    /// The only policies that its tokens may have.
    pub allowed_policies: Vec<String>,
    /// Also those that match one of these.
    pub allowed_policies_glob: Vec<String>,
    /// Policies that its tokens may not have.
    pub disallowed_policies: Vec<String>,
    /// Also those that match one of these.
    pub disallowed_policies_glob: Vec<String>,
    /// Its tokens have no parent.
    pub orphan: bool,
    /// Its tokens may be renewed.
    pub renewable: bool,
    /// The end of its tokens' path.
    pub path_suffix: String,
    /// Entity aliases that a request may name.
    pub allowed_entity_aliases: Vec<String>,
    /// See [`super::ttl::Terms`].
    pub period_secs: u64,
    /// See [`super::ttl::Terms`].
    pub explicit_max_secs: u64,
    /// CIDRs that its tokens may be used from.
    pub bound_cidrs: Vec<String>,
    /// Which kind of token it makes.
    pub token_type: RoleTokenType,
    /// Its tokens do not get `default`.
    pub no_default_policy: bool,
    /// How often its tokens may be used; zero for any number.
    pub num_uses: u32,
}

impl Default for TokenRole {
    fn default() -> Self {
        Self {
            allowed_policies: Vec::new(),
            allowed_policies_glob: Vec::new(),
            disallowed_policies: Vec::new(),
            disallowed_policies_glob: Vec::new(),
            orphan: false,
            renewable: true,
            path_suffix: String::new(),
            allowed_entity_aliases: Vec::new(),
            period_secs: 0,
            explicit_max_secs: 0,
            bound_cidrs: Vec::new(),
            token_type: RoleTokenType::DefaultService,
            no_default_policy: false,
            num_uses: 0,
        }
    }
}

impl TokenRole {
    /// This role with the fields that `data` has replaced.
    ///
    /// # Errors
    /// With a text for the client.
    pub(super) fn changed(mut self, data: &Data) -> Result<Self, EngineError> {
        for (field, target) in [
            ("allowed_policies", &mut self.allowed_policies),
            ("allowed_policies_glob", &mut self.allowed_policies_glob),
            ("disallowed_policies", &mut self.disallowed_policies),
            ("disallowed_policies_glob", &mut self.disallowed_policies_glob),
            ("allowed_entity_aliases", &mut self.allowed_entity_aliases),
        ] {
            if let Some(texts) = data.texts(field)? {
                *target = sanitize(texts);
            }
        }
        for (field, target) in
            [("orphan", &mut self.orphan), ("renewable", &mut self.renewable), ("token_no_default_policy", &mut self.no_default_policy)]
        {
            if let Some(flag) = data.flag(field)? {
                *target = flag;
            }
        }
        if let Some(suffix) = data.text("path_suffix")? {
            check_suffix(&suffix)?;
            self.path_suffix = suffix;
        }
        for (new, old, target) in
            [("token_period", "period", &mut self.period_secs), ("token_explicit_max_ttl", "explicit_max_ttl", &mut self.explicit_max_secs)]
        {
            if let Some(ttl) = data.ttl(new)?.or(data.ttl(old)?) {
                *target = ttl.0;
            }
        }
        if let Some(cidrs) = data.texts("token_bound_cidrs")?.or(data.texts("bound_cidrs")?) {
            if let Some(wrong) = cidrs.iter().find(|cidr| !is_cidr(cidr)) {
                return Err(EngineError::invalid(format!("error parsing address {wrong:?}: unable to convert to an address or CIDR")));
            }
            self.bound_cidrs = cidrs;
        }
        if let Some(kind) = data.text("token_type")? {
            self.token_type =
                RoleTokenType::parse(&kind).ok_or_else(|| EngineError::invalid(format!("invalid 'token_type' value {kind:?}")))?;
        }
        if let Some(uses) = data.integer("token_num_uses")? {
            self.num_uses = u32::try_from(uses).map_err(|_| EngineError::invalid("'token_num_uses' cannot be negative"))?;
        }
        self.check_batch()?;
        Ok(self)
    }

    fn check_batch(&self) -> Result<(), EngineError> {
        if self.token_type != RoleTokenType::Batch {
            return Ok(());
        }
        for (is_wrong, what) in [
            (!self.orphan, "non-orphan tokens"),
            (self.period_secs > 0, "periodic tokens"),
            (self.renewable, "renewable tokens"),
            (self.explicit_max_secs > 0, "tokens with an explicit max TTL"),
        ] {
            if is_wrong {
                return Err(EngineError::invalid(format!("'token_type' cannot be 'batch' when role is set to generate {what}")));
            }
        }
        Ok(())
    }

    /// Whether it says which policies are allowed.
    pub(super) fn allows_some(&self) -> bool {
        !self.allowed_policies.is_empty() || !self.allowed_policies_glob.is_empty()
    }
    /// Whether it says which policies are not allowed.
    pub(super) fn disallows_some(&self) -> bool {
        !self.disallowed_policies.is_empty() || !self.disallowed_policies_glob.is_empty()
    }
    /// Whether `policy` is one of those it allows.
    pub(super) fn allows(&self, policy: &str) -> bool {
        self.allowed_policies.iter().any(|allowed| allowed == policy)
            || self.allowed_policies_glob.iter().any(|pattern| glob(pattern, policy))
    }
    /// Whether `policy` is one of those it does not allow.
    pub(super) fn disallows(&self, policy: &str) -> bool {
        self.disallowed_policies.iter().any(|disallowed| disallowed == policy)
            || self.disallowed_policies_glob.iter().any(|pattern| glob(pattern, policy))
    }

    /// The `data` of a read.
    pub(super) fn shown(&self, name: &str) -> Map<String, Value> {
        let mut data = Map::new();
        let mut set = |name: &str, value: Value| {
            data.insert(name.to_owned(), value);
        };
        set(
            "allowed_entity_aliases",
            if self.allowed_entity_aliases.is_empty() { Value::Null } else { json!(self.allowed_entity_aliases) },
        );
        set("allowed_policies", json!(self.allowed_policies));
        set("allowed_policies_glob", json!(self.allowed_policies_glob));
        set("disallowed_policies", json!(self.disallowed_policies));
        set("disallowed_policies_glob", json!(self.disallowed_policies_glob));
        set("explicit_max_ttl", json!(self.explicit_max_secs));
        set("name", json!(name));
        set("orphan", json!(self.orphan));
        set("path_suffix", json!(self.path_suffix));
        set("period", json!(self.period_secs));
        set("renewable", json!(self.renewable));
        set("token_explicit_max_ttl", json!(self.explicit_max_secs));
        set("token_no_default_policy", json!(self.no_default_policy));
        set("token_period", json!(self.period_secs));
        set("token_type", json!(self.token_type.name()));
        if !self.bound_cidrs.is_empty() {
            set("token_bound_cidrs", json!(self.bound_cidrs));
            set("bound_cidrs", json!(self.bound_cidrs));
        }
        if self.num_uses > 0 {
            set("token_num_uses", json!(self.num_uses));
        }
        data
    }
}

fn check_suffix(suffix: &str) -> Result<(), EngineError> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let is_inner = |c: char| is_word(c) || matches!(c, '-' | '.');
    let is_fine = suffix.is_empty() || suffix.chars().all(is_inner) && suffix.starts_with(is_word) && suffix.ends_with(is_word);
    if !is_fine {
        return Err(EngineError::invalid(r"given role path suffix contains invalid characters; must match ^\w[\w-.]+\w$".to_owned()));
    }
    if suffix.contains("..") {
        return Err(EngineError::invalid("error registering path suffix: path cannot contain parent references"));
    }
    Ok(())
}
