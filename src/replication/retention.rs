//! How long records are kept for secondaries that are away: a bound of size and one of age, on every node of every cluster.
//!
//! A comparison that is under way pins its snapshot's records, so that the stream can go on from there however long it took.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::metrics;
use crate::machine::decode_record;
use crate::storage::{Physical, StorageError};
use crate::types::limits::{WAL_KEEP_BYTES_DEFAULT, WAL_KEEP_DEFAULT};
use crate::types::{Timestamp, WalIndex};

/// What is kept.
#[derive(Clone, Copy, Debug)]
pub struct Keep {
    /// At most this many bytes, about,
    pub bytes: u64,
    /// and nothing older than this.
    pub age: Duration,
}

impl Default for Keep {
    fn default() -> Self {
        Self { bytes: WAL_KEEP_BYTES_DEFAULT, age: WAL_KEEP_DEFAULT }
    }
}

/// Records that must not go, by who needs them.
#[derive(Clone, Debug, Default)]
pub struct Pins(Arc<Mutex<BTreeMap<u64, WalIndex>>>);

/// Keeps the records after a position while it lives.
#[derive(Debug)]
pub struct Pin {
    pins: Pins,
    id: u64,
}

impl Pins {
    /// Keeps the records after `after` until the pin is dropped.
    pub fn pin(&self, after: WalIndex) -> Pin {
        let mut pins = self.0.lock().expect("no holder of this lock panics");
        let id = if bug!(157) { pins.len() as u64 } else { pins.last_key_value().map_or(0, |(id, _)| id + 1) };
        pins.insert(id, after);
        Pin { pins: self.clone(), id }
    }

    fn first(&self) -> Option<WalIndex> {
        self.0.lock().expect("no holder of this lock panics").values().min().copied()
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        self.pins.0.lock().expect("no holder of this lock panics").remove(&self.id);
    }
}

/// Removes what is no longer kept.
///
/// # Errors
/// If the store cannot be read or written.
pub fn trim(store: &dyn Physical, keep: Keep, pins: &Pins, now: Timestamp) -> Result<(), StorageError> {
    let kept = store.records_kept();
    if kept.last.0 == 0 {
        return Ok(());
    }
    let count = kept.last.0 - kept.first.0 + 1;
    let mut upto = kept.first.0 - 1;
    if kept.bytes > keep.bytes {
        // Records are about equally large; a wrong guess is mended the next time.
        let surplus = u128::from(kept.bytes - keep.bytes) * u128::from(count) / u128::from(kept.bytes);
        upto += u64::try_from(surplus).unwrap_or(count).clamp(1, count);
    }
    upto = upto.max(last_older_than(store, kept.first.0, kept.last.0, now, keep.age)?);
    if let Some(pinned) = pins.first() {
        upto = upto.min(pinned.0);
    }
    if upto >= kept.first.0 {
        store.trim_records(WalIndex(upto))?;
        ::metrics::counter!(metrics::WAL_DELETED).increment(upto + 1 - kept.first.0);
    }
    Ok(())
}

/// The last record that is older than `age`, or the one before `first`: records are in order of time.
fn last_older_than(store: &dyn Physical, first: u64, last: u64, now: Timestamp, age: Duration) -> Result<u64, StorageError> {
    let is_old = |wal: u64| -> Result<bool, StorageError> {
        let records = store.records(WalIndex(wal - 1), 1)?.unwrap_or_default();
        let Some(record) = records.first() else { return Ok(true) };
        let record = decode_record(record).map_err(|_| StorageError::Corrupt("a kept record"))?;
        Ok(now.since(record.at) > age)
    };
    let (mut old, mut young) = (first - 1, last + 1);
    while old + 1 < young {
        let middle = old + (young - old) / 2;
        if is_old(middle)? { old = middle } else { young = middle }
    }
    Ok(old)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::{Batch, Command, Op, Stage};
    use crate::storage::{MemStore, PhysicalView};
    use crate::types::{Index, Key};

    /// Ten records of one row each, one a second.
    fn store() -> MemStore {
        let store = MemStore::new();
        for n in 1..=10 {
            let op = Op::Put { key: Key::shared("a"), value: vec![0; 100].into() };
            let view = PhysicalView(&store);
            let mut stage = Stage::new(&view);
            stage.apply(Index(n), &Command::Write(Batch { ops: vec![op], at: Timestamp(n * 1000), ..Batch::default() })).unwrap();
            store.commit(&stage.into_applied(), &Vec::new()).unwrap();
        }
        store
    }

    #[track_caller]
    fn check(keep: Keep, now: u64, pinned: Option<u64>, first: u64) {
        let store = store();
        let pins = Pins::default();
        let pin = pinned.map(|after| pins.pin(WalIndex(after)));
        trim(&store, keep, &pins, Timestamp(now)).unwrap();
        assert_eq!(store.records_kept().first, WalIndex(first));
        drop(pin);
        assert_eq!(pins.first(), None);
    }

    #[test]
    fn records_go_by_age_and_by_size_but_not_while_they_are_pinned() {
        let all = Keep::default();
        let seconds = |secs| Keep { age: Duration::from_secs(secs), ..all };
        let bytes = store().records_kept().bytes;
        check(all, 11_000, None, 1);
        check(seconds(5), 11_000, None, 6);
        check(seconds(5), 11_000, Some(2), 3);
        check(seconds(0), 60_000, None, 0);
        check(Keep { bytes: bytes / 2, ..all }, 11_000, None, 6);
        check(Keep { bytes: bytes / 2, ..all }, 11_000, Some(0), 1);
        check(Keep { bytes: bytes - 1, ..all }, 11_000, None, 2);
    }

    #[test]
    fn each_pin_lasts_as_long_as_whoever_holds_it() {
        let pins = Pins::default();
        let (first, second) = (pins.pin(WalIndex(1)), pins.pin(WalIndex(2)));
        drop(first);
        let third = pins.pin(WalIndex(3));
        assert_eq!(pins.first(), Some(WalIndex(2)));
        drop(third);
        assert_eq!(pins.first(), Some(WalIndex(2)));
        drop(second);
        assert_eq!(pins.first(), None);
    }
}
