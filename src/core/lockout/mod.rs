//! Locking users out who fail to log in too often: unless a mount says otherwise, five
//! wrong logins, within fifteen minutes of each other, lock for fifteen.
//!
//! Kept as rows that stay in their cluster, so that they outlive a change of the active node. Written on a failure, and on the
//! success that ends a row of failures; a success otherwise costs one read of a row that is not there.

mod engine;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use engine::LockedUsersEngine;

use super::keys;
use super::token::entry::{read_json, write_json};
use crate::barrier::{BarrierError, Txn};
use crate::engine::Mount;
use crate::types::{Key, Timestamp};

/// What a mount says about locking out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Failures that lock; zero locks nobody.
    pub threshold: u32,
    /// How long a lock holds, in seconds.
    pub duration_secs: u64,
    /// After this long without a failure, earlier ones count no more, in seconds.
    pub reset_secs: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { threshold: 5, duration_secs: 15 * 60, reset_secs: 15 * 60 }
    }
}

impl Settings {
    /// As tuned: `user_lockout_config` of a mount, and `otherwise` where that says nothing.
    pub fn tuned(config: &BTreeMap<String, String>, otherwise: Self) -> Self {
        let number = |name: &str| config.get(name).and_then(|text| text.parse::<u64>().ok()).filter(|number| *number > 0);
        Self {
            threshold: number("lockout_threshold").and_then(|n| u32::try_from(n).ok()).unwrap_or(otherwise.threshold),
            duration_secs: number("lockout_duration").unwrap_or(otherwise.duration_secs),
            reset_secs: number("lockout_counter_reset_duration").unwrap_or(otherwise.reset_secs),
        }
    }
}

/// What is stored of a user's failures.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Failures {
    count: u32,
    /// Locked until then, in milliseconds since the epoch; zero if not.
    locked_until_ms: u64,
    /// Nothing of it counts any more from then on.
    ends_ms: u64,
}

impl Failures {
    fn is_locked(&self, now: Timestamp) -> bool {
        now.0 < self.locked_until_ms
    }
}

/// One form for all spellings of a user's name, or variants would each have their own tries (CVE-2025-6004).
fn row(mount: &Mount, alias: &str) -> Key {
    keys::lockout(&mount.accessor, &alias.trim().to_lowercase())
}

fn due_name(row: &Key) -> String {
    format!("lockout/{}", row.path.strip_prefix(&keys::lockouts().path).unwrap_or_default())
}

/// Whether the user may not log in now, not even with the right password.
///
/// # Errors
/// If storage cannot be read.
pub fn is_locked(txn: &mut Txn, mount: &Mount, alias: &str, now: Timestamp) -> Result<bool, BarrierError> {
    let failures: Option<Failures> = read_json(txn, &row(mount, alias))?;
    Ok(failures.is_some_and(|failures| failures.is_locked(now)))
}

/// A login was wrong. To be committed although the request is refused.
///
/// # Errors
/// If storage cannot be read.
pub fn failed(txn: &mut Txn, mount: &Mount, alias: &str, settings: Settings, now: Timestamp) -> Result<(), BarrierError> {
    let row = row(mount, alias);
    let mut failures: Failures = read_json(txn, &row)?.unwrap_or_default();
    if failures.is_locked(now) {
        return Ok(());
    }
    if failures.count > 0 {
        txn.delete(keys::due(failures.ends_ms, &due_name(&row)));
    }
    let is_first = failures.locked_until_ms > 0 || failures.ends_ms <= now.0;
    failures.count = if is_first { 1 } else { failures.count + 1 };
    let is_last = settings.threshold > 0 && failures.count >= settings.threshold;
    failures.locked_until_ms = if is_last { now.0.saturating_add(settings.duration_secs.saturating_mul(1000)) } else { 0 };
    let counts_until = now.0.saturating_add(settings.reset_secs.saturating_mul(1000));
    failures.ends_ms = if is_last { failures.locked_until_ms } else { counts_until };
    write_json(txn, keys::due(failures.ends_ms, &due_name(&row)), &true);
    write_json(txn, row, &failures);
    Ok(())
}

/// A login was right: earlier failures count no more.
///
/// # Errors
/// If storage cannot be read.
pub fn succeeded(txn: &mut Txn, mount: &Mount, alias: &str) -> Result<(), BarrierError> {
    clear(txn, row(mount, alias))
}

/// Unlocks a user by the accessor of their mount.
///
/// # Errors
/// If storage cannot be read.
pub fn unlock(txn: &mut Txn, mount_accessor: &str, alias: &str) -> Result<(), BarrierError> {
    clear(txn, keys::lockout(mount_accessor, &alias.trim().to_lowercase()))
}

fn clear(txn: &mut Txn, row: Key) -> Result<(), BarrierError> {
    if let Some(failures) = read_json::<Failures>(txn, &row)? {
        txn.delete(keys::due(failures.ends_ms, &due_name(&row)));
        txn.delete(row);
    }
    Ok(())
}

/// Removes a row whose time is over. `name` is what its due row says.
pub(super) fn sweep(txn: &mut Txn, name: &str, due: &Key, now: Timestamp) -> Result<(), BarrierError> {
    let row = Key::local(format!("{}{name}", keys::lockouts().path));
    if read_json::<Failures>(txn, &row)?.is_some_and(|failures| failures.ends_ms <= now.0) {
        txn.delete(row);
    }
    txn.delete(due.clone());
    Ok(())
}
