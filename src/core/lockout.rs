//! Locking users out who fail to log in too often: five wrong logins, within fifteen minutes of each other, lock for fifteen.
//!
//! Kept as rows that stay in their cluster, so that they outlive a change of the active node. Written on a failure, and on the
//! success that ends a row of failures; a success otherwise costs one read of a row that is not there.

use serde::{Deserialize, Serialize};

use super::keys;
use super::token::entry::{read_json, write_json};
use crate::barrier::{BarrierError, Txn};
use crate::engine::Mount;
use crate::types::{Key, Timestamp};

/// Failures that lock.
const THRESHOLD: u32 = 5;
/// How long a lock holds.
const DURATION_MS: u64 = 15 * 60 * 1000;
/// After this long without a failure, earlier ones count no more.
const RESET_MS: u64 = 15 * 60 * 1000;

/// What is stored of a user's failures.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Failures {
    count: u32,
    last_ms: u64,
}

impl Failures {
    fn is_locked(&self, now: Timestamp) -> bool {
        self.count >= THRESHOLD && now.0 < self.last_ms.saturating_add(DURATION_MS)
    }
    /// When nothing of it counts any more.
    fn ends_ms(&self) -> u64 {
        self.last_ms.saturating_add(DURATION_MS.max(RESET_MS))
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
pub fn failed(txn: &mut Txn, mount: &Mount, alias: &str, now: Timestamp) -> Result<(), BarrierError> {
    let row = row(mount, alias);
    let mut failures: Failures = read_json(txn, &row)?.unwrap_or_default();
    if failures.is_locked(now) {
        return Ok(());
    }
    let is_over = failures.count >= THRESHOLD || now.0 >= failures.last_ms.saturating_add(RESET_MS);
    if failures.count > 0 {
        txn.delete(keys::due(failures.ends_ms(), &due_name(&row)));
    }
    failures.count = if is_over { 1 } else { failures.count + 1 };
    failures.last_ms = now.0;
    write_json(txn, keys::due(failures.ends_ms(), &due_name(&row)), &true);
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
        txn.delete(keys::due(failures.ends_ms(), &due_name(&row)));
        txn.delete(row);
    }
    Ok(())
}

/// Removes a row whose time is over. `name` is what its due row says.
pub(super) fn sweep(txn: &mut Txn, name: &str, due: &Key, now: Timestamp) -> Result<(), BarrierError> {
    let row = Key::local(format!("{}{name}", keys::lockouts().path));
    if read_json::<Failures>(txn, &row)?.is_some_and(|failures| failures.ends_ms() <= now.0) {
        txn.delete(row);
    }
    txn.delete(due.clone());
    Ok(())
}
