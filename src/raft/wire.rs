//! The bytes of openraft's messages between nodes. Appends are compact and carry commands untouched; the rare rest is JSON.

use bytes::{Buf, BufMut, Bytes};
use openraft::raft::{AppendEntriesRequest, StreamAppendError, StreamAppendResult};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::entry::{
    Malformed, entry_len, get_entry, get_log_id, get_log_id_opt, get_vote, put_entry, put_log_id, put_log_id_opt, put_vote,
};
use super::types::{SnapshotMeta, Types, Vote};

const VERSION: u8 = 2;

/// What precedes the files of a snapshot.
#[derive(Serialize, Deserialize)]
pub struct SnapshotHead {
    /// The leader's vote.
    pub vote: Vote,
    /// Which moment it is.
    pub meta: SnapshotMeta,
}

/// The answer to a candidate that was removed from the group after its log ends, in place of a vote.
pub const REMOVED: &[u8] = b"removed";

pub fn encode<T: Serialize>(message: &T) -> Bytes {
    serde_json::to_vec(message).expect("raft messages are plain maps of numbers and texts").into()
}

pub fn decode<T: DeserializeOwned>(bytes: &Bytes) -> Result<T, String> {
    serde_json::from_slice(bytes).map_err(|error| format!("malformed raft message: {error}"))
}

pub fn encode_append(request: &AppendEntriesRequest<Types>) -> Bytes {
    let mut out = Vec::with_capacity(128 + request.entries.iter().map(entry_len).sum::<usize>());
    out.put_u8(VERSION);
    put_vote(&mut out, &request.vote);
    put_log_id_opt(&mut out, request.prev_log_id.as_ref());
    put_log_id_opt(&mut out, request.leader_commit.as_ref());
    out.put_u32(u32::try_from(request.entries.len()).expect("a message is bounded by APPEND_BYTES_MAX"));
    for entry in &request.entries {
        put_entry(&mut out, entry);
    }
    out.into()
}

pub fn decode_append(mut from: Bytes) -> Result<AppendEntriesRequest<Types>, Malformed> {
    if from.try_get_u8()? != VERSION {
        return Err(Malformed::Unknown("message version"));
    }
    let vote = get_vote(&mut from)?;
    let prev_log_id = get_log_id_opt(&mut from)?;
    let leader_commit = get_log_id_opt(&mut from)?;
    let count = from.try_get_u32()?;
    let mut entries = Vec::with_capacity((count as usize).min(from.len() / 21));
    for _ in 0..count {
        entries.push(get_entry(&mut from)?);
    }
    Ok(AppendEntriesRequest { vote, prev_log_id, entries, leader_commit })
}

pub fn encode_appended(result: &StreamAppendResult<Types>) -> Bytes {
    let mut out = Vec::with_capacity(32);
    match result {
        Ok(matched) => {
            out.put_u8(0);
            put_log_id_opt(&mut out, matched.as_ref());
        }
        Err(StreamAppendError::Conflict(at)) => {
            out.put_u8(1);
            put_log_id(&mut out, at);
        }
        Err(StreamAppendError::HigherVote(vote)) => {
            out.put_u8(2);
            put_vote(&mut out, vote);
        }
    }
    out.into()
}

pub fn decode_appended(mut from: Bytes) -> Result<StreamAppendResult<Types>, Malformed> {
    Ok(match from.try_get_u8()? {
        0 => Ok(get_log_id_opt(&mut from)?),
        1 => Err(StreamAppendError::Conflict(get_log_id(&mut from)?)),
        2 => Err(StreamAppendError::HigherVote(get_vote(&mut from)?)),
        _ => return Err(Malformed::Unknown("append result")),
    })
}

#[cfg(test)]
mod tests {
    use openraft::EntryPayload;

    use super::super::types::{Entry, LogId, Payload, log_id};
    use super::*;

    fn id(index: u64) -> LogId {
        log_id(3, index)
    }

    #[test]
    fn append_messages_come_back_as_they_were() {
        let entries = vec![
            Entry { log_id: id(5), payload: EntryPayload::Blank },
            Entry { log_id: id(6), payload: EntryPayload::Normal(Payload(Bytes::from_static(b"command"))) },
        ];
        let request = AppendEntriesRequest { vote: Vote::new_committed(3, 7), prev_log_id: Some(id(4)), entries, leader_commit: None };
        let bytes = encode_append(&request);
        let back = decode_append(bytes.clone()).unwrap();
        assert_eq!(format!("{request:?}"), format!("{back:?}"));
        assert_eq!(back.entries, request.entries);
        for cut in 0..bytes.len() {
            assert!(decode_append(bytes.slice(..cut)).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn append_answers_come_back_as_they_were() {
        let higher = StreamAppendError::HigherVote(Vote::new(9, 1));
        for result in [Ok(None), Ok(Some(id(8))), Err(StreamAppendError::Conflict(id(2))), Err(higher)] {
            assert_eq!(decode_appended(encode_appended(&result)).unwrap(), result);
        }
    }
}
