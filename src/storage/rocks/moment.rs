//! What is kept in memory of one moment: the trees, positions, role, which records are kept. Immutable once published.

use super::families::{self, Database, Family, Shared, path_in};
use super::pages::Trees;
use crate::machine::{KeyUses, Positions, Role, decode_role};
use crate::storage::{RecordsKept, StorageError};
use crate::types::{Position, Revision, Timestamp, WalIndex};

/// One moment of the state.
#[derive(Clone)]
pub(super) struct Moment {
    pub(super) database: Shared,
    /// The entry that led here; zero until the first after the database was opened.
    pub(super) at: Revision,
    pub(super) trees: Trees,
    pub(super) positions: Positions,
    pub(super) key_uses: KeyUses,
    pub(super) role: Role,
    pub(super) kept: RecordsKept,
    /// What the first kept record follows.
    pub(super) records_after: Position,
    /// The position after the last kept record, or `records_after`.
    pub(super) records_upto: Position,
}

/// The names of our own meta rows.
pub(super) const POSITIONS: &[u8] = b"s/positions";
pub(super) const KEY_USES: &[u8] = b"s/key-uses";
pub(super) const ROLE: &[u8] = b"s/role";
pub(super) const RECORDS_AFTER: &[u8] = b"s/records-after";
pub(super) const RECORDS_BYTES: &[u8] = b"s/records-bytes";

impl Moment {
    /// Reads the moment that an opened database stands at.
    pub(super) fn load(database: Shared) -> Result<Self, StorageError> {
        let positions = match database.get(Family::Meta, POSITIONS)? {
            Some(bytes) => positions_in(&bytes)?,
            None => Positions::default(),
        };
        let key_uses = match database.get(Family::Meta, KEY_USES)? {
            Some(bytes) => KeyUses::decode(&bytes).ok_or(StorageError::Corrupt("the uses of keys"))?,
            None => KeyUses::default(),
        };
        let role = match database.get(Family::Meta, ROLE)? {
            Some(bytes) => decode_role(&bytes).map_err(|_| StorageError::Corrupt("the role"))?,
            None => Role::Alone,
        };
        let records_after = match database.get(Family::Meta, RECORDS_AFTER)? {
            Some(bytes) => families::position_in(&bytes)?,
            None => Position::default(),
        };
        let bytes = match database.get(Family::Meta, RECORDS_BYTES)? {
            Some(bytes) => families::wal_in(&bytes)?.0,
            None => 0,
        };
        let (kept, records_upto) = ends_of_records(&database, records_after, bytes)?;
        let trees = Trees::load(&database)?;
        Ok(Self { database, at: Revision(0), trees, positions, key_uses, role, kept, records_after, records_upto })
    }
}

fn ends_of_records(database: &Database, after: Position, bytes: u64) -> Result<(RecordsKept, Position), StorageError> {
    let broken = || StorageError::rocks("read the kept records");
    let mut records = database.db.raw_iterator_cf(Family::Wal.handle(&database.db));
    // Trimmed records leave a range behind that a search from the very start would have to cross.
    records.seek(families::wal_key(after.wal.next()));
    let first = records.key().map(families::wal_in).transpose()?;
    records.status().map_err(broken())?;
    records.seek_to_last();
    let last = match records.item() {
        Some((key, row)) if first.is_some() => {
            let wal = families::wal_in(key)?;
            Some(Position { wal, history: families::record_in(row.to_vec())?.0 })
        }
        _ => None,
    };
    records.status().map_err(broken())?;
    Ok(match (first, last) {
        (Some(first), Some(last)) => (RecordsKept { first, last: last.wal, bytes }, last),
        _ => (RecordsKept { first: WalIndex(0), last: WalIndex(0), bytes: 0 }, after),
    })
}

/// Positions in 56 bytes.
pub(super) fn positions_out(positions: &Positions) -> Vec<u8> {
    let mut out = families::position_out(positions.performance).to_vec();
    out.extend_from_slice(&positions.dr.0.to_be_bytes());
    out.extend_from_slice(&positions.performance_at.0.to_be_bytes());
    out
}

fn positions_in(bytes: &[u8]) -> Result<Positions, StorageError> {
    if bytes.len() != 56 {
        return Err(StorageError::Corrupt("the positions"));
    }
    Ok(Positions {
        performance: families::position_in(&bytes[..40])?,
        dr: families::wal_in(&bytes[40..48])?,
        performance_at: Timestamp(families::wal_in(&bytes[48..])?.0),
    })
}

/// The path behind a prefix of a key.
pub(super) fn path_after(key: &[u8], prefix: usize) -> Result<&str, StorageError> {
    path_in(key.get(prefix..).unwrap_or_default())
}
