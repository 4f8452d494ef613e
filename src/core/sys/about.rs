//! What this server is: kinds of engines (`sys/plugins/catalog`), versions, counters, and settings that every server shows.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Value, json};

use super::mount_view::builtin_version;
use crate::audit;
use crate::barrier::Txn;
use crate::core::SystemEngine;
use crate::core::mounts::Mounts;
use crate::engine::{Access, Call, EngineError, MountClass, Operation, Reply, Route, Writes};
use crate::types::API_VERSION;

/// Read-only answers about the server itself.
pub struct About {
    /// For the kinds of engines.
    pub mounts: Arc<Mounts>,
    /// The kinds of audit devices.
    pub audit_kinds: &'static [&'static audit::Kind],
}

const fn route(pattern: &'static str, operations: &'static [Operation], access: Access, help: &'static str) -> Route {
    Route { pattern, operations, access, writes: Writes::Nothing, help }
}

static ROUTES: &[Route] = &[
    route("plugins/catalog", &[Operation::Read], Access::Policy, "List all plugins."),
    route("plugins/catalog/:type", &[Operation::List], Access::Policy, "List the plugins of a type."),
    route("plugins/catalog/:type/:name", &[Operation::Read, Operation::Update, Operation::Delete], Access::Sudo, "Show a plugin."),
    route("version-history", &[Operation::List], Access::Policy, "List the versions that ran here."),
    route("internal/counters/activity", &[Operation::Read], Access::Policy, "Clients are not counted."),
    route("internal/counters/requests", &[Operation::Read], Access::Policy, "Removed."),
    route("experiments", &[Operation::Read], Access::Policy, "List experiments."),
];

#[async_trait]
impl SystemEngine for About {
    fn routes(&self) -> &'static [Route] {
        ROUTES
    }

    async fn handle(&self, call: &Call<'_>, _: &mut Txn) -> Result<Reply, EngineError> {
        match (call.route.pattern, call.operation) {
            ("plugins/catalog", _) => Ok(self.catalog()),
            ("plugins/catalog/:type", _) => Ok(Reply::keys(self.names(class_of(call.captures.get("type"))?))),
            ("plugins/catalog/:type/:name", Operation::Read) => self.plugin(call.captures.get("type"), call.captures.get("name")),
            ("plugins/catalog/:type/:name", _) => Err(EngineError::invalid("external plugins are not supported: all engines are built in")),
            ("version-history", _) => {
                let info = json!({ API_VERSION: { "previous_version": null, "timestamp_installed": null, "build_date": null } });
                Ok(Reply::json(json!({ "keys": [API_VERSION], "key_info": info })))
            }
            ("internal/counters/requests", _) => Err(EngineError::NotFound("The functionality has been removed on this path".to_owned())),
            ("experiments", _) => Ok(Reply::json(json!({ "available": [], "enabled": [] }))),
            _ => Ok(Reply::empty()),
        }
    }
}

fn class_of(text: &str) -> Result<Option<MountClass>, EngineError> {
    match text {
        "secret" => Ok(Some(MountClass::Secret)),
        "auth" => Ok(Some(MountClass::Auth)),
        "database" => Ok(None),
        other => Err(EngineError::invalid(format!("\"{other}\" is not a supported plugin type"))),
    }
}

impl About {
    fn names(&self, class: Option<MountClass>) -> Vec<String> {
        let mut names: Vec<String> = self
            .mounts
            .kinds()
            .iter()
            .filter(|kind| Some(kind.class) == class && kind.mountable)
            .map(|kind| kind.name.to_owned())
            .collect();
        names.sort();
        names
    }

    fn catalog(&self) -> Reply {
        let (secret, auth) = (self.names(Some(MountClass::Secret)), self.names(Some(MountClass::Auth)));
        let detail = |class: &'static str| move |name: &String| json!({ "type": class, "name": name, "version": builtin_version(), "builtin": true, "deprecation_status": "supported" });
        let detailed: Vec<Value> = auth.iter().map(detail("auth")).chain(secret.iter().map(detail("secret"))).collect();
        let audit: Vec<&str> = self.audit_kinds.iter().map(|kind| kind.name).collect();
        Reply::json(json!({ "secret": secret, "auth": auth, "database": [], "audit": audit, "detailed": detailed }))
    }

    fn plugin(&self, class: &str, name: &str) -> Result<Reply, EngineError> {
        if !self.names(class_of(class)?).iter().any(|known| known == name) {
            return Ok(Reply::missing());
        }
        Ok(Reply::json(json!({
            "name": name, "command": "", "args": null, "sha256": "", "builtin": true,
            "version": builtin_version(), "deprecation_status": "supported",
        })))
    }
}
