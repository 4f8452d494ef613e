//! Reading the records kept for secondaries.

use bytes::Bytes;

use super::families::{Family, record_in, wal_in, wal_key};
use super::moment::Moment;
use crate::storage::StorageError;
use crate::types::{Position, WalIndex};

const READ: &str = "read the kept records";

/// Records after `after`, about `bytes_max` bytes of them.
pub(super) fn read(now: &Moment, after: WalIndex, bytes_max: usize) -> Result<Option<Vec<Bytes>>, StorageError> {
    if position_at(now, after)?.is_none() {
        return Ok(None);
    }
    let mut rows = now.database.db.raw_iterator_cf(Family::Wal.handle(&now.database.db));
    rows.seek(wal_key(after.next()));
    let mut records: Vec<Bytes> = Vec::new();
    let mut bytes = 0;
    let mut expected = after.next();
    while let Some((key, row)) = rows.item() {
        // Trimmed or forgotten while this reads: what was read so far still follows `after`.
        if wal_in(key)? != expected {
            break;
        }
        let (_, record) = record_in(row.to_vec())?;
        bytes += record.len();
        if bytes > bytes_max && !records.is_empty() {
            break;
        }
        records.push(record);
        expected = expected.next();
        rows.next();
    }
    rows.status().map_err(StorageError::rocks(READ))?;
    Ok(Some(records))
}

/// The position with this number.
pub(super) fn position_at(now: &Moment, wal: WalIndex) -> Result<Option<Position>, StorageError> {
    if wal == now.records_after.wal {
        return Ok(Some(now.records_after));
    }
    match now.database.get(Family::Wal, wal_key(wal))? {
        Some(row) => Ok(Some(Position { wal, history: record_in(row)?.0 })),
        None => Ok(None),
    }
}

/// The position of `upto` and the bytes of the records up to it; `None` if it is not kept.
pub(super) fn measure(now: &Moment, upto: WalIndex) -> Result<Option<(Position, u64)>, StorageError> {
    if upto < now.kept.first || upto > now.kept.last || now.kept.last.0 == 0 {
        return Ok(None);
    }
    let Some(position) = position_at(now, upto)? else { return Ok(None) };
    let mut rows = now.database.db.raw_iterator_cf(Family::Wal.handle(&now.database.db));
    rows.seek(wal_key(now.kept.first));
    let mut bytes = 0;
    while let Some((key, row)) = rows.item() {
        if wal_in(key)? > upto {
            break;
        }
        bytes += record_in(row.to_vec())?.1.len() as u64;
        rows.next();
    }
    rows.status().map_err(StorageError::rocks(READ))?;
    Ok(Some((position, bytes)))
}
