//! What a token is to be, and what was made.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::entry::TokenEntry;
use super::ttl::Terms;
use crate::engine::{AuthInfo, TokenKind};
use crate::types::{Secret, Timestamp, Ttl};

/// What a token is to be: all questions of who may ask for it are answered.
#[derive(Clone, Debug, Default)]
pub struct TokenSpec {
    /// The token itself, where it is not random.
    pub id: Option<Secret<String>>,
    /// Service or batch.
    pub kind: TokenKind,
    /// The stored form of the token that makes it; none for an orphan.
    pub parent: Option<String>,
    /// The path that it is made at.
    pub path: String,
    /// As in the audit log.
    pub display_name: String,
    /// Names of policies.
    pub policies: Vec<String>,
    /// Shown with the token.
    pub meta: BTreeMap<String, String>,
    /// Zero: any number of uses.
    pub num_uses: u32,
    /// Zero: for ever, which only root tokens may.
    pub ttl: Ttl,
    /// What bounds its renewal.
    pub terms: Terms,
    /// Whether it may be renewed.
    pub renewable: bool,
    /// The token role that it is made by; empty for none.
    pub role: String,
    /// CIDRs that it may be used from; empty for any.
    pub bound_cidrs: Vec<String>,
    /// The identity entity; empty for none.
    pub entity_id: String,
    /// What the auth method needs to renew it.
    pub internal: Map<String, Value>,
}

impl TokenSpec {
    /// A root token without an end. One with a given `id` is dev mode's, and looks as if the API had made it, as clients expect.
    pub fn root(id: Option<Secret<String>>) -> Self {
        let (path, display_name) = if id.is_some() { ("auth/token/create", "token") } else { ("auth/token/root", "root") };
        Self { id, path: path.to_owned(), display_name: display_name.to_owned(), policies: vec!["root".to_owned()], ..Self::default() }
    }
}

/// A token that will exist once its transaction is committed.
#[derive(Clone, Debug)]
pub struct Made {
    /// The token itself.
    pub token: Secret<String>,
    /// Its stored form.
    pub key: String,
    /// What is stored of it.
    pub entry: TokenEntry,
    /// What the client should know.
    pub warnings: Vec<String>,
}

impl Made {
    /// The `auth` block.
    pub fn auth(&self, now: Timestamp) -> AuthInfo {
        auth_block(self.token.clone(), &self.entry, now)
    }
}

/// The `auth` block of a token; `token` is empty where an accessor named it.
pub(super) fn auth_block(token: Secret<String>, entry: &TokenEntry, now: Timestamp) -> AuthInfo {
    let fields = json!({
        "accessor": entry.accessor,
        "policies": entry.policies,
        "token_policies": entry.policies,
        "metadata": if entry.meta.is_empty() { Value::Null } else { json!(entry.meta) },
        "lease_duration": entry.ttl_left(now).0,
        "renewable": entry.renewable,
        "entity_id": entry.entity_id,
        "token_type": entry.kind_name(),
        "orphan": entry.parent.is_empty(),
        "mfa_requirement": null,
        "num_uses": entry.num_uses,
    });
    let fields = if let Value::Object(fields) = fields { fields } else { Map::new() };
    AuthInfo { client_token: token, display_name: entry.display_name.clone(), fields }
}
