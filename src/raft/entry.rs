//! The bytes of entries, log ids and votes: the same on disk and on the wire. A command's own bytes are carried untouched.

use bytes::{Buf, BufMut, Bytes, TryGetError};
use openraft::EntryPayload;

use super::types::{Entry, LogId, Payload, Vote, log_id};

const BLANK: u8 = 0;
const COMMAND: u8 = 1;
const MEMBERSHIP: u8 = 2;

/// Bytes that are not what this build writes.
#[derive(Debug, thiserror::Error)]
pub enum Malformed {
    /// They end too early.
    #[error("encoded raft message ends too early")]
    Short(#[from] TryGetError),
    /// A membership that is none.
    #[error("read an encoded membership")]
    Membership(#[from] serde_json::Error),
    /// A number that names nothing.
    #[error("encoded raft {0} is unknown")]
    Unknown(&'static str),
}

pub fn put_log_id(out: &mut Vec<u8>, id: &LogId) {
    out.put_u64(*id.leader_id);
    out.put_u64(id.index);
}

pub fn get_log_id(from: &mut Bytes) -> Result<LogId, Malformed> {
    let (term, index) = (from.try_get_u64()?, from.try_get_u64()?);
    Ok(log_id(term, index))
}

pub fn put_log_id_opt(out: &mut Vec<u8>, id: Option<&LogId>) {
    out.put_u8(id.is_some().into());
    if let Some(id) = id {
        put_log_id(out, id);
    }
}

pub fn get_log_id_opt(from: &mut Bytes) -> Result<Option<LogId>, Malformed> {
    match from.try_get_u8()? {
        0 => Ok(None),
        1 => get_log_id(from).map(Some),
        _ => Err(Malformed::Unknown("log id")),
    }
}

pub fn put_vote(out: &mut Vec<u8>, vote: &Vote) {
    out.put_u64(vote.leader_id.term);
    out.put_u64(vote.leader_id.voted_for);
    out.put_u8(vote.committed.into());
}

pub fn get_vote(from: &mut Bytes) -> Result<Vote, Malformed> {
    let (term, node) = (from.try_get_u64()?, from.try_get_u64()?);
    Ok(match from.try_get_u8()? {
        0 => Vote::new(term, node),
        1 => Vote::new_committed(term, node),
        _ => return Err(Malformed::Unknown("vote")),
    })
}

pub fn put_entry(out: &mut Vec<u8>, entry: &Entry) {
    put_log_id(out, &entry.log_id);
    let (kind, bytes) = match &entry.payload {
        EntryPayload::Blank => (BLANK, Bytes::new()),
        EntryPayload::Normal(payload) => (COMMAND, payload.0.clone()),
        EntryPayload::Membership(membership) => {
            (MEMBERSHIP, serde_json::to_vec(membership).expect("a membership is plain maps of numbers and texts").into())
        }
    };
    out.put_u8(kind);
    out.put_u32(u32::try_from(bytes.len()).expect("an entry is bounded by BATCH_BYTES_MAX"));
    out.extend_from_slice(&bytes);
}

/// Its command shares the buffer that it is read from.
pub fn get_entry(from: &mut Bytes) -> Result<Entry, Malformed> {
    let log_id = get_log_id(from)?;
    let kind = from.try_get_u8()?;
    let len = from.try_get_u32()? as usize;
    if from.len() < len {
        return Err(Malformed::Unknown("entry length"));
    }
    let bytes = from.split_to(len);
    let payload = match kind {
        BLANK => EntryPayload::Blank,
        COMMAND => EntryPayload::Normal(Payload(bytes)),
        MEMBERSHIP => EntryPayload::Membership(serde_json::from_slice(&bytes)?),
        _ => return Err(Malformed::Unknown("entry kind")),
    };
    Ok(Entry { log_id, payload })
}

/// About how many bytes it takes, on disk and on the wire.
pub fn entry_len(entry: &Entry) -> usize {
    match &entry.payload {
        EntryPayload::Normal(payload) => payload.0.len() + 40,
        EntryPayload::Blank => 40,
        EntryPayload::Membership(_) => 1024,
    }
}
