//! `sys/audit` and `sys/audit-hash`: which audit devices there are, and how one would write a text.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Map, json};

use crate::audit::AuditError;
use crate::barrier::Txn;
use crate::core::audit_table::{AuditRow, AuditTable};
use crate::core::{SystemEngine, keys, mounts};
use crate::crypto::Entropy;
use crate::engine::{Access, Call, EngineError, Operation, Reply, Route, Writes};
use crate::types::Scope;

/// `sys/audit` and `sys/audit-hash`.
pub struct AuditDevices {
    /// The devices.
    pub table: Arc<AuditTable>,
    /// For their salts.
    pub entropy: Arc<dyn Entropy>,
}

static ROUTES: &[Route] = &[
    Route {
        pattern: "audit",
        operations: &[Operation::Read],
        access: Access::Sudo,
        writes: Writes::Nothing,
        help: "List the audit devices.",
    },
    Route {
        pattern: "audit/*path",
        operations: &[Operation::Update, Operation::Delete],
        access: Access::Sudo,
        writes: Writes::Depends,
        help: "Enable or disable an audit device.",
    },
    Route {
        pattern: "audit-hash/*path",
        operations: &[Operation::Update],
        access: Access::Policy,
        writes: Writes::Nothing,
        help: "Hash a text as an audit device would.",
    },
];

#[async_trait]
impl SystemEngine for AuditDevices {
    fn routes(&self) -> &'static [Route] {
        ROUTES
    }

    async fn handle(&self, call: &Call<'_>, txn: &mut Txn) -> Result<Reply, EngineError> {
        let path = call.captures.get("path").trim_end_matches('/');
        match (call.route.pattern, call.operation) {
            ("audit", _) => self.list(),
            ("audit-hash/*path", _) => self.hash(call, path),
            (_, Operation::Delete) => disable(txn, path),
            _ => self.enable(call, txn, path),
        }
    }
}

impl AuditDevices {
    fn list(&self) -> Result<Reply, EngineError> {
        let enabled = self.table.enabled().map_err(|error| EngineError::Internal(error.to_string()))?;
        let shown = enabled.iter().map(|(path, device)| {
            let row = &device.row;
            let shown = json!({
                "type": row.kind,
                "description": row.description,
                "options": row.options,
                "local": device.scope == Scope::Local,
                "path": path,
            });
            (path.clone(), shown)
        });
        Ok(Reply::data(shown.collect::<Map<_, _>>()))
    }

    fn hash(&self, call: &Call<'_>, path: &str) -> Result<Reply, EngineError> {
        let input = call.data().text("input")?.unwrap_or_default();
        if input.is_empty() {
            return Err(EngineError::invalid("the \"input\" parameter is empty"));
        }
        let devices = self.table.devices().map_err(|error| EngineError::Internal(error.to_string()))?;
        let hash = devices.broker.hash(&format!("{path}/"), &input);
        let hash = hash.ok_or_else(|| EngineError::invalid(format!("unknown audit backend \"{path}/\"")))?;
        Ok(Reply::json(json!({ "hash": hash })))
    }

    fn enable(&self, call: &Call<'_>, txn: &mut Txn, path: &str) -> Result<Reply, EngineError> {
        let data = call.data();
        if path.is_empty() {
            return Err(EngineError::invalid("audit device path must be specified"));
        }
        let mut salt = [0_u8; 32];
        self.entropy.fill(&mut salt);
        let row = AuditRow {
            kind: data.text("type")?.unwrap_or_default(),
            description: data.text("description")?.unwrap_or_default(),
            options: data.text_map("options")?.unwrap_or_default(),
            salt: hex::encode(salt),
        };
        let scope = if data.flag("local")?.unwrap_or(false) { Scope::Local } else { Scope::Shared };
        for scope in [Scope::Local, Scope::Shared] {
            if txn.exists(&keys::audit_device(scope, path))? {
                return Err(EngineError::invalid("path already in use"));
            }
        }
        self.table.open(&row).map_err(|problem| match problem {
            AuditError::Options(text) => EngineError::Invalid(text),
            problem => EngineError::invalid(format!("audit backend failed test message: {problem}")),
        })?;
        mounts::put_row(txn, keys::audit_device(scope, path), &row);
        Ok(Reply::empty())
    }
}

fn disable(txn: &mut Txn, path: &str) -> Result<Reply, EngineError> {
    for scope in [Scope::Local, Scope::Shared] {
        let key = keys::audit_device(scope, path);
        if txn.exists(&key)? {
            txn.delete(key);
            break;
        }
    }
    Ok(Reply::empty())
}
