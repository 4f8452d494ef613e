//! The log's files: segments of frames, each a length, a CRC-32 and a record; and the low-water mark beside them.
//!
//! A segment begins with a head that repeats vote, committed and purged, so that older segments can be removed whole. The last one may
//! end in zeros, which are room for more (`log_thread`); what lies there instead was torn. Either is cut off when the log is opened.
//! The mark says how far the log is known to be durable. It is written after each sync, so it never runs ahead of the log;
//! a log that ends before it has lost something that this node acknowledged. Not here: who writes when (`log_thread`).

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes};

use super::disk::{Depth, Disk, DiskFile, Open};
use super::entry::{Malformed, get_entry, get_log_id, get_log_id_opt, get_vote, put_log_id_opt, put_vote};
use super::log_sync::LogSync;
use super::types::{Entry, LogId, Vote};

/// A segment is closed at this size: small enough that purging gives space back in good steps.
pub const SEGMENT_BYTES: u64 = 64 * 1024 * 1024;
/// Length and checksum before each record.
pub const FRAME_HEAD: usize = 8;
/// No record is near this; a longer length is damage.
const RECORD_BYTES_MAX: usize = 64 * 1024 * 1024;
/// What this build writes and reads. 1 had the leader's node in each log id.
pub const FORMAT: u8 = 2;

/// Kinds of records.
pub mod kind {
    pub const HEAD: u8 = 1;
    pub const ENTRY: u8 = 2;
    pub const VOTE: u8 = 3;
    pub const COMMITTED: u8 = 4;
    pub const TRUNCATE: u8 = 5;
    pub const PURGE: u8 = 6;
}

/// A place in the files; later is greater.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Place {
    /// Which segment.
    pub segment: u64,
    /// Bytes from its start.
    pub at: u64,
}

/// Where an entry lies: the place of its frame, and the length of its record.
#[derive(Clone, Copy, Debug)]
pub struct Slot {
    pub id: LogId,
    pub place: Place,
    pub len: u32,
}

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

/// The path of a segment.
pub fn segment_path(folder: &Path, segment: u64) -> PathBuf {
    folder.join(format!("{segment:016x}.log"))
}

/// The segments in `folder`, in their order; other files there are none of ours.
fn segments(disk: &dyn Disk, folder: &Path) -> io::Result<Vec<u64>> {
    let names = disk.names(folder)?;
    let number = |name: &String| name.strip_suffix(".log").and_then(|hex| u64::from_str_radix(hex, 16).ok());
    let mut numbers: Vec<u64> = names.iter().filter_map(number).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// Adds a frame with the record that `fill` writes; returns the record's length.
pub fn put_frame(out: &mut Vec<u8>, kind: u8, fill: impl FnOnce(&mut Vec<u8>)) -> u32 {
    let start = out.len();
    out.extend_from_slice(&[0; FRAME_HEAD]);
    out.put_u8(kind);
    fill(out);
    let record = &out[start + FRAME_HEAD..];
    let len = u32::try_from(record.len()).expect("a record is bounded by BATCH_BYTES_MAX");
    let crc = crc32fast::hash(record);
    out[start..start + 4].copy_from_slice(&len.to_be_bytes());
    out[start + 4..start + 8].copy_from_slice(&crc.to_be_bytes());
    len
}

/// The head of a segment.
pub fn head_frame(vote: Option<&Vote>, committed: Option<&LogId>, purged: Option<&LogId>) -> Vec<u8> {
    let mut out = Vec::with_capacity(128);
    put_frame(&mut out, kind::HEAD, |out| {
        out.put_u8(FORMAT);
        out.put_u8(vote.is_some().into());
        if let Some(vote) = vote {
            put_vote(out, vote);
        }
        put_log_id_opt(out, committed);
        put_log_id_opt(out, purged);
    });
    out
}

/// Takes one frame off `from`; `None` if there is no whole and undamaged one.
fn take_frame(from: &mut Bytes) -> Option<Bytes> {
    let mut head = from.get(..FRAME_HEAD)?;
    let (len, crc) = (head.get_u32() as usize, head.get_u32());
    if len == 0 || len > RECORD_BYTES_MAX || from.len() < FRAME_HEAD + len {
        return None;
    }
    let record = from.slice(FRAME_HEAD..FRAME_HEAD + len);
    if crc32fast::hash(&record) != crc {
        return None;
    }
    from.advance(FRAME_HEAD + len);
    Some(record)
}

/// The format of the log in `folder`, if it is another than this build's. Nothing is said of a log that is missing or damaged.
///
/// # Errors
/// If a segment cannot be opened.
pub fn foreign_format(disk: &dyn Disk, folder: &Path) -> io::Result<Option<u8>> {
    let Some(&first) = segments(disk, folder).unwrap_or_default().first() else {
        return Ok(None);
    };
    let file = disk.open(&segment_path(folder, first), Open::Read)?;
    let mut frame = vec![0; FRAME_HEAD];
    if file.read_at(&mut frame, 0).is_err() {
        return Ok(None);
    }
    let len = (&frame[..4]).get_u32() as usize;
    frame.resize(FRAME_HEAD + len.min(1024), 0);
    if file.read_at(&mut frame, 0).is_err() {
        return Ok(None);
    }
    let format = take_frame(&mut Bytes::from(frame)).filter(|head| head[0] == kind::HEAD).and_then(|head| head.get(1).copied());
    Ok(format.filter(|format| *format != FORMAT))
}

/// Reads the entry at `slot`.
pub fn read_entry(file: &dyn DiskFile, slot: &Slot) -> io::Result<Entry> {
    let mut frame = vec![0; FRAME_HEAD + slot.len as usize];
    file.read_at(&mut frame, slot.place.at)?;
    let mut record = take_frame(&mut Bytes::from(frame)).ok_or_else(|| damaged("an entry of the raft log is damaged"))?;
    record.advance(1);
    get_entry(&mut record).map_err(|error| damaged(&error.to_string()))
}

fn damaged(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

/// Reads all segments in `folder` and cuts a torn tail off the last one.
///
/// # Errors
/// If the files cannot be read, or are damaged elsewhere than at their end.
pub fn recover(disk: &dyn Disk, folder: &Path) -> io::Result<Recovered> {
    let numbers = segments(disk, folder)?;
    let mut found = Recovered::default();
    for (nth, &segment) in numbers.iter().enumerate() {
        let is_last = nth + 1 == numbers.len();
        if nth > 0 && numbers[nth - 1] + 1 != segment {
            return Err(damaged("a segment of the raft log is missing"));
        }
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
    if let (Some(first), purged) = (found.slots.front(), found.purged.map_or(0, |id| id.index + 1))
        && first.id.index > purged
    {
        return Err(damaged("the raft log begins after what was purged"));
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

/// The low-water mark: two copies, written in turn, so that one is always whole.
pub struct MarkFile {
    file: Arc<dyn DiskFile>,
    turn: u64,
}

impl MarkFile {
    /// Opens it, or makes it; and says what it holds.
    ///
    /// # Errors
    /// If the file cannot be opened or read.
    pub fn open(disk: &dyn Disk, path: &Path) -> io::Result<(Self, Place)> {
        let file = disk.open(path, Open::Make)?;
        let mut newest = Place::default();
        for turn in 0..2 {
            let mut copy = [0; 20];
            if file.read_at(&mut copy, turn * 64).is_err() {
                continue;
            }
            let (place, mut crc) = copy.split_at(16);
            if crc32fast::hash(place) == crc.get_u32() {
                let mut place = place;
                newest = newest.max(Place { segment: place.get_u64(), at: place.get_u64() });
            }
        }
        Ok((Self { file, turn: 0 }, newest))
    }

    /// Raises the mark to `place`, which must be durable.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn raise(&mut self, place: Place) -> io::Result<()> {
        let mut copy = [0; 20];
        copy[..8].copy_from_slice(&place.segment.to_be_bytes());
        copy[8..16].copy_from_slice(&place.at.to_be_bytes());
        let crc = crc32fast::hash(&copy[..16]);
        copy[16..].copy_from_slice(&crc.to_be_bytes());
        self.turn ^= 1;
        self.file.write_at(&copy, self.turn * 64)
    }

    /// Makes the mark itself durable.
    ///
    /// # Errors
    /// If the file cannot be synced.
    pub fn sync(&self, sync: &LogSync) -> io::Result<()> {
        sync.file(&*self.file, Depth::Bytes)
    }
}
