//! `sys/replication/`: the paths of the API. What they do is in `core::replication`.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::json;

use crate::barrier::Txn;
use crate::core::SystemEngine;
use crate::core::replication::Replication;
use crate::engine::{Access, Call, EngineError, Operation, Reply, Route, Writes};

/// `sys/replication/`.
#[derive(Debug)]
pub struct ReplicationArea(pub Arc<Replication>);

const fn route(pattern: &'static str, operations: &'static [Operation], access: Access, help: &'static str) -> Route {
    // A role is this cluster's own: nothing here ever runs on the primary instead.
    Route { pattern, operations, access, writes: Writes::Local, help }
}

use Access::{Anyone, Policy, Sudo};

const READ: &[Operation] = &[Operation::Read];
const UPDATE: &[Operation] = &[Operation::Update];

static ROUTES: &[Route] = &[
    route("replication/status", READ, Anyone, "Show the state of replication."),
    route("replication/performance/status", READ, Anyone, "Show the state of performance replication."),
    route("replication/dr/status", READ, Anyone, "Show the state of disaster recovery replication."),
    route("replication/performance/primary/enable", UPDATE, Policy, "Make this cluster a performance primary."),
    route("replication/performance/primary/demote", UPDATE, Policy, "Make this primary a secondary."),
    route("replication/performance/primary/disable", UPDATE, Policy, "End performance replication on this primary."),
    route("replication/performance/primary/secondary-token", UPDATE, Sudo, "Make an activation token for a secondary."),
    route("replication/performance/primary/revoke-secondary", UPDATE, Policy, "No longer admit a secondary."),
    route("replication/performance/secondary/enable", UPDATE, Policy, "Make this cluster a secondary: everything it holds is removed."),
    route("replication/performance/secondary/disable", UPDATE, Policy, "End performance replication on this secondary."),
    route("replication/performance/secondary/promote", UPDATE, Policy, "Make this secondary the primary."),
    route("replication/performance/secondary/update-primary", UPDATE, Policy, "Point this secondary to another primary."),
    route("replication/performance/secondary/generate-public-key", UPDATE, Policy, "Make a key that an activation token is encrypted to."),
    route("replication/performance/reindex", UPDATE, Sudo, "Check the page sums of the trees."),
    // The names of before there were two types.
    route("replication/primary/enable", UPDATE, Policy, "As performance/primary/enable."),
    route("replication/primary/demote", UPDATE, Policy, "As performance/primary/demote."),
    route("replication/primary/disable", UPDATE, Policy, "As performance/primary/disable."),
    route("replication/primary/secondary-token", UPDATE, Sudo, "As performance/primary/secondary-token."),
    route("replication/primary/revoke-secondary", UPDATE, Policy, "As performance/primary/revoke-secondary."),
    route("replication/secondary/enable", UPDATE, Policy, "As performance/secondary/enable."),
    route("replication/secondary/disable", UPDATE, Policy, "As performance/secondary/disable."),
    route("replication/secondary/promote", UPDATE, Policy, "As performance/secondary/promote."),
    route("replication/secondary/update-primary", UPDATE, Policy, "As performance/secondary/update-primary."),
    route("replication/recover", UPDATE, Policy, "Open the streams anew."),
    route("replication/reindex", UPDATE, Sudo, "Check the page sums of the trees."),
    route("replication/merkle-check", UPDATE, Policy, "Compare the page sums of the trees with the rows."),
];

#[async_trait]
impl SystemEngine for ReplicationArea {
    fn routes(&self) -> &'static [Route] {
        ROUTES
    }

    async fn handle(&self, call: &Call<'_>, txn: &mut Txn) -> Result<Reply, EngineError> {
        let below = call.route.pattern.strip_prefix("replication/").unwrap_or_default();
        match below {
            "status" => Ok(Reply::data(self.0.combined_status())),
            "performance/status" => Ok(Reply::data(self.0.status())),
            "dr/status" => Ok(Reply::json(json!({ "mode": "disabled" }))),
            _ => self.0.operate(below.strip_prefix("performance/").unwrap_or(below), call, txn).await,
        }
    }
}
