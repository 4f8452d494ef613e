//! `sys/internal/ui/…`: which mounts a caller may see. The command line asks this before every KV request.
//!
//! These paths need no policy of their own: what they show depends on the token, and a mount that may not be seen is answered
//! like one that does not exist.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Map, Value, json};

use super::{mount_view, mounts::shown_path};
use crate::barrier::Txn;
use crate::core::SystemEngine;
use crate::core::mounts::{Mounted, Mounts};
use crate::core::policy::Policies;
use crate::engine::{Access, Call, EngineError, MountClass, Operation, Raw, Reply, Route, Writes};

/// `sys/internal/ui/mounts` and what the web interface asks.
pub struct InternalUi {
    /// What there is.
    pub mounts: Arc<Mounts>,
    /// Who may see it.
    pub policies: Arc<Policies>,
}

const fn open(pattern: &'static str, help: &'static str) -> Route {
    Route { pattern, operations: &[Operation::Read], access: Access::Anyone, writes: Writes::Nothing, help }
}

static ROUTES: &[Route] = &[
    open("internal/ui/mounts", "List the mounts that the caller may see."),
    open("internal/ui/mounts/*path", "Show the mount that a path belongs to, if the caller may use it."),
    open("internal/ui/namespaces", "List the namespaces that the caller may see."),
    open("internal/ui/feature-flags", "List the features that are switched on."),
];

#[async_trait]
impl SystemEngine for InternalUi {
    fn routes(&self) -> &'static [Route] {
        ROUTES
    }

    async fn handle(&self, call: &Call<'_>, _: &mut Txn) -> Result<Reply, EngineError> {
        let path = call.captures.get("path");
        match call.route.pattern {
            "internal/ui/mounts" => self.list(call),
            "internal/ui/mounts/*path" if path.is_empty() => self.list(call),
            "internal/ui/mounts/*path" => self.preflight(call, path),
            "internal/ui/namespaces" => Ok(Reply::json(json!({ "keys": [] }))),
            _ => {
                let bytes = "{\"feature_flags\":null}\n".into();
                Ok(crate::engine::Body::Raw(Raw { content_type: "application/json", bytes, is_missing: false }).into())
            }
        }
    }
}

impl InternalUi {
    fn list(&self, call: &Call<'_>) -> Result<Reply, EngineError> {
        let table = self.mounts.fresh_table().map_err(|error| EngineError::Internal(error.to_string()))?;
        let has_token = call.caller.accessor.is_some() || !call.caller.policies.is_empty();
        let acl = self.policies.acl_for(&call.caller.policies)?;
        let (mut secret, mut auth) = (Map::new(), Map::new());
        for mounted in table.all() {
            let shown = if has_token && acl.reaches(&mounted.mount.path) {
                mount_view::info(mounted)
            } else if mounted.row.config.listing_visibility == "unauth" {
                let row = &mounted.row;
                super::object(json!({ "type": row.kind, "description": row.description, "options": row.options }))
            } else {
                continue;
            };
            let of_class = if mounted.class == MountClass::Secret { &mut secret } else { &mut auth };
            of_class.insert(shown_path(mounted).to_owned(), Value::Object(shown));
        }
        Ok(Reply::json(json!({ "secret": secret, "auth": auth })))
    }

    fn preflight(&self, call: &Call<'_>, path: &str) -> Result<Reply, EngineError> {
        let refused = || {
            EngineError::Forbidden(format!(
                "preflight capability check returned 403, please ensure client's policies grant access to path \"{}/\"",
                path.trim_end_matches('/')
            ))
        };
        let table = self.mounts.fresh_table().map_err(|error| EngineError::Internal(error.to_string()))?;
        let (mounted, _) = table.find(path).ok_or_else(refused)?;
        let acl = self.policies.acl_for(&call.caller.policies)?;
        if call.caller.policies.is_empty() || !acl.reaches(&mounted.mount.path) {
            return Err(refused());
        }
        Ok(Reply::data(with_path(mounted)))
    }
}

fn with_path(mounted: &Mounted) -> Map<String, Value> {
    let mut shown = mount_view::info(mounted);
    shown.insert("path".to_owned(), json!(shown_path(mounted)));
    shown
}
