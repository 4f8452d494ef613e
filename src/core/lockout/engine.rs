//! `sys/locked-users`: who is locked out, and letting one in again.

use async_trait::async_trait;
use serde_json::json;

use super::{Failures, unlock};
use crate::barrier::Txn;
use crate::core::token::entry::read_json;
use crate::core::{SystemEngine, keys};
use crate::engine::{Access, Call, EngineError, Operation, Reply, Route, Writes};
use crate::types::limits::PAGE_NAMES_MAX;
use crate::types::{Key, Scope};

const ROUTES: &[Route] = &[
    Route {
        pattern: "locked-users",
        operations: &[Operation::Read],
        access: Access::Policy,
        writes: Writes::Nothing,
        help: "List the users who are locked out.",
    },
    Route {
        pattern: "locked-users/:mount_accessor/unlock/:alias_identifier",
        operations: &[Operation::Update],
        access: Access::Policy,
        writes: Writes::Local,
        help: "Let a user in again.",
    },
];

/// `sys/locked-users`.
#[derive(Clone, Copy, Debug, Default)]
pub struct LockedUsersEngine;

/// Users who are locked out now, by the accessor of their mount, in order. Names that nobody has are not among them: they would hide
/// those that matter. At most one page of failures is looked through.
fn locked(call: &Call<'_>, txn: &mut Txn) -> Result<Vec<(String, Vec<String>)>, EngineError> {
    let rows = keys::lockouts_known();
    let wanted = call.data().text("mount_accessor")?.unwrap_or_default();
    let mut by_mount: Vec<(String, Vec<String>)> = Vec::new();
    for path in txn.stored_paths(&rows, None, PAGE_NAMES_MAX)? {
        let Some((mount, alias)) = path[rows.path.len()..].split_once('/') else { continue };
        let failures: Option<Failures> = read_json(txn, &Key::new(Scope::Local, path.clone()))?;
        if !failures.is_some_and(|failures| failures.is_locked(call.now)) || !wanted.is_empty() && wanted != mount {
            continue;
        }
        match by_mount.last_mut().filter(|(last, _)| last == mount) {
            Some((_, aliases)) => aliases.push(alias.to_owned()),
            None => by_mount.push((mount.to_owned(), vec![alias.to_owned()])),
        }
    }
    Ok(by_mount)
}

#[async_trait]
impl SystemEngine for LockedUsersEngine {
    fn routes(&self) -> &'static [Route] {
        ROUTES
    }

    async fn handle(&self, call: &Call<'_>, txn: &mut Txn) -> Result<Reply, EngineError> {
        if call.route.pattern != "locked-users" {
            unlock(txn, call.captures.get("mount_accessor"), call.captures.get("alias_identifier"))?;
            return Ok(Reply::empty());
        }
        let by_mount = locked(call, txn)?;
        let total: usize = by_mount.iter().map(|(_, aliases)| aliases.len()).sum();
        let mounts: Vec<_> = by_mount
            .into_iter()
            .map(|(mount, aliases)| json!({ "mount_accessor": mount, "counts": aliases.len(), "alias_identifiers": aliases }))
            .collect();
        let of_root = json!({ "namespace_id": "root", "namespace_path": "", "counts": total, "mount_accessors": mounts });
        let spaces = if total == 0 { Vec::new() } else { vec![of_root] };
        Ok(Reply::json(json!({ "by_namespace": spaces, "total": total })))
    }
}
