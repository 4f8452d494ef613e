//! `sys/mounts` and `sys/auth`: what is mounted, and enabling, disabling and tuning it.
//!
//! A local mount is written where it is enabled; a shared one on the primary: the transaction's scope decides, so these routes are
//! `Writes::Depends`. Checks of paths hold against changes at the same time, because every change moves the table's epoch.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Map, Value};

use super::{mount_config, mount_view, tune};
use crate::barrier::Txn;
use crate::core::lease::{Leases, OnFailure};
use crate::core::mounts::{self, DoomedRow, MountRow, Mounted, Mounts};
use crate::core::{Context, SystemEngine, keys};
use crate::engine::{Access, Call, EngineError, MountClass, Operation, Reply, Route, Writes};
use crate::types::Scope;

/// `sys/mounts`, or `sys/auth`.
#[derive(Clone)]
pub struct MountTable {
    class: MountClass,
    pub(super) context: Arc<Context>,
    pub(super) mounts: Arc<Mounts>,
    pub(super) leases: Arc<Leases>,
}

static SECRET_ROUTES: &[Route] = &[
    Route {
        pattern: "mounts",
        operations: &[Operation::Read],
        access: Access::Policy,
        writes: Writes::Nothing,
        help: "List the mounted secrets engines.",
    },
    Route {
        pattern: "mounts/*path",
        operations: &[Operation::Read, Operation::Update, Operation::Delete],
        access: Access::Policy,
        writes: Writes::Depends,
        help: "Mount, unmount, read or tune a secrets engine.",
    },
];

static AUTH_ROUTES: &[Route] = &[
    Route {
        pattern: "auth",
        operations: &[Operation::Read],
        access: Access::Policy,
        writes: Writes::Nothing,
        help: "List the enabled auth methods.",
    },
    Route {
        pattern: "auth/*path",
        operations: &[Operation::Read, Operation::Update, Operation::Delete],
        access: Access::Sudo,
        writes: Writes::Depends,
        help: "Enable, disable, read or tune an auth method.",
    },
];

impl MountTable {
    /// The table of `class`.
    pub fn new(class: MountClass, context: Arc<Context>, mounts: Arc<Mounts>, leases: Arc<Leases>) -> Self {
        Self { class, context, mounts, leases }
    }
}

#[async_trait]
impl SystemEngine for MountTable {
    fn routes(&self) -> &'static [Route] {
        match self.class {
            MountClass::Secret => SECRET_ROUTES,
            MountClass::Auth => AUTH_ROUTES,
        }
    }

    async fn handle(&self, call: &Call<'_>, txn: &mut Txn) -> Result<Reply, EngineError> {
        let path = call.captures.get("path").trim_end_matches('/');
        if path.is_empty() {
            return if call.operation == Operation::Read { self.list() } else { Err(EngineError::Unsupported) };
        }
        if let Some(path) = path.strip_suffix("/tune") {
            let (class, path) = match path.strip_prefix("auth/") {
                Some(path) if self.class == MountClass::Secret => (MountClass::Auth, path),
                _ => (self.class, path),
            };
            return match call.operation {
                Operation::Read => tune::read(self.fresh()?.as_ref(), class, path),
                Operation::Update => tune::write(self, call, txn, class, path).await,
                _ => Err(EngineError::Unsupported),
            };
        }
        match call.operation {
            Operation::Read => self.read(path),
            Operation::Update | Operation::Create => self.enable(call, txn, path),
            Operation::Delete => self.disable(txn, path).await,
            _ => Err(EngineError::Unsupported),
        }
    }
}

impl MountTable {
    pub(super) fn fresh(&self) -> Result<Arc<crate::core::router::Router>, EngineError> {
        self.mounts.fresh_table().map_err(|error| EngineError::Internal(error.to_string()))
    }

    fn list(&self) -> Result<Reply, EngineError> {
        let mut shown = Map::new();
        for mounted in self.fresh()?.all().filter(|mounted| mounted.class == self.class) {
            shown.insert(shown_path(mounted).to_owned(), Value::Object(mount_view::info(mounted)));
        }
        Ok(Reply::data(shown))
    }

    fn read(&self, path: &str) -> Result<Reply, EngineError> {
        let table = self.fresh()?;
        let mounted = table.at(&mounts::full_path(self.class, path)).ok_or_else(|| {
            EngineError::invalid(match self.class {
                MountClass::Secret => format!("No secret engine mount at {path}/"),
                MountClass::Auth => format!("No auth engine at {path}/"),
            })
        })?;
        Ok(Reply::data(mount_view::info(mounted)))
    }

    fn enable(&self, call: &Call<'_>, txn: &mut Txn, path: &str) -> Result<Reply, EngineError> {
        let data = call.data();
        check_path(path)?;
        if self.class == MountClass::Secret && is_protected(path) {
            return Err(EngineError::invalid(format!("cannot mount \"{path}/\"")));
        }
        let mut row = self.requested_row(call)?;
        mount_config::change(&mut row, self.class, &mount_config::section(data, "config")?)?;
        mount_config::check_new_ttls(&row.config, self.mounts.system_ttls())?;
        let scope = if data.flag("local")?.unwrap_or(false) && !(self.class == MountClass::Auth && bug!(63)) {
            Scope::Local
        } else {
            Scope::Shared
        };
        move_epoch(txn, scope)?;
        self.fresh()?.check_free(&mounts::full_path(self.class, path)).map_err(|clash| EngineError::invalid(clash.to_string()))?;
        for scope in [Scope::Local, Scope::Shared] {
            if txn.exists(&keys::mount(scope, self.class, path))? {
                return Err(EngineError::invalid(format!("path is already in use at {path}/")));
            }
        }
        mounts::identify(&mut row, self.context.entropy.as_ref());
        mounts::put_row(txn, keys::mount(scope, self.class, path), &row);
        Ok(Reply::empty())
    }

    /// The row that a request to enable asks for, without identity and configuration.
    fn requested_row(&self, call: &Call<'_>) -> Result<MountRow, EngineError> {
        let data = call.data();
        let mut kind = data.text("type")?.unwrap_or_default();
        let mut options = data.text_map("options")?.filter(|options| !options.is_empty());
        if kind == "plugin" {
            let named = data.text("plugin_name")?.or(mount_config::section(data, "config")?.text("plugin_name")?);
            kind = named
                .filter(|name| !name.is_empty())
                .ok_or_else(|| EngineError::invalid("plugin_name must be provided for plugin backend"))?;
        }
        if kind.is_empty() {
            return Err(EngineError::invalid("backend type must be specified as a string"));
        }
        if self.class == MountClass::Secret
            && let Some(version) = kind.strip_prefix("kv-v").filter(|version| ["1", "2"].contains(version))
        {
            options.get_or_insert_default().insert("version".to_owned(), version.to_owned());
            kind = "kv".to_owned();
        }
        if kind == "token" && self.class == MountClass::Auth {
            return Err(EngineError::invalid("token credential backend cannot be instantiated"));
        }
        let known = self.mounts.kind(self.class, &kind);
        if ["system", "identity", "cubbyhole", "token"].contains(&kind.as_str())
            || kind.starts_with("ns_")
            || known.is_some_and(|known| !known.mountable)
        {
            return Err(EngineError::invalid(format!("mount type of \"{kind}\" is not mountable")));
        }
        if known.is_none() {
            return Err(EngineError::invalid(format!("plugin not found in the catalog: {kind}")));
        }
        if let Some(version) = options.as_ref().and_then(|options| options.get("version")) {
            match (self.class, kind.as_str()) {
                (MountClass::Secret, "kv") if ["1", "2"].contains(&version.as_str()) => {}
                (MountClass::Secret, "kv") => return Err(EngineError::invalid(format!("invalid version provided: {version}"))),
                (MountClass::Secret, _) => {
                    return Err(EngineError::invalid(format!("secrets engine \"{kind}\" does not allow setting a version")));
                }
                (MountClass::Auth, _) => {
                    return Err(EngineError::invalid(format!("auth method \"{kind}\" does not allow setting a version")));
                }
            }
        }
        let mut row = mounts::default_row(&kind);
        row.description = data.text("description")?.unwrap_or_default();
        row.options = options;
        row.seal_wrap = data.flag("seal_wrap")?.unwrap_or(false);
        row.external_entropy_access = data.flag("external_entropy_access")?.unwrap_or(false);
        Ok(row)
    }

    async fn disable(&self, txn: &mut Txn, path: &str) -> Result<Reply, EngineError> {
        if self.class == MountClass::Auth && path == "token" {
            return Err(EngineError::invalid("token credential backend cannot be disabled"));
        }
        if self.class == MountClass::Secret && is_protected(path) {
            return Err(EngineError::invalid(format!("cannot unmount \"{path}/\"")));
        }
        let Some((scope, row)) = find_row(txn, self.class, path)? else { return Ok(Reply::empty()) };
        let full = mounts::full_path(self.class, path);
        // A secondary ends its own leases when the removal comes back from the primary.
        if self.context.store.role().may_write(scope) && !bug!(40) {
            self.leases.revoke_prefix(&full, OnFailure::Stop).await?;
        }
        move_epoch(txn, scope)?;
        txn.delete(keys::mount(scope, self.class, path));
        mounts::put_row(txn, keys::doomed_mount(scope, &row.uuid), &DoomedRow { path: full, row });
        Ok(Reply::empty())
    }
}

/// The row of the mount at `path`, and its scope: the local one where there are two.
pub(super) fn find_row(txn: &mut Txn, class: MountClass, path: &str) -> Result<Option<(Scope, MountRow)>, EngineError> {
    for scope in [Scope::Local, Scope::Shared] {
        if let Some(row) = mounts::get_row(txn, &keys::mount(scope, class, path))? {
            return Ok(Some((scope, row)));
        }
    }
    Ok(None)
}

/// Makes this change of the table conflict with every other one at the same time.
pub(super) fn move_epoch(txn: &mut Txn, scope: Scope) -> Result<(), EngineError> {
    for read in [Scope::Shared, Scope::Local] {
        txn.exists(&keys::mount_epoch(read))?;
    }
    txn.put(keys::mount_epoch(scope), Vec::new().into());
    Ok(())
}

/// The path as `sys/mounts` and `sys/auth` show it.
pub(super) fn shown_path(mounted: &Mounted) -> &str {
    match mounted.class {
        MountClass::Secret => &mounted.mount.path,
        MountClass::Auth => mounted.mount.path.strip_prefix("auth/").unwrap_or(&mounted.mount.path),
    }
}

/// Whether the core keeps `path` for itself.
pub(super) fn is_protected(path: &str) -> bool {
    let first = path.split('/').next().unwrap_or(path);
    ["sys", "auth", "cubbyhole", "identity", "audit"].contains(&first)
}

fn check_path(path: &str) -> Result<(), EngineError> {
    match path.trim() == path && !path.contains(|c: char| c == '*' || c == '+' || c.is_whitespace()) {
        true => Ok(()),
        false => Err(EngineError::invalid("path cannot contain whitespace, '*' or '+'")),
    }
}
