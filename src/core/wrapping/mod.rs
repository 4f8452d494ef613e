//! Wrapping: an answer put away in the cubbyhole of a token that can be used once, so that exactly one reader gets it.
//!
//! Token, answer and the request's own writes are one commit. Giving the answer out removes token and answer in one commit, which
//! rests on the token's row as it was read: of several readers at one time one is first, and the others find nothing.

mod engine;
mod jwt;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::json;

pub use engine::WrappingEngine;

use super::token::entry::{read_entry, read_json, write_json};
use super::token::revoke::children;
use super::token::{Terms, TokenEntry, TokenSpec, Tokens};
use super::{Context, Response, keys};
use crate::barrier::Txn;
use crate::engine::{EngineError, WrapInfo};
use crate::types::{Secret, Timestamp, Ttl};

/// Makes the key that signs JWTs, if it is not there yet.
///
/// # Errors
/// If storage cannot be read or no key could be made.
pub(in crate::core) fn ensure_key(txn: &mut Txn) -> Result<(), EngineError> {
    jwt::key_or_new(txn).map(|_| ())
}

/// The policy that all wrapping tokens have, and no other token.
const POLICY: &str = "response-wrapping";

/// What a client is told of any token that is none.
const NOT_VALID: &str = "wrapping token is not valid or does not exist";

/// Under this name the answer lies in the token's cubbyhole: clients older than `sys/wrapping/unwrap` read it there.
const RESPONSE: &str = "response";
/// Under this name lies where the answer came from.
const ORIGIN: &str = "wrapinfo";

/// Where a wrapped answer came from, as stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Origin {
    creation_path: String,
    creation_ttl: u64,
    creation_time: String,
    wrapped_accessor: String,
    /// The answer said that there is nothing there.
    is_missing: bool,
}

/// The answer, as stored: a text inside JSON, because the cubbyhole gives it out as such.
#[derive(Serialize, Deserialize)]
struct StoredResponse {
    response: String,
}

/// A wrapping token whose answer was not given out yet.
#[derive(Debug)]
struct Found {
    key: String,
    entry: TokenEntry,
    origin: Origin,
}

/// What is wrapped.
#[derive(Debug)]
struct Parcel {
    /// The envelope, as JSON; empty if there was nothing to say.
    payload: Secret<String>,
    origin: Origin,
    ttl: Ttl,
    is_jwt: bool,
}

/// Puts answers away and gives them out.
pub struct Wrapping {
    ctx: Arc<Context>,
    tokens: Arc<Tokens>,
    api_addr: String,
}

impl fmt::Debug for Wrapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wrapping")
    }
}

impl Wrapping {
    /// `api_addr` is the URL that a JWT tells its reader; may be empty.
    pub fn new(ctx: Arc<Context>, tokens: Arc<Tokens>, api_addr: String) -> Self {
        Self { ctx, tokens, api_addr }
    }

    /// Puts `response` away for `ttl`. `path` is the whole path of the request. `is_jwt`: the token tells this cluster's address.
    ///
    /// # Errors
    /// If storage cannot be read.
    pub fn wrap(
        &self,
        txn: &mut Txn,
        response: Response,
        path: &str,
        ttl: Ttl,
        is_jwt: bool,
        now: Timestamp,
    ) -> Result<WrapInfo, EngineError> {
        let accessor = response.auth.as_ref().and_then(|auth| auth.fields.get("accessor")).and_then(|accessor| accessor.as_str());
        let of_secret_id = response.data.as_ref().filter(|data| data.contains_key("secret_id"));
        let accessor = accessor.or_else(|| of_secret_id.and_then(|data| data.get("secret_id_accessor")).and_then(|value| value.as_str()));
        let origin = Origin {
            creation_path: path.to_owned(),
            creation_ttl: ttl.0,
            creation_time: now.rfc3339(),
            wrapped_accessor: accessor.unwrap_or_default().to_owned(),
            is_missing: response.is_missing,
        };
        let is_empty = response.data.is_none() && response.auth.is_none() && response.lease_id.is_empty() && response.warnings.is_empty();
        let payload = if is_empty { String::new() } else { response.envelope(path).to_string() };
        self.put_away(txn, Parcel { payload: Secret::new(payload), origin, ttl, is_jwt }, now)
    }

    fn put_away(&self, txn: &mut Txn, parcel: Parcel, now: Timestamp) -> Result<WrapInfo, EngineError> {
        let Parcel { payload, origin, ttl, is_jwt } = parcel;
        if ttl.0 == 0 {
            return Err(EngineError::invalid("the wrap TTL must be at least one second"));
        }
        let spec = TokenSpec {
            path: origin.creation_path.clone(),
            policies: vec![POLICY.to_owned()],
            num_uses: 1,
            ttl,
            terms: Terms { explicit_max_secs: ttl.0, ..Terms::default() },
            ..TokenSpec::default()
        };
        let made = self.tokens.create(txn, spec, now)?;
        let stored = StoredResponse { response: payload.expose().clone() };
        write_json(txn, keys::cubbyhole(&made.key, RESPONSE), &stored);
        write_json(txn, keys::cubbyhole(&made.key, ORIGIN), &origin);
        let token = if is_jwt { self.jwt_for(txn, &made.token, &origin, now)? } else { made.token };
        Ok(WrapInfo {
            token,
            accessor: made.entry.accessor,
            ttl: ttl.0,
            creation_time: origin.creation_time,
            creation_path: origin.creation_path,
            wrapped_accessor: origin.wrapped_accessor,
        })
    }

    /// The wrapping token that `text` is, bare or inside a JWT. `used` is the stored form of the token that made the request: if it
    /// is the same, its one use was for this request.
    fn find(&self, txn: &mut Txn, text: &Secret<String>, used: Option<&str>, now: Timestamp) -> Result<Found, EngineError> {
        let not_valid = || EngineError::invalid(NOT_VALID);
        let inner = jwt::inner(txn, text)?.ok_or_else(not_valid)?;
        let key = self.tokens.key_of(txn, &inner)?;
        let entry = read_entry(txn, &key)?.ok_or_else(not_valid)?;
        let is_live = entry.is_live(now)
            || bug!(60) && !entry.is_revoked
            || used == Some(key.as_str()) && entry.expires_ms.is_some_and(|end| now.0 < end);
        if !is_live || entry.policies != [POLICY] {
            return Err(not_valid());
        }
        let origin = read_json(txn, &keys::cubbyhole(&key, ORIGIN))?;
        let origin =
            origin.ok_or_else(|| EngineError::invalid("no information found; wrapping token may be from a previous Vault version"))?;
        Ok(Found { key, entry, origin })
    }

    /// Takes the answer out: token and answer are gone with this commit.
    fn take_out(&self, txn: &mut Txn, found: &Found, now: Timestamp) -> Result<Secret<String>, EngineError> {
        let payload = Self::look_at(txn, found)?;
        #[cfg(feature = "chaos")]
        if bug!(17) {
            txn.forget_reads();
        }
        for name in children(txn, &keys::cubbyholes(&found.key), 10)? {
            txn.delete(keys::cubbyhole(&found.key, &name));
        }
        let (key, entry) = (&found.key, &found.entry);
        txn.delete(keys::token(key));
        txn.delete(keys::token_accessor(&entry.accessor));
        txn.delete(keys::lease(&entry.lease_id(key)));
        txn.delete(keys::due(now.0, &format!("token/{key}")));
        if let Some(expires) = entry.expires_ms {
            txn.delete(keys::due(expires, &format!("token/{key}")));
        }
        Ok(payload)
    }

    /// The answer, which stays where it is.
    fn look_at(txn: &mut Txn, found: &Found) -> Result<Secret<String>, EngineError> {
        let stored: Option<StoredResponse> = read_json(txn, &keys::cubbyhole(&found.key, RESPONSE))?;
        stored.map(|stored| Secret::new(stored.response)).ok_or_else(|| EngineError::invalid(NOT_VALID))
    }

    fn jwt_for(&self, txn: &mut Txn, token: &Secret<String>, origin: &Origin, now: Timestamp) -> Result<Secret<String>, EngineError> {
        let claims = json!({
            "accessor": origin.wrapped_accessor,
            "addr": self.api_addr(),
            "exp": now.secs() + origin.creation_ttl,
            "iat": now.secs(),
            "jti": token.expose(),
            "nbf": now.secs().saturating_sub(5),
            "type": "wrapping",
        });
        jwt::sign(txn, &claims)
    }

    /// This node's address for clients: as configured, or as its cluster knows it.
    fn api_addr(&self) -> String {
        if !self.api_addr.is_empty() {
            return self.api_addr.clone();
        }
        let status = self.ctx.raft.status();
        let status = status.borrow();
        status.peers.iter().find(|peer| peer.id == status.id).map(|peer| peer.member.api_addr.clone()).unwrap_or_default()
    }
}
