//! Which audit devices are enabled: rows, and the devices opened from them.
//!
//! Rows are the truth; the broker follows them before the next line is written. A device whose row is there but that cannot be
//! opened stays in the broker as one that takes nothing, so that requests are refused unless another device takes their lines.
//!
//! Not here: what a line says and how lines are handed out (`audit`), the API (`sys::audit`).

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use arc_swap::{ArcSwap, ArcSwapOption};
use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::mounts::{TableError, all_paths, get_row};
use super::{Context, keys};
use crate::audit::{self, AuditDevice, AuditError, Broker, Device, Hasher};
use crate::types::{Key, Scope};

/// What a row says: one device as the operator enabled it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRow {
    /// The name of its kind.
    #[serde(rename = "type")]
    pub kind: String,
    /// For people.
    pub description: String,
    /// The kind's and the common options.
    pub options: BTreeMap<String, String>,
    /// The key that its values are hashed with, in hexadecimal.
    pub salt: String,
}

impl std::fmt::Debug for AuditRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AuditRow({})", self.kind)
    }
}

/// An enabled device.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Enabled {
    /// Whether its row stays in this cluster.
    pub scope: Scope,
    /// Its row.
    pub row: AuditRow,
}

/// The devices of one run of the active node.
#[derive(Default)]
pub struct Devices {
    /// Hands lines out.
    pub broker: Broker,
    /// The rows that it follows, by path with the final slash.
    enabled: ArcSwap<BTreeMap<String, Enabled>>,
}

/// The audit devices of this node. Filled on the active node only.
pub struct AuditTable {
    context: Arc<Context>,
    kinds: &'static [&'static audit::Kind],
    /// `None` while this node is not active. A request that began before goes on with the devices that it began with.
    devices: ArcSwapOption<Devices>,
    /// Counts changes.
    noted: AtomicU64,
    /// How many of them the broker follows.
    followed: AtomicU64,
    replacing: Mutex<()>,
}

impl AuditTable {
    /// Without devices.
    pub fn new(context: Arc<Context>, kinds: &'static [&'static audit::Kind]) -> Self {
        Self {
            context,
            kinds,
            devices: ArcSwapOption::empty(),
            noted: AtomicU64::new(0),
            followed: AtomicU64::new(0),
            replacing: Mutex::default(),
        }
    }

    /// Hears of changed rows, from the apply loop. Does not block.
    pub fn note(&self, changed: &[&Key]) {
        if changed.iter().any(|key| key.path.starts_with("sys/audit/")) {
            self.note_all();
        }
    }

    /// Everything may have changed.
    pub fn note_all(&self) {
        self.noted.fetch_add(1, Ordering::AcqRel);
    }

    /// The devices of every row that was applied before this call.
    ///
    /// # Errors
    /// While this node is not active, or if rows cannot be read: then nothing may be done unaudited.
    pub fn devices(&self) -> Result<Arc<Devices>, TableError> {
        let devices = self.devices.load_full().ok_or(TableError::NotActive)?;
        if self.noted.load(Ordering::Acquire) != self.followed.load(Ordering::Acquire) {
            self.refresh(&devices)?;
        }
        Ok(devices)
    }

    /// All enabled devices, by path with its final slash.
    ///
    /// # Errors
    /// As [`Self::devices`].
    pub fn enabled(&self) -> Result<Arc<BTreeMap<String, Enabled>>, TableError> {
        Ok(self.devices()?.enabled.load_full())
    }

    /// Opens all devices when this node becomes active.
    ///
    /// # Errors
    /// While sealed, or if rows cannot be read.
    pub fn fill(&self) -> Result<(), TableError> {
        let devices = Arc::new(Devices::default());
        self.refresh(&devices)?;
        self.devices.store(Some(devices));
        Ok(())
    }

    /// Closes all devices when this node is active no longer.
    pub fn empty(&self) {
        self.devices.store(None);
    }

    /// Opens all files anew, after they were moved away.
    pub async fn reopen(&self) {
        if let Some(devices) = self.devices.load_full() {
            devices.broker.reopen().await;
        }
    }

    /// Opens a device as `row` says, to see whether it can be.
    ///
    /// # Errors
    /// In Vault's words.
    pub fn open(&self, row: &AuditRow) -> Result<Device, AuditError> {
        let Some(kind) = self.kinds.iter().find(|kind| kind.name == row.kind) else {
            return Err(AuditError::Options(format!("unknown backend type: \"{}\"", row.kind)));
        };
        let options = audit::Options::parse(&row.options)?;
        let salt = hex::decode(&row.salt).map_err(|_| AuditError::Options("the device's salt is damaged".to_owned()))?;
        Ok(Device { hasher: Hasher::new(&salt, options), writer: (kind.open)(&row.options)? })
    }

    fn refresh(&self, devices: &Devices) -> Result<(), TableError> {
        let _replacing = self.replacing.lock().expect("no holder of this lock panics");
        // Read before the rows are: what changes later keeps the two apart.
        let noted = self.noted.load(Ordering::Acquire);
        let rows = self.read_rows()?;
        let Devices { broker, enabled: open } = devices;
        let old = open.load_full();
        for path in old.keys().filter(|path| !rows.contains_key(*path)) {
            tracing::info!(path, "audit device closed");
            broker.remove(path);
        }
        for (path, enabled) in rows.iter().filter(|(path, enabled)| old.get(*path) != Some(enabled)) {
            let device = self.open(&enabled.row).unwrap_or_else(|problem| {
                tracing::error!(path, %problem, "audit device cannot be opened: it takes no lines");
                Device { hasher: Hasher::new(&[0; 32], strict()), writer: Arc::new(Unopened(problem)) }
            });
            broker.add(path, device);
        }
        open.store(Arc::new(rows));
        self.followed.store(noted, Ordering::Release);
        Ok(())
    }

    fn read_rows(&self) -> Result<BTreeMap<String, Enabled>, TableError> {
        let mut txn = self.context.begin()?;
        let mut rows = BTreeMap::new();
        // Local rows come last: they win where a shared one names the same path.
        for scope in [Scope::Shared, Scope::Local] {
            let prefix = keys::audit_devices(scope);
            for key in all_paths(&txn, &prefix)? {
                if let Some(row) = get_row(&mut txn, &key)? {
                    rows.insert(format!("{}/", &key.path[prefix.path.len()..]), Enabled { scope, row });
                }
            }
        }
        Ok(rows)
    }
}

fn strict() -> audit::Options {
    audit::Options { log_raw: false, hmac_accessor: true, elide_list_responses: false }
}

/// Stands where a device could not be opened.
struct Unopened(AuditError);

#[async_trait]
impl AuditDevice for Unopened {
    async fn record(&self, _: Bytes) -> Result<(), AuditError> {
        Err(self.0.clone())
    }
    async fn reopen(&self) -> Result<(), AuditError> {
        Err(self.0.clone())
    }
}
