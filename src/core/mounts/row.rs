//! One mount: its row as stored, and the mount as opened.
//!
//! Not here: the table of them (`mounts`), how the API shows a row (`sys::mount_view`).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::engine::{Engine, Kind, Mount, MountClass};
use crate::types::{Scope, Ttl};

/// What a row of the mount table says: one mount as the operator configured it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountRow {
    /// Its identity, and the first part of every key that it owns.
    pub uuid: String,
    /// As in `kv_2a7c9b10`.
    pub accessor: String,
    /// The name of its kind.
    #[serde(rename = "type")]
    pub kind: String,
    /// For people.
    #[serde(default)]
    pub description: String,
    /// Such as `version=2`; absent where none were given.
    #[serde(default)]
    pub options: Option<BTreeMap<String, String>>,
    /// Accepted and shown; all values here are encrypted alike.
    #[serde(default)]
    pub seal_wrap: bool,
    /// Accepted and shown.
    #[serde(default)]
    pub external_entropy_access: bool,
    /// What `tune` changes.
    #[serde(default)]
    pub config: MountConfig,
}

/// What `tune` changes. Absent lists were never set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MountConfig {
    /// Zero: the system's.
    pub default_lease_ttl: u64,
    /// Zero: the system's.
    pub max_lease_ttl: u64,
    /// Accepted and shown.
    pub force_no_cache: bool,
    /// Empty, `unauth` or `hidden`.
    pub listing_visibility: String,
    /// `default-service`, `default-batch`, `service` or `batch`; empty for secrets engines.
    pub token_type: String,
    /// Lists of names: `audit_non_hmac_request_keys`, `passthrough_request_headers` and so on.
    pub lists: BTreeMap<String, Vec<String>>,
    /// As given: `lockout_threshold` and so on, in Vault's units.
    pub user_lockout: BTreeMap<String, String>,
}

/// One mount, opened.
pub struct Mounted {
    /// Secrets engine or auth method.
    pub class: MountClass,
    /// What the engine knows of it: path (with `auth/` and the final slash), scope, resolved TTLs.
    pub mount: Mount,
    /// Its row.
    pub row: MountRow,
    /// How it answers.
    pub opened: Opened,
}

/// How a mount answers.
#[derive(Clone)]
pub enum Opened {
    /// By an engine of this kind.
    Engine(&'static Kind, Arc<dyn Engine>),
    /// By the core's own parts at `sys/`.
    System,
    /// By the core's own parts at `auth/token/`.
    Token,
}

/// A mount that was disabled: its leases are to be revoked and its rows to be deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DoomedRow {
    /// Where it was mounted, with `auth/` and the final slash.
    pub path: String,
    /// What it was.
    pub row: MountRow,
}

impl fmt::Debug for Mounted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mounted({} {})", self.row.kind, self.mount.path)
    }
}

impl Mounted {
    /// Its engine; `None` for the core's own.
    pub fn engine(&self) -> Option<(&'static Kind, &Arc<dyn Engine>)> {
        match &self.opened {
            Opened::Engine(kind, engine) => Some((kind, engine)),
            Opened::System | Opened::Token => None,
        }
    }
    /// Whether its table entry stays in this cluster.
    pub fn is_local(&self) -> bool {
        self.mount.scope == Scope::Local
    }
}

/// Bounds that the system sets to every mount.
#[derive(Clone, Copy, Debug)]
pub struct SystemTtls {
    /// Where a mount says nothing.
    pub default: Ttl,
    /// What nothing may exceed.
    pub max: Ttl,
}
