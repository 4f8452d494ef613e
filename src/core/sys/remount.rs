//! `sys/remount`: a mount moves to another path. Its rows stay where they are, because keys start with the mount's id.
//!
//! The move is one entry, so it is done when the request is answered; the status that clients poll says so.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::mounts::{MountTable, find_row, is_protected, move_epoch};
use crate::barrier::Txn;
use crate::core::lease::OnFailure;
use crate::core::{SystemEngine, keys, mounts};
use crate::engine::{Access, Call, EngineError, MountClass, Operation, Reply, Route, Writes};
use crate::types::Scope;

/// `sys/remount`.
pub struct Remount(pub MountTable);

static ROUTES: &[Route] = &[
    Route {
        pattern: "remount",
        operations: &[Operation::Update],
        access: Access::Sudo,
        writes: Writes::Depends,
        help: "Move a mount to another path.",
    },
    Route {
        pattern: "remount/status/:migration_id",
        operations: &[Operation::Read],
        access: Access::Policy,
        writes: Writes::Nothing,
        help: "Check how a move went.",
    },
];

/// A move that was made.
#[derive(Serialize, Deserialize)]
struct Moved {
    source_mount: String,
    target_mount: String,
}

#[async_trait]
impl SystemEngine for Remount {
    fn routes(&self) -> &'static [Route] {
        ROUTES
    }

    async fn handle(&self, call: &Call<'_>, txn: &mut Txn) -> Result<Reply, EngineError> {
        match call.operation {
            Operation::Read => status(txn, call.captures.get("migration_id")),
            _ => self.move_mount(call, txn).await,
        }
    }
}

fn status(txn: &mut Txn, id: &str) -> Result<Reply, EngineError> {
    for scope in [Scope::Local, Scope::Shared] {
        if let Some(Moved { source_mount, target_mount }) = mounts::get_row(txn, &keys::remount(scope, id))? {
            let info = json!({ "source_mount": source_mount, "target_mount": target_mount, "status": "success" });
            return Ok(Reply::json(json!({ "migration_id": id, "migration_info": info })));
        }
    }
    Ok(Reply::missing())
}

impl Remount {
    async fn move_mount(&self, call: &Call<'_>, txn: &mut Txn) -> Result<Reply, EngineError> {
        let data = call.data();
        let (from, to) = match (data.required_text("from"), data.required_text("to")) {
            (Ok(from), Ok(to)) => (from, to),
            _ => return Err(EngineError::invalid("both 'from' and 'to' path must be specified as a string")),
        };
        for (name, path) in [("from", &from), ("to", &to)] {
            if path.trim_end() != path {
                return Err(EngineError::invalid(format!("'{name}' path cannot contain trailing whitespace")));
            }
        }
        let (from_class, from) = split(&from);
        let (to_class, to) = split(&to);
        let (full_from, full_to) = (mounts::full_path(from_class, from), mounts::full_path(to_class, to));
        if from_class == MountClass::Secret && is_protected(from) || (from_class, from) == (MountClass::Auth, "token") {
            return Err(EngineError::invalid(format!("cannot remount \"{full_from}\"")));
        }
        if to_class == MountClass::Secret && is_protected(to) && to != "auth" {
            return Err(EngineError::invalid(format!("cannot remount to destination \"{full_to}\"")));
        }
        match (from_class, to_class) {
            (MountClass::Auth, MountClass::Secret) => {
                return Err(EngineError::invalid(format!("cannot remount auth mount to non-auth mount \"{full_to}\"")));
            }
            (MountClass::Secret, MountClass::Auth) => {
                return Err(EngineError::invalid(format!("cannot remount non-auth mount \"{full_from}\"")));
            }
            _ => {}
        }
        if crate::types::ApiPath::parse(to).is_err() || to.is_empty() {
            return Err(EngineError::invalid("'to' path is not a mount path"));
        }
        let Some((scope, row)) = find_row(txn, from_class, from)? else {
            return Err(EngineError::invalid(format!("no matching mount at \"{full_from}\"")));
        };
        if self.0.fresh()?.check_free(&full_to).is_err() || find_row(txn, to_class, to)?.is_some() {
            return Err(EngineError::invalid(format!("path already in use at \"{full_to}\"")));
        }
        if self.0.context.store.role().may_write(scope) {
            self.0.leases.revoke_prefix(&full_from, OnFailure::Stop).await?;
        }
        let id = uuid::Uuid::new_v4().to_string();
        move_epoch(txn, scope)?;
        txn.delete(keys::mount(scope, from_class, from));
        mounts::put_row(txn, keys::mount(if bug!(168) { Scope::Shared } else { scope }, to_class, to), &row);
        mounts::put_row(txn, keys::remount(scope, &id), &Moved { source_mount: full_from, target_mount: full_to });
        Ok(Reply::json(json!({ "migration_id": id }))
            .warn("Mount move has been queued. Progress will be reported in Vault's server log, tagged with the returned migration_id"))
    }
}

fn split(path: &str) -> (MountClass, &str) {
    let path = path.trim_matches('/');
    path.strip_prefix("auth/").map_or((MountClass::Secret, path), |path| (MountClass::Auth, path))
}
