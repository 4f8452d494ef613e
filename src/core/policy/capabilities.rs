//! `sys/capabilities`, `-self` and `-accessor`, and `sys/internal/ui/resultant-acl`: what a token may do.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Map, json};

use super::{Acl, Policies, resultant};
use crate::barrier::Txn;
use crate::core::SystemEngine;
use crate::core::token::{TokenError, Tokens};
use crate::engine::{Access, Call, EngineError, Operation, Reply, Route, Writes};
use crate::types::Secret;

use Operation::{Read, Update};

const fn route(pattern: &'static str, operations: &'static [Operation], help: &'static str) -> Route {
    Route { pattern, operations, access: Access::Policy, writes: Writes::Nothing, help }
}

const ROUTES: &[Route] = &[
    route("capabilities", &[Update], "What a token may do on some paths."),
    route("capabilities-self", &[Update], "What the own token may do on some paths."),
    route("capabilities-accessor", &[Update], "What the token with an accessor may do on some paths."),
    route("internal/ui/resultant-acl", &[Read], "All that the own token may do."),
];

/// `sys/capabilities*`, `sys/internal/ui/resultant-acl`.
#[derive(Debug)]
pub struct CapabilitiesEngine {
    tokens: Arc<Tokens>,
    policies: Arc<Policies>,
}

impl CapabilitiesEngine {
    /// Asks the same rules as the pipeline.
    pub fn new(tokens: Arc<Tokens>, policies: Arc<Policies>) -> Self {
        Self { tokens, policies }
    }

    fn asked(&self, call: &Call<'_>, txn: &mut Txn) -> Result<Arc<Acl>, EngineError> {
        let policies = match call.route.pattern {
            "capabilities" => {
                let token = call.data().text("token")?.filter(|token| !token.is_empty());
                let token = Secret::new(token.ok_or(EngineError::AsFailure("no token found"))?);
                match self.tokens.find(txn, &token, call.now) {
                    Ok(found) => found.entry.policies,
                    Err(TokenError::Unknown) => return Err(EngineError::invalid("invalid token")),
                    Err(error) => return Err(error.into()),
                }
            }
            "capabilities-accessor" => {
                let accessor = call.data().text("accessor")?.filter(|accessor| !accessor.is_empty());
                let accessor = accessor.ok_or_else(|| EngineError::invalid("missing accessor"))?;
                let found = self.tokens.by_accessor(txn, &accessor, call.now)?;
                found.ok_or_else(|| EngineError::invalid("invalid accessor"))?.entry.policies
            }
            _ => call.caller.policies.clone(),
        };
        self.policies.acl_for(&policies)
    }
}

#[async_trait]
impl SystemEngine for CapabilitiesEngine {
    fn routes(&self) -> &'static [Route] {
        ROUTES
    }

    async fn handle(&self, call: &Call<'_>, txn: &mut Txn) -> Result<Reply, EngineError> {
        if call.route.pattern == "internal/ui/resultant-acl" {
            return Ok(Reply::data(resultant::shown(self.policies.acl_for(&call.caller.policies)?.as_ref())));
        }
        let paths = match call.data().texts("paths")?.filter(|paths| !paths.is_empty()) {
            Some(paths) => Some(paths),
            None => call.data().texts("path")?.filter(|paths| !paths.is_empty()),
        };
        let paths = paths.ok_or_else(|| EngineError::invalid("paths must be supplied"))?;
        let acl = self.asked(call, txn)?;
        let mut data = Map::new();
        for path in &paths {
            data.insert(path.clone(), json!(acl.capabilities(path)));
        }
        if let [only] = paths.as_slice() {
            data.insert("capabilities".to_owned(), json!(acl.capabilities(only)));
        }
        Ok(Reply::data(data))
    }
}
