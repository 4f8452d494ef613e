//! The engine mounted at `sys/`: one file per area of the API, each with its own table of routes.
//!
//! Areas are tried in order; the first route that matches path and operation answers. Areas of tokens, policies, leases, wrapping
//! and the seal live beside what they speak of, and replication's in `sys::replication`.

mod about;
mod audit;
mod config;
pub(in crate::core) mod fields;
mod ha;
mod in_flight;
mod internal_ui;
mod keys;
mod metrics;
mod mount_config;
mod mount_view;
mod mounts;
mod raft;
mod remount;
mod replication;
mod seal;
#[cfg(test)]
mod tests;
mod tools;
mod tune;

pub use about::About;
pub use audit::AuditDevices;
pub use config::Config;
pub use ha::Ha;
pub use in_flight::InFlight;
pub use internal_ui::InternalUi;
pub use keys::KeyringArea;
pub use metrics::Metrics;
pub use mount_view::builtin_version;
pub use mounts::MountTable;
pub use raft::RaftArea;
pub use remount::Remount;
pub use replication::ReplicationArea;
pub use seal::SealArea;
pub use tools::Tools;

use serde_json::{Map, Value};

use super::SystemEngine;
use crate::engine::{Captures, Operation, Route, find_route};

/// Why no area answers.
pub use crate::engine::NoRoute;

/// The area and route that answer `operation` at `path`.
///
/// # Errors
/// Whether the path is unknown to all, or only the operation.
pub fn find<'a, 'p>(
    areas: &'a [Box<dyn SystemEngine>],
    operation: Operation,
    path: &'p str,
) -> Result<(&'a dyn SystemEngine, &'static Route, Captures<'p>), NoRoute> {
    let mut reason = NoRoute::Path;
    for area in areas {
        match find_route(area.routes(), operation, path) {
            Ok((route, captures)) => return Ok((area.as_ref(), route, captures)),
            Err(NoRoute::Operation) => reason = NoRoute::Operation,
            Err(NoRoute::Path) => {}
        }
    }
    Err(reason)
}

/// A JSON object out of a literal.
pub(in crate::core) fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}
