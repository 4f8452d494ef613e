//! Settings that are changed through the API and followed by every node: cross-origin rules and audited headers.
//!
//! Rows are the truth (`sys/config/…`); what was read is kept until a row changes. Works on any unsealed node.
//! Not here: how the settings are written (`sys::config`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use serde::{Deserialize, Serialize};

use super::mounts::{all_paths, get_row};
use super::{Context, keys};
use crate::barrier::{BarrierError, Txn};
use crate::types::Key;

/// Who may call from a browser.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cors {
    /// Always: a row that is there allows something.
    pub enabled: bool,
    /// Origins, or `*` alone.
    pub allowed_origins: Vec<String>,
    /// Headers besides those that are always allowed.
    pub allowed_headers: Vec<String>,
}

/// What was read.
#[derive(Clone, Debug, Default)]
struct Read {
    /// The count of changes when it was.
    at: u64,
    cors: Option<Arc<Cors>>,
    audited_headers: Arc<BTreeMap<String, bool>>,
}

/// The settings of this node.
pub struct Settings {
    context: Arc<Context>,
    /// Counts changes.
    noted: AtomicU64,
    read: ArcSwap<Read>,
}

impl Settings {
    /// Reads nothing yet.
    pub fn new(context: Arc<Context>) -> Self {
        Self { context, noted: AtomicU64::new(1), read: ArcSwap::default() }
    }

    /// Hears of changed rows, from the apply loop. Does not block.
    pub fn note(&self, changed: &[&Key]) {
        if changed.iter().any(|key| key.path.starts_with("sys/config/")) {
            self.note_all();
        }
    }

    /// Everything may have changed.
    pub fn note_all(&self) {
        self.noted.fetch_add(1, Ordering::AcqRel);
    }

    /// Who may call from a browser; `None` if nobody may, or while nothing is known.
    pub fn cors(&self) -> Option<Arc<Cors>> {
        self.fresh().cors.clone()
    }

    /// Headers that are audited, and whether they are hashed.
    pub fn audited_headers(&self) -> Arc<BTreeMap<String, bool>> {
        self.fresh().audited_headers.clone()
    }

    fn fresh(&self) -> Arc<Read> {
        let read = self.read.load_full();
        let at = self.noted.load(Ordering::Acquire);
        if read.at == at {
            return read;
        }
        let Ok(mut txn) = self.context.begin() else { return read };
        match read_all(&mut txn, at) {
            Ok(fresh) => {
                let fresh = Arc::new(fresh);
                // Another reader may have been later, and must not be undone: then this one's mark is the smaller.
                self.read.rcu(|known| if known.at > at { known.clone() } else { fresh.clone() });
                fresh
            }
            Err(error) => {
                tracing::error!(%error, "settings cannot be read");
                read
            }
        }
    }
}

fn read_all(txn: &mut Txn, at: u64) -> Result<Read, BarrierError> {
    let prefix = keys::configs("audited-headers/");
    let mut headers = BTreeMap::new();
    for key in all_paths(txn, &prefix)? {
        let name = key.path[prefix.path.len()..].to_owned();
        headers.insert(name, get_row(txn, &key)?.unwrap_or(true));
    }
    for name in ["correlation-id", "x-correlation-id", "user-agent"] {
        headers.entry(name.to_owned()).or_insert(false);
    }
    let cors: Option<Cors> = get_row(txn, &keys::config("cors"))?;
    Ok(Read { at, cors: cors.filter(|cors| cors.enabled).map(Arc::new), audited_headers: Arc::new(headers) })
}
