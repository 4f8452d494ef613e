//! `sys/rotate`, `sys/rotate/config` and `sys/key-status`: the keyring as operators see it.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::json;

use crate::barrier::Txn;
use crate::core::seal::{KeyStatus, RotateConfig, rotate};
use crate::core::{Context, SystemEngine};
use crate::engine::{Access, Call, EngineError, Operation, Reply, Route, Writes};
use crate::types::Ttl;

/// The keyring.
pub struct KeyringArea(pub Arc<Context>);

static ROUTES: &[Route] = &[
    Route {
        pattern: "rotate",
        operations: &[Operation::Update],
        access: Access::Sudo,
        writes: Writes::Depends,
        help: "Encrypt with a new key from now on.",
    },
    Route {
        pattern: "rotate/keyring",
        operations: &[Operation::Update],
        access: Access::Sudo,
        writes: Writes::Depends,
        help: "Encrypt with a new key from now on.",
    },
    Route {
        pattern: "rotate/config",
        operations: &[Operation::Read, Operation::Update],
        access: Access::Policy,
        writes: Writes::Depends,
        help: "Configure when the key is rotated by itself.",
    },
    Route {
        pattern: "key-status",
        operations: &[Operation::Read],
        access: Access::Policy,
        writes: Writes::Nothing,
        help: "Show the key that encrypts now.",
    },
];

#[async_trait]
impl SystemEngine for KeyringArea {
    fn routes(&self) -> &'static [Route] {
        ROUTES
    }

    async fn handle(&self, call: &Call<'_>, txn: &mut Txn) -> Result<Reply, EngineError> {
        match (call.route.pattern, call.operation) {
            ("key-status", _) => {
                let newest = KeyStatus::of(&self.0).map_err(|error| EngineError::Internal(error.to_string()))?;
                let installed = newest.installed.rfc3339();
                Ok(Reply::json(json!({ "term": newest.term.0, "install_time": installed, "encryptions": newest.encryptions })))
            }
            ("rotate/config", Operation::Read) => {
                let config = RotateConfig::read(txn)?;
                let interval = if config.interval == 0 { json!(0) } else { json!(Ttl(config.interval).go_string()) };
                Ok(Reply::json(json!({ "max_operations": config.max_operations, "enabled": config.enabled, "interval": interval })))
            }
            ("rotate/config", _) => {
                let mut config = RotateConfig::read(txn)?;
                let data = call.data();
                config.enabled = data.flag("enabled")?.unwrap_or(config.enabled);
                config.max_operations = data.integer("max_operations")?.unwrap_or(config.max_operations);
                config.interval = data.ttl("interval")?.map_or(config.interval, |interval| interval.0);
                config.check()?;
                config.write(txn);
                Ok(Reply::empty())
            }
            _ => {
                rotate(&self.0, txn, call.now)?;
                Ok(Reply::empty())
            }
        }
    }
}
