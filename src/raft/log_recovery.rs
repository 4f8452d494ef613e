//! Opening a log: what its segments say together, and what a crash left at either end of them.
//!
//! At the end lies what was torn; before the beginning, segments whose removal was broken off.
//! Not here: the bytes (`log_file`).

use std::collections::VecDeque;
use std::io;
use std::path::Path;

use bytes::{Buf, Bytes};

use super::disk::{Depth, Disk, Open};
use super::entry::{Malformed, get_log_id, get_log_id_opt, get_vote};
use super::log_file::{FORMAT, Place, Slot, damaged, kind, segment_path, segments, take_frame};
use super::types::{LogId, Vote};

/// What the files say.
#[derive(Default)]
pub struct Recovered {
    pub slots: VecDeque<Slot>,
    pub vote: Option<Vote>,
    pub committed: Option<LogId>,
    pub purged: Option<LogId>,
    /// Segments and the highest index that each ever held.
    pub segments: VecDeque<(u64, u64)>,
    /// Where the next frame goes.
    pub end: Place,
}

/// Reads all segments in `folder` and cuts a torn tail off the last one.
///
/// # Errors
/// If the files cannot be read, or are damaged elsewhere than at their end.
pub fn recover(disk: &dyn Disk, folder: &Path) -> io::Result<Recovered> {
    let numbers = segments(disk, folder)?;
    // Purged segments are removed oldest first, but a loss of power may bring back any of their names.
    let gap = numbers.windows(2).rposition(|pair| pair[0] + 1 != pair[1]);
    let (left_over, numbers) = numbers.split_at(gap.map_or(0, |at| at + 1));
    let mut found = Recovered::default();
    for (nth, &segment) in numbers.iter().enumerate() {
        let is_last = nth + 1 == numbers.len();
        let path = segment_path(folder, segment);
        let bytes = Bytes::from(disk.read(&path)?);
        let good = found.replay(segment, bytes.clone())?;
        if good == 0 || good < bytes.len() as u64 {
            if !is_last {
                return Err(damaged("a closed segment of the raft log is damaged"));
            }
            let rest = &bytes[usize::try_from(good).expect("a segment fits in memory")..];
            if rest.iter().any(|byte| *byte != 0) {
                tracing::warn!(segment, bytes = rest.len(), "the end of the raft log was torn and is cut off");
            }
            if good == 0 {
                // Torn while it was begun: the one before is still the last.
                disk.remove(&path)?;
                break;
            }
            let file = disk.open(&path, Open::Write)?;
            file.cut(good)?;
            file.sync(Depth::All)?;
        }
        found.end = Place { segment, at: good };
    }
    let purged = found.purged.map_or(0, |id| id.index + 1);
    let follows = match found.slots.front() {
        Some(first) => first.id.index <= purged,
        None => left_over.is_empty() || found.purged.is_some() && found.purged >= found.committed,
    };
    if !follows {
        return Err(damaged("the raft log begins after what was purged"));
    }
    for &segment in left_over {
        tracing::info!(segment, "a segment of the raft log that was purged is removed");
        disk.remove(&segment_path(folder, segment))?;
    }
    Ok(found)
}

impl Recovered {
    /// Replays a segment; returns how many of its bytes are good.
    fn replay(&mut self, segment: u64, mut bytes: Bytes) -> io::Result<u64> {
        let whole = bytes.len();
        loop {
            let at = (whole - bytes.len()) as u64;
            let Some(mut record) = take_frame(&mut bytes) else { return Ok(at) };
            if at == 0 {
                if record[0] != kind::HEAD {
                    return Err(damaged("a segment of the raft log has no head"));
                }
                self.segments.push_back((segment, 0));
            }
            let len = u32::try_from(record.len()).expect("bounded when the frame was taken");
            self.replay_record(&mut record, Place { segment, at }, len).map_err(|error| damaged(&error.to_string()))?;
        }
    }

    fn replay_record(&mut self, record: &mut Bytes, place: Place, len: u32) -> Result<(), Malformed> {
        match record.try_get_u8()? {
            kind::HEAD => {
                if record.try_get_u8()? != FORMAT {
                    return Err(Malformed::Unknown("log format"));
                }
                if record.try_get_u8()? == 1 {
                    self.vote = Some(get_vote(record)?);
                }
                self.committed = get_log_id_opt(record)?;
                self.purged = get_log_id_opt(record)?;
            }
            kind::ENTRY => {
                let id = get_log_id(record)?;
                if self.slots.back().is_some_and(|last| last.id.index + 1 != id.index) {
                    return Err(Malformed::Unknown("entry: its index does not follow"));
                }
                self.slots.push_back(Slot { id, place, len });
                if let Some((_, highest)) = self.segments.back_mut() {
                    *highest = id.index.max(*highest);
                }
            }
            kind::VOTE => self.vote = Some(get_vote(record)?),
            kind::COMMITTED => self.committed = get_log_id_opt(record)?,
            kind::TRUNCATE => {
                let keep = get_log_id_opt(record)?.map(|id| id.index);
                let keep = if bug!(116) { keep.map(|index| index.saturating_sub(1)) } else { keep };
                while self.slots.back().is_some_and(|last| Some(last.id.index) > keep) {
                    self.slots.pop_back();
                }
            }
            kind::PURGE => {
                let upto = get_log_id(record)?;
                while self.slots.front().is_some_and(|first| first.id.index <= upto.index) {
                    self.slots.pop_front();
                }
                self.purged = Some(upto);
            }
            _ => return Err(Malformed::Unknown("record")),
        }
        Ok(())
    }
}
