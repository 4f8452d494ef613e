//! The stored and shipped bytes of commands, records and roles.
//!
//! Protocol Buffers (`proto/machine.proto`): fields may be added and old bytes stay readable. Values are shared with the buffer
//! they are read from, not copied. Golden files in `tests/golden/` hold the format still.

use bytes::Bytes;
use prost::Message;

use super::{Batch, Command, Guard, KeyTerm, KeyUse, Op, Record, Role};
use crate::types::{Generation, HistoryHash, Key, Position, Revision, Scope, SetId, Timestamp, WalIndex};

#[allow(missing_docs, clippy::all, reason = "generated from proto/machine.proto")]
mod pb {
    include!(concat!(env!("OUT_DIR"), "/coffer.machine.v1.rs"));
}

/// Bytes that are no command, record or role of a version this build knows.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// Not Protocol Buffers, or not of this message.
    #[error("read encoded bytes")]
    Malformed(#[from] prost::DecodeError),
    /// A part that must be there is not, or a number names nothing.
    #[error("encoded {0} is missing or unknown")]
    Unknown(&'static str),
}

/// The bytes of a log entry's command.
pub fn encode_command(command: &Command) -> Bytes {
    use pb::command::Kind;
    let kind = match command {
        Command::Write(batch) => Kind::Write(batch_out(batch)),
        Command::Ship { generation, after, records } => {
            Kind::Ship(pb::Ship { generation: generation.0, after: Some(position_out(*after)), records: records.clone() })
        }
        Command::SetRole { role, batch } => Kind::SetRole(pb::SetRole { role: Some(role_out(role)), batch: Some(batch_out(batch)) }),
        Command::Adopt { role, ops, encrypted } => {
            Kind::Adopt(pb::Adopt { role: Some(role_out(role)), ops: ops_out(ops), encrypted: use_out(*encrypted) })
        }
        Command::Repair { ops, done, generation } => {
            Kind::Repair(pb::Repair { ops: ops_out(ops), done: done.map(position_out), generation: generation.0 })
        }
    };
    pb::Command { kind: Some(kind) }.encode_to_vec().into()
}

/// Reads what [`encode_command`] wrote.
///
/// # Errors
/// If the bytes are not a command: a broken disk, or an entry of a newer version.
pub fn decode_command(bytes: &Bytes) -> Result<Command, CodecError> {
    use pb::command::Kind;
    let command = pb::Command::decode(bytes.clone())?;
    Ok(match command.kind.ok_or(CodecError::Unknown("command"))? {
        Kind::Write(batch) => Command::Write(batch_in(batch)?),
        Kind::Ship(ship) => Command::Ship {
            generation: Generation(ship.generation),
            after: position_in(&ship.after.ok_or(CodecError::Unknown("position"))?)?,
            records: ship.records,
        },
        Kind::SetRole(set) => Command::SetRole {
            role: role_in(set.role.ok_or(CodecError::Unknown("role"))?)?,
            batch: batch_in(set.batch.unwrap_or_default())?,
        },
        Kind::Adopt(adopt) => Command::Adopt {
            role: role_in(adopt.role.ok_or(CodecError::Unknown("role"))?)?,
            ops: ops_in(adopt.ops)?,
            encrypted: use_in(adopt.encrypted),
        },
        Kind::Repair(repair) => Command::Repair {
            ops: ops_in(repair.ops)?,
            done: repair.done.as_ref().map(position_in).transpose()?,
            generation: Generation(repair.generation),
        },
    })
}

/// The bytes of a record: what the history hash covers.
pub fn encode_record(record: &Record) -> Bytes {
    pb::Record { wal: record.wal.0, at_ms: record.at.0, ops: ops_out(&record.ops) }.encode_to_vec().into()
}

/// Reads what [`encode_record`] wrote.
///
/// # Errors
/// If the bytes are not a record.
pub fn decode_record(bytes: &Bytes) -> Result<Record, CodecError> {
    let record = pb::Record::decode(bytes.clone())?;
    Ok(Record { wal: WalIndex(record.wal), at: Timestamp(record.at_ms), ops: ops_in(record.ops)? })
}

/// The bytes of a role.
pub fn encode_role(role: &Role) -> Vec<u8> {
    role_out(role).encode_to_vec()
}

/// Reads what [`encode_role`] wrote.
///
/// # Errors
/// If the bytes are not a role.
pub fn decode_role(bytes: &[u8]) -> Result<Role, CodecError> {
    role_in(pb::Role::decode(bytes)?)
}

fn batch_out(batch: &Batch) -> pb::Batch {
    let guards = batch
        .guards
        .iter()
        .map(|Guard::Unchanged { key, since }| pb::Guard {
            scope: key.scope as u32,
            path: key.path.to_string(),
            since: since.map(|revision| revision.0),
        })
        .collect();
    pb::Batch { guards, ops: ops_out(&batch.ops), at_ms: batch.at.0, encrypted: use_out(batch.encrypted) }
}

fn batch_in(batch: pb::Batch) -> Result<Batch, CodecError> {
    let guards = batch
        .guards
        .into_iter()
        .map(|guard| Ok(Guard::Unchanged { key: key_in(guard.scope, guard.path)?, since: guard.since.map(Revision) }))
        .collect::<Result<_, CodecError>>()?;
    Ok(Batch { guards, ops: ops_in(batch.ops)?, at: Timestamp(batch.at_ms), encrypted: use_in(batch.encrypted) })
}

fn use_out(used: KeyUse) -> Option<pb::KeyUse> {
    (used != KeyUse::default()).then_some(pb::KeyUse { term: used.term.0, values: used.values })
}

fn use_in(used: Option<pb::KeyUse>) -> KeyUse {
    used.map_or_else(KeyUse::default, |used| KeyUse { term: KeyTerm(used.term), values: used.values })
}

fn ops_out(ops: &[Op]) -> Vec<pb::Op> {
    ops.iter().map(|op| pb::Op { scope: op.key().scope as u32, path: op.key().path.to_string(), value: op.value().cloned() }).collect()
}

fn ops_in(ops: Vec<pb::Op>) -> Result<Vec<Op>, CodecError> {
    ops.into_iter()
        .map(|op| {
            let key = key_in(op.scope, op.path)?;
            Ok(match op.value {
                Some(value) => Op::Put { key, value },
                None => Op::Delete { key },
            })
        })
        .collect()
}

fn key_in(scope: u32, path: String) -> Result<Key, CodecError> {
    let scope = u8::try_from(scope).ok().and_then(Scope::from_u8).ok_or(CodecError::Unknown("scope"))?;
    Ok(Key::new(scope, path))
}

fn position_out(position: Position) -> pb::Position {
    pb::Position { wal: position.wal.0, history: Bytes::copy_from_slice(&position.history.0) }
}

fn position_in(position: &pb::Position) -> Result<Position, CodecError> {
    let history = position.history.as_ref().try_into().map_err(|_| CodecError::Unknown("history hash"))?;
    Ok(Position { wal: WalIndex(position.wal), history: HistoryHash(history) })
}

fn role_out(role: &Role) -> pb::Role {
    use pb::role::Kind;
    let (kind, fenced_by, filling) = match role {
        Role::Alone => (Kind::Alone, None, false),
        Role::Primary { fenced_by, .. } => (Kind::Primary, *fenced_by, false),
        Role::Secondary { filling, .. } => (Kind::Secondary, None, *filling),
    };
    pb::Role {
        kind: kind.into(),
        set: role.set().map(ToString::to_string).unwrap_or_default(),
        generation: role.generation().0,
        fenced_by: fenced_by.map(|generation| generation.0),
        filling,
    }
}

fn role_in(role: pb::Role) -> Result<Role, CodecError> {
    use pb::role::Kind;
    let kind = Kind::try_from(role.kind).map_err(|_| CodecError::Unknown("role"))?;
    let (set, generation) = (SetId::new(role.set), Generation(role.generation));
    Ok(match kind {
        Kind::Alone => Role::Alone,
        Kind::Primary => Role::Primary { set, generation, fenced_by: role.fenced_by.map(Generation) },
        Kind::Secondary => Role::Secondary { set, generation, filling: role.filling },
    })
}
