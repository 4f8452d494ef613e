//! `sys/leases/` and the older `sys/renew`, `sys/revoke`, `sys/revoke-prefix`, `sys/revoke-force`.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::json;

use super::lookup::{Found, find, shown};
use super::revoke::OnFailure;
use super::{Leases, TIDY_STARTED};
use crate::barrier::Txn;
use crate::core::token::engine_roles::all_names;
use crate::core::{SystemEngine, keys};
use crate::engine::{Access, Body, Call, EngineError, Operation, Reply, Route, Writes};

use Operation::{List, Read, Update};

const fn route(pattern: &'static str, operations: &'static [Operation], access: Access, writes: Writes, help: &'static str) -> Route {
    Route { pattern, operations, access, writes, help }
}

const ROUTES: &[Route] = &[
    route("leases/lookup", &[Update], Access::Policy, Writes::Nothing, "Look a lease up."),
    route("leases/lookup/*prefix", &[List], Access::Sudo, Writes::Nothing, "List leases by their prefix."),
    route("leases/renew/*url_lease_id", &[Update], Access::Policy, Writes::Local, "Renew a lease."),
    route("renew/*url_lease_id", &[Update], Access::Policy, Writes::Local, "Renew a lease."),
    route("leases/revoke/*url_lease_id", &[Update], Access::Policy, Writes::Local, "End a lease."),
    route("revoke/*url_lease_id", &[Update], Access::Policy, Writes::Local, "End a lease."),
    route("leases/revoke-prefix/*prefix", &[Update], Access::Sudo, Writes::Local, "End all leases below a prefix."),
    route("revoke-prefix/*prefix", &[Update], Access::Sudo, Writes::Local, "End all leases below a prefix."),
    route("leases/revoke-force/*prefix", &[Update], Access::Sudo, Writes::Local, "Forget all leases below a prefix."),
    route("revoke-force/*prefix", &[Update], Access::Sudo, Writes::Local, "Forget all leases below a prefix."),
    route("leases/tidy", &[Update], Access::Policy, Writes::Nothing, "Sweep what is left of ended leases."),
    route("leases/count", &[Read], Access::Policy, Writes::Nothing, "Count leases that cannot be revoked."),
    route("leases", &[Read], Access::Sudo, Writes::Nothing, "List leases that cannot be revoked."),
];

/// Most leases that one answer lists, unless asked for all.
const LISTED_DEFAULT: usize = 10_000;

/// `sys/leases/`.
#[derive(Debug)]
pub struct LeaseEngine {
    leases: Arc<Leases>,
}

impl LeaseEngine {
    /// Over all leases.
    pub fn new(leases: Arc<Leases>) -> Self {
        Self { leases }
    }

    fn renew(&self, call: &Call<'_>, txn: &mut Txn, id: &str) -> Result<Reply, EngineError> {
        let increment = call.data().ttl("increment")?.unwrap_or_default();
        match find(txn, id)? {
            None => Err(EngineError::invalid("lease not found")),
            Some(Found::Token(..)) => Err(EngineError::invalid("tokens cannot be renewed through this endpoint")),
            Some(Found::Secret(lease)) => {
                let (lease, warnings) = self.leases.renew(txn, *lease, increment, call.now)?;
                let body = Body::Renewed { lease_duration: lease.ttl_left(call.now).0, lease_id: lease.id, renewable: lease.renewable };
                Ok(Reply { body, warnings, ..Reply::default() })
            }
        }
    }
}

fn lease_id(call: &Call<'_>) -> Result<String, EngineError> {
    let id = match call.captures.get("url_lease_id") {
        "" => call.data().text("lease_id")?.filter(|id| !id.is_empty()),
        id => Some(id.to_owned()),
    };
    id.ok_or_else(|| EngineError::invalid("lease_id must be specified"))
}

/// Clients that do not wait are told that it is under way, though it is done.
fn revoked(call: &Call<'_>) -> Result<Reply, EngineError> {
    Ok(if call.data().flag("sync")? == Some(false) { Body::Accepted.into() } else { Reply::empty() })
}

fn irrevocable(call: &Call<'_>, txn: &mut Txn) -> Result<Reply, EngineError> {
    if call.data().text("type")?.as_deref() != Some("irrevocable") {
        return Ok(Reply::missing());
    }
    let limit = match call.data().text("limit")?.as_deref() {
        None | Some("") => LISTED_DEFAULT,
        Some("none") => usize::MAX,
        Some(text) => text
            .parse()
            .ok()
            .filter(|limit| *limit > 0)
            .ok_or_else(|| EngineError::invalid("limit must be 'none' or a positive integer"))?,
    };
    let mut leases = Leases::irrevocable(txn, limit.saturating_add(1))?;
    if call.route.pattern == "leases/count" {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for lease in &leases {
            *counts.entry(lease.mount_accessor.as_str()).or_default() += 1;
        }
        return Ok(Reply::json(json!({ "lease_count": leases.len(), "counts": counts })));
    }
    let is_cut = leases.len() > limit;
    leases.truncate(limit);
    let rows: Vec<_> =
        leases.iter().map(|lease| json!({ "lease_id": lease.id, "mount_id": lease.mount_accessor, "error": lease.revoke_error })).collect();
    let reply = Reply::json(json!({ "lease_count": rows.len(), "leases": rows }));
    Ok(if is_cut { reply.warn(format!("Results limited to {limit}; use limit=none to see all")) } else { reply })
}

#[async_trait]
impl SystemEngine for LeaseEngine {
    fn routes(&self) -> &'static [Route] {
        ROUTES
    }

    async fn handle(&self, call: &Call<'_>, txn: &mut Txn) -> Result<Reply, EngineError> {
        match call.route.pattern {
            "leases/lookup" => {
                let id = lease_id(call)?;
                let found = find(txn, &id)?.ok_or_else(|| EngineError::invalid("invalid lease"))?;
                Ok(Reply::data(shown(&id, &found, call.now)))
            }
            "leases/lookup/*prefix" => {
                let prefix = call.captures.get("prefix").trim_end_matches('/');
                let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
                Ok(Reply::keys(all_names(txn, &keys::leases(&prefix))?))
            }
            "leases/renew/*url_lease_id" | "renew/*url_lease_id" => self.renew(call, txn, &lease_id(call)?),
            "leases/revoke/*url_lease_id" | "revoke/*url_lease_id" => {
                self.leases.revoke(txn, &lease_id(call)?).await?;
                revoked(call)
            }
            "leases/revoke-prefix/*prefix" | "revoke-prefix/*prefix" => {
                if !bug!(83) {
                    self.leases.revoke_prefix(call.captures.get("prefix"), OnFailure::Stop).await?;
                }
                revoked(call)
            }
            "leases/revoke-force/*prefix" | "revoke-force/*prefix" => {
                self.leases.revoke_prefix(call.captures.get("prefix"), OnFailure::Forget).await?;
                Ok(Reply::empty())
            }
            "leases/tidy" => Ok(Reply::from(Body::Accepted).warn(TIDY_STARTED)),
            "leases/count" | "leases" => irrevocable(call, txn),
            pattern => Err(EngineError::Internal(format!("no handler for {pattern}"))),
        }
    }
}
