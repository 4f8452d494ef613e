//! A moment as bytes: the one file of a checkpoint of a state in memory. Read back by this build only.

use bytes::{Buf, BufMut, Bytes, TryGetError};

use super::moment::Moment;
use crate::machine::{KeyUses, PageId, PageSum, Positions, Stored, decode_role, encode_role};
use crate::storage::StorageError;
use crate::types::{HistoryHash, Key, Position, Revision, Scope, Timestamp, WalIndex};

/// The bytes of `moment`.
pub(super) fn encode(moment: &Moment) -> Vec<u8> {
    let mut out = Vec::new();
    put_len(&mut out, moment.rows.len());
    for (key, stored) in &moment.rows {
        out.put_u8(key.scope as u8);
        put(&mut out, key.path.as_bytes());
        out.put_u64(stored.revision.0);
        put(&mut out, &stored.value);
    }
    put_len(&mut out, moment.pages.len());
    for ((scope, page), sum) in &moment.pages {
        out.put_u8(*scope as u8);
        out.put_u16(page.0);
        out.put_slice(&sum.0);
    }
    put_position(&mut out, moment.records_after);
    put_len(&mut out, moment.records.len());
    for (wal, (record, _)) in &moment.records {
        out.put_u64(wal.0);
        put(&mut out, record);
    }
    put_position(&mut out, moment.positions.performance);
    out.put_u64(moment.positions.dr.0);
    out.put_u64(moment.positions.performance_at.0);
    put(&mut out, &moment.key_uses.encode());
    put(&mut out, &encode_role(&moment.role));
    put_len(&mut out, moment.meta.len());
    for (name, bytes) in &moment.meta {
        put(&mut out, name.as_bytes());
        put(&mut out, bytes);
    }
    out
}

/// Reads what [`encode`] wrote.
pub(super) fn decode(bytes: Bytes) -> Result<Moment, StorageError> {
    read(bytes).map_err(|_| StorageError::Corrupt("a checkpoint"))?.ok_or(StorageError::Corrupt("a checkpoint"))
}

fn put_len(out: &mut Vec<u8>, len: usize) {
    out.put_u64(len as u64);
}

fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    put_len(out, bytes.len());
    out.put_slice(bytes);
}

fn put_position(out: &mut Vec<u8>, position: Position) {
    out.put_u64(position.wal.0);
    out.put_slice(&position.history.0);
}

/// `Ok(None)` where the bytes are there but say nothing that can be.
fn read(mut from: Bytes) -> Result<Option<Moment>, TryGetError> {
    let from = &mut from;
    let mut moment = Moment::new();
    for _ in 0..from.try_get_u64()? {
        let (scope, path) = (Scope::from_u8(from.try_get_u8()?), take_text(from)?);
        let (revision, value) = (Revision(from.try_get_u64()?), take(from)?);
        let (Some(scope), Some(path)) = (scope, path) else { return Ok(None) };
        moment.rows.insert(Key::new(scope, path), Stored { revision, value });
    }
    for _ in 0..from.try_get_u64()? {
        let (scope, page) = (Scope::from_u8(from.try_get_u8()?), PageId(from.try_get_u16()?));
        let Some(scope) = scope else { return Ok(None) };
        moment.pages.insert((scope, page), PageSum(take_hash(from)?));
    }
    moment.records_after = take_position(from)?;
    for _ in 0..from.try_get_u64()? {
        let wal = WalIndex(from.try_get_u64()?);
        moment.keep(wal, take(from)?);
    }
    moment.positions =
        Positions { performance: take_position(from)?, dr: WalIndex(from.try_get_u64()?), performance_at: Timestamp(from.try_get_u64()?) };
    let (Some(key_uses), Ok(role)) = (KeyUses::decode(&take(from)?), decode_role(&take(from)?)) else { return Ok(None) };
    (moment.key_uses, moment.role) = (key_uses, role);
    for _ in 0..from.try_get_u64()? {
        let (name, bytes) = (take_text(from)?, take(from)?);
        let Some(name) = name else { return Ok(None) };
        moment.meta.insert(name, bytes.to_vec());
    }
    Ok(from.is_empty().then_some(moment))
}

fn take(from: &mut Bytes) -> Result<Bytes, TryGetError> {
    let len = usize::try_from(from.try_get_u64()?).unwrap_or(usize::MAX);
    if len > from.len() {
        return Err(TryGetError { requested: len, available: from.len() });
    }
    Ok(from.split_to(len))
}

fn take_text(from: &mut Bytes) -> Result<Option<String>, TryGetError> {
    Ok(String::from_utf8(take(from)?.to_vec()).ok())
}

fn take_hash(from: &mut Bytes) -> Result<[u8; 32], TryGetError> {
    let mut hash = [0; 32];
    from.try_copy_to_slice(&mut hash)?;
    Ok(hash)
}

fn take_position(from: &mut Bytes) -> Result<Position, TryGetError> {
    Ok(Position { wal: WalIndex(from.try_get_u64()?), history: HistoryHash(take_hash(from)?) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::{KeyTerm, KeyUse, Role};
    use crate::types::{Generation, SetId};

    #[test]
    fn a_moment_comes_back_as_it_was() {
        let mut moment = Moment::new();
        for scope in Scope::ALL {
            moment.rows.insert(Key::new(scope, "a/b"), Stored { revision: Revision(7), value: vec![1, 2, 3].into() });
        }
        moment.pages.insert((Scope::Shared, PageId(9)), PageSum([5; 32]));
        moment.records_after = Position { wal: WalIndex(3), history: HistoryHash([8; 32]) };
        moment.keep(WalIndex(4), Bytes::from_static(b"record"));
        moment.positions.performance = moment.records[&WalIndex(4)].1;
        moment.positions.dr = WalIndex(11);
        moment.positions.performance_at = Timestamp(12);
        moment.key_uses = KeyUses::default().and(KeyUse { term: KeyTerm(1), values: 5 });
        moment.role = Role::Secondary { set: SetId::new("s"), generation: Generation(2), filling: true };
        moment.meta.insert("raft.applied".to_owned(), vec![1]);
        let bytes = Bytes::from(encode(&moment));
        assert_eq!(decode(bytes.clone()).unwrap(), moment);
        for cut in 0..bytes.len() {
            assert!(decode(bytes.slice(..cut)).is_err(), "cut at {cut}");
        }
    }
}
