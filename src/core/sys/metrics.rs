//! `sys/metrics`: what this process counts, for those whom a policy lets look.

use async_trait::async_trait;

use crate::barrier::Txn;
use crate::core::SystemEngine;
use crate::engine::{Access, Body, Call, EngineError, Operation, Raw, Reply, Route, Writes};
use crate::telemetry;

/// The metrics of the process.
#[derive(Clone, Copy, Debug, Default)]
pub struct Metrics;

static ROUTES: &[Route] = &[Route {
    pattern: "metrics",
    operations: &[Operation::Read],
    access: Access::Policy,
    writes: Writes::Nothing,
    help: "Export the metrics of this node.",
}];

#[async_trait]
impl SystemEngine for Metrics {
    fn routes(&self) -> &'static [Route] {
        ROUTES
    }

    async fn handle(&self, call: &Call<'_>, _: &mut Txn) -> Result<Reply, EngineError> {
        let format = call.data().text("format")?.unwrap_or_default();
        let (content_type, text) = telemetry::export_metrics(&format).map_err(EngineError::Invalid)?;
        Ok(Body::Raw(Raw { content_type, bytes: text.into(), is_missing: false }).into())
    }
}
