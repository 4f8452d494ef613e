//! `sys/wrapping/`.
//!
//! The routes that take a wrapping token are open, because the token itself may be all that the caller has; who else calls must be
//! allowed by a policy, which is checked here.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::json;

use super::{Found, NOT_VALID, Parcel, Wrapping, jwt};
use crate::barrier::Txn;
use crate::core::SystemEngine;
use crate::core::policy::Policies;
use crate::core::replication::activation;
use crate::engine::{Access, Body, Call, EngineError, Operation, Raw, Reply, Route, Writes};
use crate::types::{Secret, Ttl};

use Operation::{Read, Update};

const fn route(pattern: &'static str, operations: &'static [Operation], access: Access, writes: Writes, help: &'static str) -> Route {
    Route { pattern, operations, access, writes, help }
}

const ROUTES: &[Route] = &[
    route("wrapping/wrap", &[Update], Access::Policy, Writes::Local, "Wrap what is sent."),
    route("wrapping/unwrap", &[Update], Access::Anyone, Writes::Local, "Give a wrapped answer out, once."),
    route("wrapping/rewrap", &[Update], Access::Anyone, Writes::Local, "Put a wrapped answer under a new token."),
    route("wrapping/lookup", &[Read, Update], Access::Anyone, Writes::Nothing, "Tell where a wrapped answer came from."),
    route("wrapping/pubkey", &[Read], Access::Anyone, Writes::Nothing, "The public key of wrapping JWTs."),
];

/// `sys/wrapping/`.
#[derive(Debug)]
pub struct WrappingEngine {
    wrapping: Arc<Wrapping>,
    policies: Arc<Policies>,
}

impl WrappingEngine {
    /// Asks the same rules as the pipeline.
    pub fn new(wrapping: Arc<Wrapping>, policies: Arc<Policies>) -> Self {
        Self { wrapping, policies }
    }

    /// The wrapping token that the request names in its body, or is made with.
    fn named(&self, call: &Call<'_>, txn: &mut Txn, is_looking: bool) -> Result<Found, EngineError> {
        let sent = call.data().text("token")?.filter(|text| !text.is_empty()).map(Secret::new);
        let own = call.request.token.as_ref();
        let used = call.caller.token_key.as_deref();
        let is_other = match (&sent, own) {
            (None, None) => return Err(EngineError::invalid("missing \"token\" value in input")),
            (Some(sent), Some(own)) => !own.same_as(sent.expose().as_bytes()),
            (Some(_), None) => true,
            (None, Some(_)) => false,
        };
        if is_other && !is_looking {
            let acl = self.policies.acl_for(&call.caller.policies)?;
            if !acl.decide(Operation::Update, call.request.path.as_str(), call.data(), call.request.wrap_ttl).is_allowed {
                return Err(EngineError::Denied);
            }
        }
        let text = sent.as_ref().or(own).ok_or_else(|| EngineError::invalid(NOT_VALID))?;
        let found = self.wrapping.find(txn, text, used, call.now)?;
        if let Some(own) = own.filter(|_| is_other && !is_looking) {
            // Routes that are open take no use from a token; this one does.
            if let Ok(mut caller) = self.wrapping.tokens.find(txn, own, call.now) {
                self.wrapping.tokens.use_once(txn, &mut caller, call.now)?;
            }
        }
        Ok(found)
    }
}

impl WrappingEngine {
    /// Gives the answer out, once, and whether it said that nothing is there; an activation again to whoever claimed it.
    fn unwrap(&self, call: &Call<'_>, txn: &mut Txn) -> Result<(Secret<String>, bool), EngineError> {
        let claim = activation::claim_in(call.data())?;
        if let (Some(claim), Some(own)) = (&claim, &call.request.token)
            && let Some(bare) = jwt::inner(txn, own)?
        {
            let token = self.wrapping.tokens.key_of(txn, &bare)?;
            if let Some(payload) = activation::asked_again(txn, &token, claim, call.now)? {
                return Ok((payload, false));
            }
        }
        let found = self.named(call, txn, false)?;
        let payload = self.wrapping.take_out(txn, &found, call.now)?;
        let until = (found.key.as_str(), found.entry.expires_ms.unwrap_or(call.now.0));
        activation::given_out(txn, &found.origin.creation_path, &payload, claim.as_ref(), until)?;
        Ok((payload, found.origin.is_missing))
    }
}

#[async_trait]
impl SystemEngine for WrappingEngine {
    fn routes(&self) -> &'static [Route] {
        ROUTES
    }

    async fn handle(&self, call: &Call<'_>, txn: &mut Txn) -> Result<Reply, EngineError> {
        match call.route.pattern {
            "wrapping/wrap" => {
                let ttl = call.request.wrap_ttl.filter(|ttl| ttl.0 > 0);
                let ttl = ttl.ok_or_else(|| EngineError::invalid("endpoint requires response wrapping to be used"))?;
                Ok(Body::Wrap { data: call.data().0.clone(), ttl, jwt: false }.into())
            }
            "wrapping/unwrap" => {
                let (payload, is_missing) = self.unwrap(call, txn)?;
                if payload.expose().is_empty() {
                    return Ok(Reply::empty());
                }
                let bytes = bytes::Bytes::copy_from_slice(payload.expose().as_bytes());
                Ok(Body::Raw(Raw { content_type: "application/json", bytes, is_missing }).into())
            }
            "wrapping/rewrap" => {
                let found = self.named(call, txn, false)?;
                let payload = if bug!(71) { Wrapping::look_at(txn, &found)? } else { self.wrapping.take_out(txn, &found, call.now)? };
                let ttl = Ttl(found.origin.creation_ttl);
                let expires_ms = call.now.0.saturating_add(ttl.0.saturating_mul(1000));
                activation::rewrapped(txn, &found.origin.creation_path, &payload, expires_ms)?;
                let mut origin = found.origin;
                origin.creation_time = call.now.rfc3339();
                let info = self.wrapping.put_away(txn, Parcel { payload, origin, ttl, is_jwt: false }, call.now)?;
                Ok(Body::Wrapped(info).into())
            }
            "wrapping/lookup" => {
                let origin = self.named(call, txn, true)?.origin;
                Ok(Reply::json(json!({
                    "creation_path": origin.creation_path,
                    "creation_time": origin.creation_time,
                    "creation_ttl": origin.creation_ttl,
                })))
            }
            "wrapping/pubkey" => Ok(jwt::public_key(txn)?.map_or_else(Reply::missing, Reply::data)),
            pattern => Err(EngineError::Internal(format!("no handler for {pattern}"))),
        }
    }
}
