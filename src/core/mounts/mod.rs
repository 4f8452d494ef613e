//! The mount table: which engine is mounted where, in memory and as rows.
//!
//! Rows are the truth, one a mount (`keys::mount`); the table follows them. A changed row only marks the table as stale, and the
//! next request brings it up to date before it is routed, so an answered `enable` is seen by every later request, whether the
//! row was written here or came from the primary. The table is filled on the active node only.
//!
//! Invariants: a mount is known by its `uuid` for ever; where a local and a shared row name one path, the local one is served.
//! Not here: the API of mounts (`sys::mounts`), which mount a path belongs to (`router`), deleting rows (`sweeper`).

mod revoker;
mod row;
mod sweeper;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use arc_swap::ArcSwap;

pub use row::{DoomedRow, MountConfig, MountRow, Mounted, Opened, SystemTtls};
pub use sweeper::Sweeper;

use super::router::Router;
use super::{Context, Sealed, WriteError, keys};
use crate::barrier::{BarrierError, Txn};
use crate::crypto::Entropy;
use crate::engine::{EngineError, Kind, Mount, MountClass};
use crate::types::limits::PAGE_NAMES_MAX;
use crate::types::{Key, MountId, Prefix, Scope, Secret, Ttl};

/// Type and path of the mounts that the core itself answers.
const SYSTEM: (MountClass, &str, &str) = (MountClass::Secret, "sys", "system");
const TOKEN: (MountClass, &str, &str) = (MountClass::Auth, "token", "token");
const CUBBYHOLE: (MountClass, &str, &str) = (MountClass::Secret, "cubbyhole", "cubbyhole");

/// Why the table could not be brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// This node is sealed.
    #[error(transparent)]
    Sealed(#[from] Sealed),
    /// This node is not active, or no longer.
    #[error("this node is not active")]
    NotActive,
    /// Rows cannot be read.
    #[error("read the mount table")]
    Barrier(#[from] BarrierError),
}

/// What changed since the table was last brought up to date.
#[derive(Default)]
struct Pending {
    all: bool,
    keys: BTreeSet<Key>,
    /// Mounts that went away since the sweeper last asked, and where they were, if that is known.
    removed: BTreeMap<MountId, Option<String>>,
}

/// The mount table of this node.
pub struct Mounts {
    context: Arc<Context>,
    kinds: &'static [&'static Kind],
    system: SystemTtls,
    dev_kv: Option<&'static str>,
    table: ArcSwap<Router>,
    is_filled: AtomicBool,
    is_stale: AtomicBool,
    pending: Mutex<Pending>,
    /// Held while the table is replaced: changes are made one after the other.
    replacing: Mutex<()>,
    wake: tokio::sync::Notify,
}

impl Mounts {
    /// An empty table.
    pub fn new(context: Arc<Context>, kinds: &'static [&'static Kind], system: SystemTtls, dev_kv: Option<&'static str>) -> Self {
        Self {
            context,
            kinds,
            system,
            dev_kv,
            table: ArcSwap::from_pointee(Router::default()),
            is_filled: AtomicBool::new(false),
            is_stale: AtomicBool::new(false),
            pending: Mutex::default(),
            replacing: Mutex::default(),
            wake: tokio::sync::Notify::new(),
        }
    }

    /// Every kind of engine there is.
    pub fn kinds(&self) -> &'static [&'static Kind] {
        self.kinds
    }

    /// The kind of `class` called `name`.
    pub fn kind(&self, class: MountClass, name: &str) -> Option<&'static Kind> {
        self.kinds.iter().copied().find(|kind| kind.class == class && kind.name == name)
    }

    /// Bounds that the system sets to every mount.
    pub fn system_ttls(&self) -> SystemTtls {
        self.system
    }

    /// The table as it is, without looking for changes: for looking up a mount in passing.
    pub fn table(&self) -> Arc<Router> {
        self.table.load_full()
    }

    /// The table with every change that was applied before this call.
    ///
    /// # Errors
    /// While sealed, or if rows cannot be read: then nothing can be routed safely.
    pub fn fresh_table(&self) -> Result<Arc<Router>, TableError> {
        if !self.is_filled.load(Ordering::Acquire) {
            return Err(TableError::NotActive);
        }
        if self.is_stale.load(Ordering::Acquire) {
            self.refresh()?;
        }
        let table = self.table.load_full();
        // `empty` lowers the flag before it takes the table away: a table that was taken away is never taken for one without mounts.
        if self.is_filled.load(Ordering::Acquire) { Ok(table) } else { Err(TableError::NotActive) }
    }

    /// Hears of changed rows, from the apply loop. Marks the table, and lets engines drop what they cached. Does not block.
    pub fn note(&self, changed: &[&Key]) {
        if !self.is_filled.load(Ordering::Acquire) {
            return;
        }
        let of_table: Vec<&Key> = changed.iter().copied().filter(|key| key.path.starts_with("sys/mount/")).collect();
        if !of_table.is_empty() {
            let mut pending = self.pending();
            pending.keys.extend(of_table.into_iter().cloned());
            self.is_stale.store(true, Ordering::Release);
            drop(pending);
            self.wake.notify_one();
        }
        if changed.iter().any(|key| key.path.starts_with("sys/doomed/")) {
            self.wake.notify_one();
        }
        self.forget(changed);
    }

    /// Everything may have changed.
    pub fn note_all(&self) {
        let mut pending = self.pending();
        pending.all = true;
        self.is_stale.store(true, Ordering::Release);
        drop(pending);
        self.wake.notify_one();
    }

    fn forget(&self, changed: &[&Key]) {
        let table = self.table.load();
        let mut of_mount: BTreeMap<&str, Vec<Key>> = BTreeMap::new();
        for key in changed {
            if let Some((id, _)) = key.path.split_once('/')
                && id != "sys"
            {
                of_mount.entry(id).or_default().push((*key).clone());
            }
        }
        for (id, keys) in of_mount {
            if let Some((_, engine)) = table.by_id(&MountId::new(id)).and_then(|mounted| mounted.engine()) {
                engine.forget(&keys);
            }
        }
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().expect("no holder of this lock panics")
    }

    /// Fills the table when this node becomes active, after writing the mounts that every cluster has.
    ///
    /// # Errors
    /// If rows cannot be read or written.
    pub async fn fill(&self) -> Result<(), WriteError> {
        self.write_defaults().await?;
        self.is_filled.store(true, Ordering::Release);
        self.note_all();
        self.refresh().map_err(|error| match error {
            TableError::Sealed(sealed) => WriteError::Sealed(sealed),
            TableError::NotActive => WriteError::Sealed(Sealed),
            TableError::Barrier(error) => WriteError::Barrier(error),
        })
    }

    /// Empties the table when this node is active no longer: engines and what they cached are dropped.
    pub fn empty(&self) {
        self.is_filled.store(false, Ordering::Release);
        let _replacing = self.replacing.lock().expect("no holder of this lock panics");
        *self.pending() = Pending::default();
        self.is_stale.store(false, Ordering::Release);
        self.table.store(Arc::new(Router::default()));
    }

    fn refresh(&self) -> Result<(), TableError> {
        let _replacing = self.replacing.lock().expect("no holder of this lock panics");
        let (all, changed) = {
            let mut pending = self.pending();
            (std::mem::take(&mut pending.all), std::mem::take(&mut pending.keys))
        };
        if !all && changed.is_empty() {
            return Ok(());
        }
        let old = self.table.load_full();
        let mut txn = self.context.begin()?;
        let replaced = if all { self.read_all(&mut txn) } else { self.read_changed(&mut txn, &old, &changed) };
        let table = match replaced {
            Ok(table) => table,
            Err(error) => {
                let mut pending = self.pending();
                pending.all |= all;
                pending.keys.extend(changed);
                return Err(error.into());
            }
        };
        let mut pending = self.pending();
        for gone in old.all().filter(|mounted| table.by_id(&mounted.mount.id).is_none()) {
            tracing::info!(path = gone.mount.path, uuid = %gone.mount.id, "a mount went away");
            pending.removed.insert(gone.mount.id.clone(), Some(gone.mount.path.clone()));
        }
        // The new table first, then the mark: whoever finds no mark finds the new table. What changed meanwhile keeps the mark.
        self.table.store(Arc::new(table));
        if !pending.all && pending.keys.is_empty() {
            self.is_stale.store(false, Ordering::Release);
        }
        Ok(())
    }

    fn read_all(&self, txn: &mut Txn) -> Result<Router, BarrierError> {
        let mut table = Router::default();
        for mounted in [self.built_in(SYSTEM), self.built_in(TOKEN)] {
            table.insert(Arc::new(mounted));
        }
        // Local rows come last, so that they win where a shared one names the same path.
        for scope in [Scope::Shared, Scope::Local] {
            for class in [MountClass::Secret, MountClass::Auth] {
                for (path, row) in read_rows(txn, scope, class)? {
                    if let Some(mounted) = self.open(scope, class, &path, row) {
                        if scope == Scope::Local && table.at(&mounted.mount.path).is_some() {
                            tracing::error!(path, "a local (non-replicated) mount already exists: the shared mount is not served here");
                        }
                        table.insert(Arc::new(mounted));
                    }
                }
            }
        }
        Ok(table)
    }

    fn read_changed(&self, txn: &mut Txn, old: &Router, changed: &BTreeSet<Key>) -> Result<Router, BarrierError> {
        let mut table = old.clone();
        let mut moved = BTreeSet::new();
        for key in changed {
            let Some((class, path)) = named_by(key) else { continue };
            moved.insert((class, path.to_owned()));
        }
        for (class, path) in moved {
            table.remove(&full_path(class, &path));
            for scope in if bug!(134) { [Scope::Shared, Scope::Local] } else { [Scope::Local, Scope::Shared] } {
                let Some(row) = get_row(txn, &keys::mount(scope, class, &path))? else { continue };
                if let Some(mounted) = self.open(scope, class, &path, row) {
                    if scope == Scope::Local && txn.exists(&keys::mount(Scope::Shared, class, &path))? {
                        tracing::error!(path, "a local (non-replicated) mount already exists: the shared mount is not served here");
                    }
                    table.insert(Arc::new(mounted));
                    break;
                }
            }
            for built_in in [SYSTEM, TOKEN] {
                if (built_in.0, built_in.1) == (class, path.as_str()) && table.at(&full_path(class, &path)).is_none() {
                    table.insert(Arc::new(self.built_in(built_in)));
                }
            }
        }
        Ok(table)
    }

    /// A mount of the core's own whose row is not there (yet): a secondary that is being filled has none.
    fn built_in(&self, (class, path, kind): (MountClass, &str, &str)) -> Mounted {
        let row =
            MountRow { uuid: format!("builtin-{kind}"), accessor: format!("{kind}_00000000"), kind: kind.to_owned(), ..default_row(kind) };
        self.open(Scope::Shared, class, path, row).expect("the core's own kinds need no engine")
    }

    /// Opens a row. `None`, and a line in the log, if this node does not know its kind.
    pub(super) fn open(&self, scope: Scope, class: MountClass, path: &str, row: MountRow) -> Option<Mounted> {
        let or = |secs: u64, otherwise: Ttl| if secs == 0 { otherwise } else { Ttl(secs) };
        let max_ttl = or(row.config.max_lease_ttl, self.system.max);
        let default_ttl = or(row.config.default_lease_ttl, self.system.default).min(max_ttl);
        let mount = Mount {
            id: MountId::new(&row.uuid),
            path: full_path(class, path),
            accessor: row.accessor.clone(),
            scope,
            options: row.options.clone().unwrap_or_default(),
            default_ttl,
            max_ttl,
            entropy: self.context.entropy.clone(),
        };
        let opened = match (class, row.kind.as_str()) {
            (MountClass::Secret, "system") => Opened::System,
            (MountClass::Auth, "token") => Opened::Token,
            (class, name) => {
                let Some(kind) = self.kind(class, name) else {
                    tracing::error!(path = mount.path, kind = name, "a mount's type is not known to this node: it is not served");
                    return None;
                };
                Opened::Engine(kind, (kind.open)(mount.clone()))
            }
        };
        Some(Mounted { class, mount, row, opened })
    }

    /// Writes the mounts that every cluster has, where they are missing and this cluster may: a secondary only once it is filled.
    pub(super) async fn write_defaults(&self) -> Result<(), WriteError> {
        self.context.write(|txn| self.put_defaults(txn)).await
    }

    /// Adds the mounts that every cluster has to `txn`, where they are missing and this cluster may write them.
    ///
    /// # Errors
    /// If storage cannot be read.
    pub fn put_defaults(&self, txn: &mut Txn) -> Result<(), EngineError> {
        let role = txn.reader().role();
        let entropy = self.context.entropy.as_ref();
        if role.may_write(Scope::Shared) {
            let is_first = !txn.exists(&keys::mount(Scope::Shared, SYSTEM.0, SYSTEM.1))?;
            for (class, path, kind) in [SYSTEM, TOKEN] {
                put_if_missing(txn, entropy, Scope::Shared, class, path, default_row(kind))?;
            }
            if is_first
                && let Some(version) = self.dev_kv
                && self.kind(MountClass::Secret, "kv").is_some()
            {
                let options = Some(BTreeMap::from([("version".to_owned(), version.to_owned())]));
                let row = MountRow { options, description: "key/value secret storage".to_owned(), ..default_row("kv") };
                put_if_missing(txn, entropy, Scope::Shared, MountClass::Secret, "secret", row)?;
            }
        }
        if role.may_write(Scope::Local) && self.kind(CUBBYHOLE.0, CUBBYHOLE.2).is_some() {
            put_if_missing(txn, entropy, Scope::Local, CUBBYHOLE.0, CUBBYHOLE.1, default_row(CUBBYHOLE.2))?;
        }
        Ok(())
    }
}

/// A row of a kind, without identity.
pub(super) fn default_row(kind: &str) -> MountRow {
    let description = match kind {
        "system" => "system endpoints used for control, policy and debugging",
        "token" => "token based credentials",
        "cubbyhole" => "per-token private secret storage",
        _ => "",
    };
    let token_type = if kind == "token" { "default-service" } else { "" };
    MountRow {
        uuid: String::new(),
        accessor: String::new(),
        kind: kind.to_owned(),
        description: description.to_owned(),
        options: None,
        seal_wrap: false,
        external_entropy_access: false,
        config: MountConfig { token_type: token_type.to_owned(), ..MountConfig::default() },
    }
}

/// Gives `row` an identity of its own.
pub(super) fn identify(row: &mut MountRow, entropy: &dyn Entropy) {
    let mut bytes = [0_u8; 16];
    entropy.fill(&mut bytes);
    row.uuid = uuid::Builder::from_random_bytes(bytes).into_uuid().to_string();
    let mut tail = [0_u8; 4];
    entropy.fill(&mut tail);
    row.accessor = format!("{}_{}", row.kind, hex::encode(tail));
}

fn put_if_missing(
    txn: &mut Txn,
    entropy: &dyn Entropy,
    scope: Scope,
    class: MountClass,
    path: &str,
    mut row: MountRow,
) -> Result<(), EngineError> {
    let key = keys::mount(scope, class, path);
    if !txn.exists(&key)? {
        identify(&mut row, entropy);
        if row.kind == CUBBYHOLE.2 {
            keys::CUBBYHOLE_ID.clone_into(&mut row.uuid);
        }
        put_row(txn, key, &row);
    }
    Ok(())
}

/// Writes a row of the mount table, or of doomed mounts.
pub(super) fn put_row<T: serde::Serialize>(txn: &mut Txn, key: Key, row: &T) {
    let bytes = serde_json::to_vec(row).expect("rows have text keys and no failing serializer");
    txn.put(key, Secret::new(bytes));
}

/// Reads a row of the mount table, or of doomed mounts.
pub(super) fn get_row<T: serde::de::DeserializeOwned>(txn: &mut Txn, key: &Key) -> Result<Option<T>, BarrierError> {
    match txn.get(key)? {
        None => Ok(None),
        Some(bytes) => serde_json::from_slice(bytes.expose()).map(Some).map_err(|_| BarrierError::Damaged(key.clone())),
    }
}

fn read_rows(txn: &mut Txn, scope: Scope, class: MountClass) -> Result<Vec<(String, MountRow)>, BarrierError> {
    let prefix = keys::mounts(scope, class);
    let mut rows = Vec::new();
    for key in all_paths(txn, &prefix)? {
        let path = key.path[prefix.path.len()..].to_owned();
        if let Some(row) = get_row(txn, &key)? {
            rows.push((path, row));
        }
    }
    Ok(rows)
}

/// All stored keys below `prefix`, page by page.
pub(super) fn all_paths(txn: &Txn, prefix: &Prefix) -> Result<Vec<Key>, BarrierError> {
    let mut paths: Vec<Key> = Vec::new();
    loop {
        let after = paths.last().map(|key| key.path.clone());
        let page = txn.stored_paths(prefix, after.as_deref(), PAGE_NAMES_MAX)?;
        let is_last = page.len() < PAGE_NAMES_MAX;
        paths.extend(page.into_iter().map(|path| Key::new(prefix.scope, path)));
        if is_last {
            return Ok(paths);
        }
    }
}

/// The path that clients say: `auth/` is part of it, and the final slash.
pub(in crate::core) fn full_path(class: MountClass, path: &str) -> String {
    match class {
        MountClass::Secret => format!("{path}/"),
        MountClass::Auth => format!("auth/{path}/"),
    }
}

fn named_by(key: &Key) -> Option<(MountClass, &str)> {
    [MountClass::Secret, MountClass::Auth].into_iter().find_map(|class| {
        let path = key.path.strip_prefix(&keys::mounts(key.scope, class).path)?;
        Some((class, path))
    })
}
