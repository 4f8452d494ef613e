//! `sys/step-down` and `sys/ha-status`.

use std::sync::Arc;

use async_trait::async_trait;

use crate::barrier::Txn;
use crate::core::lifecycle::Lifecycle;
use crate::core::{Context, SystemEngine, health};
use crate::engine::{Access, Call, EngineError, Operation, Reply, Route, Writes};

/// Which node is active.
pub struct Ha {
    /// For what Raft knows.
    pub context: Arc<Context>,
    /// Steps down.
    pub lifecycle: Arc<Lifecycle>,
}

static ROUTES: &[Route] = &[
    Route {
        pattern: "step-down",
        operations: &[Operation::Update],
        access: Access::Sudo,
        writes: Writes::Nothing,
        help: "Make the active node give up its place to another one.",
    },
    Route {
        pattern: "ha-status",
        operations: &[Operation::Read],
        access: Access::Policy,
        writes: Writes::Nothing,
        help: "Show the nodes of this cluster.",
    },
];

#[async_trait]
impl SystemEngine for Ha {
    fn routes(&self) -> &'static [Route] {
        ROUTES
    }

    async fn handle(&self, call: &Call<'_>, _: &mut Txn) -> Result<Reply, EngineError> {
        if call.route.pattern == "step-down" {
            self.lifecycle.step_down();
            return Ok(Reply::empty());
        }
        Ok(Reply::data(health::ha_status(&self.context.raft.status().borrow(), &self.context.raft.contacts(), self.context.now())))
    }
}
