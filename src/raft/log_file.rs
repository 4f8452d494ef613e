//! The log's files: segments of frames, each a length, a CRC-32 and a record; and the low-water mark beside them.
//!
//! A segment begins with a head that repeats vote, committed and purged, so that older segments can be removed whole. The last one may
//! end in zeros, which are room for more (`log_thread`); what lies there instead was torn. Either is cut off when the log is opened.
//! The mark says how far the log is known to be durable. It is written after each sync, so it never runs ahead of the log;
//! a log that ends before it has lost something that this node acknowledged. Not here: who writes when (`log_thread`).

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes};

use super::disk::{Depth, Disk, DiskFile, Open};
use super::entry::{get_entry, put_log_id_opt, put_vote};
use super::log_sync::LogSync;
use super::types::{Entry, LogId, Vote};

/// A segment is closed at this size: small enough that purging gives space back in good steps.
pub const SEGMENT_BYTES: u64 = if cfg!(feature = "sim") { 64 * 1024 } else { 64 * 1024 * 1024 };
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

/// The path of a segment.
pub fn segment_path(folder: &Path, segment: u64) -> PathBuf {
    folder.join(format!("{segment:016x}.log"))
}

/// The segments in `folder`, in their order; other files there are none of ours.
pub fn segments(disk: &dyn Disk, folder: &Path) -> io::Result<Vec<u64>> {
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
pub fn take_frame(from: &mut Bytes) -> Option<Bytes> {
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

pub fn damaged(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
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
