//! Locking users out who fail to log in too often: unless a mount says otherwise, five
//! wrong logins, within fifteen minutes of each other, lock for fifteen.
//!
//! Kept as rows that stay in their cluster, so that they outlive a change of the active node. Written on a failure, and on the
//! success that ends a row of failures; a success otherwise costs two reads of rows that are not there.
//!
//! Two rows, because names can be made up. What was *seen* of a name decides what callers are told, and is alike for users and for
//! names that nobody has, or one could ask which is which; only so many names are kept. What is *known* of a user decides whether
//! they may log in, and is always kept. So when the names are too many, the users among the new ones are still locked, only without
//! being told: a right password is then answered like a wrong one.

mod engine;
mod failures;
mod room;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use async_trait::async_trait;
use failures::Failures;
use room::Room;

pub use engine::LockedUsersEngine;

use super::keys;
use super::lifecycle::{ActivePart, StartError};
use super::token::entry::{read_json, write_json};
use crate::barrier::{BarrierError, Txn};
use crate::engine::Mount;
use crate::types::limits::LOCKOUT_NAMES_MAX;
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

/// Whether a name may log in now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lock {
    /// It may try.
    Open,
    /// It may not, not even with the right password, and is told so.
    Told,
    /// It may not, and must not be able to tell that from a wrong password: another name would not be locked here.
    Silent,
}

/// Counts failed logins.
#[derive(Debug)]
pub struct Lockouts {
    room: Room,
}

impl Default for Lockouts {
    fn default() -> Self {
        Self { room: Room::new(LOCKOUT_NAMES_MAX) }
    }
}

/// One form for all spellings of a user's name, or variants would each have their own tries (CVE-2025-6004).
fn spelled(alias: &str) -> String {
    alias.trim().to_lowercase()
}

/// The rows about a name: seen, known.
fn rows(mount_accessor: &str, alias: &str) -> [Key; 2] {
    let alias = spelled(alias);
    [keys::lockout_seen(mount_accessor, &alias), keys::lockout_known(mount_accessor, &alias)]
}

fn due_name(row: &Key) -> String {
    format!("lockout/{}", row.path.strip_prefix(&keys::lockouts().path).unwrap_or_default())
}

/// Whether the name may log in now.
///
/// # Errors
/// If storage cannot be read.
pub fn lock(txn: &mut Txn, mount: &Mount, alias: &str, now: Timestamp) -> Result<Lock, BarrierError> {
    let [seen, known] = rows(&mount.accessor, alias);
    let mut is_locked = |row: &Key| {
        let failures: Option<Failures> = read_json(txn, row)?;
        Ok::<_, BarrierError>(failures.is_some_and(|failures| failures.is_locked(now)))
    };
    Ok(match (is_locked(&seen)?, is_locked(&known)?) {
        (true, _) => Lock::Told,
        (false, true) => Lock::Silent,
        (false, false) => Lock::Open,
    })
}

/// A wrong login.
#[derive(Clone, Copy, Debug)]
pub struct WrongLogin<'a> {
    /// Where.
    pub mount: &'a Mount,
    /// For whom.
    pub alias: &'a str,
    /// Whether there is such a user.
    pub is_known: bool,
}

impl Lockouts {
    /// Counts a wrong login. To be committed although the request is refused.
    ///
    /// # Errors
    /// If storage cannot be read.
    pub fn failed(&self, txn: &mut Txn, wrong: WrongLogin<'_>, settings: Settings, now: Timestamp) -> Result<(), BarrierError> {
        let [seen, known] = rows(&wrong.mount.accessor, wrong.alias);
        if txn.exists(&seen)? || self.room.take(txn, now)? {
            count(txn, seen, settings, now)?;
        }
        if wrong.is_known && count(txn, known.clone(), settings, now)? {
            return Ok(());
        }
        // As many reads and writes as for a user who is not locked.
        read_json::<Failures>(txn, &known)?;
        write_json(txn, keys::lockout_decoy(0), &true);
        write_json(txn, keys::lockout_decoy(1), &Failures::default());
        Ok(())
    }

    /// Makes room for no more than `most` names.
    #[cfg(test)]
    pub fn shrink(&self, most: usize) {
        self.room.shrink(most);
    }
}

#[async_trait]
impl ActivePart for Lockouts {
    fn name(&self) -> &'static str {
        "lockouts"
    }
    async fn start(&self) -> Result<(), StartError> {
        self.room.forget();
        Ok(())
    }
    async fn stop(&self) {}
}

/// Whether it was counted: while locked nothing is.
fn count(txn: &mut Txn, row: Key, settings: Settings, now: Timestamp) -> Result<bool, BarrierError> {
    let before: Failures = read_json(txn, &row)?.unwrap_or_default();
    let Some(after) = before.and_one_more(settings, now) else { return Ok(false) };
    if before.count > 0 {
        txn.delete(keys::due(before.ends_ms, &due_name(&row)));
    }
    write_json(txn, keys::due(after.ends_ms, &due_name(&row)), &true);
    write_json(txn, row, &after);
    Ok(true)
}

/// A login was right: earlier failures count no more.
///
/// # Errors
/// If storage cannot be read.
pub fn succeeded(txn: &mut Txn, mount: &Mount, alias: &str) -> Result<(), BarrierError> {
    unlock(txn, &mount.accessor, alias)
}

/// Unlocks a user by the accessor of their mount.
///
/// # Errors
/// If storage cannot be read.
pub fn unlock(txn: &mut Txn, mount_accessor: &str, alias: &str) -> Result<(), BarrierError> {
    for row in rows(mount_accessor, alias).into_iter().take(if bug!(125) { 1 } else { 2 }) {
        if let Some(failures) = read_json::<Failures>(txn, &row)? {
            txn.delete(keys::due(failures.ends_ms, &due_name(&row)));
            txn.delete(row);
        }
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
