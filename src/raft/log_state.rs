//! The log in memory: where each entry lies, the recent ones themselves, and how openraft reads them.
//!
//! Not here: what changes it (`log`).

use std::collections::VecDeque;
use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use futures::{Stream, stream};
use openraft::{OptionalSend, RaftLogReader};

use super::disk::{Disk, DiskFile, Open};
use super::entry::entry_len;
use super::log_file::{Place, Slot, read_entry, segment_path};
use super::types::{Entry, LogId, Types, Vote};
use crate::types::limits::APPEND_BYTES_MAX;

/// Entries kept in memory, in bytes: what followers that keep up still need.
const CACHE_BYTES: usize = 32 * 1024 * 1024;
/// Entries that are read at once when they are applied: bounds the memory of a long replay.
const APPLY_ENTRIES: u64 = 1024;

pub struct Kept {
    pub slot: Slot,
    /// In memory until it is durable, and some time after.
    pub entry: Option<Entry>,
}

#[derive(Default)]
pub struct State {
    pub kept: VecDeque<Kept>,
    pub vote: Option<Vote>,
    pub committed: Option<LogId>,
    pub purged: Option<LogId>,
    pub durable: Place,
    pub cached_bytes: usize,
    /// The lowest index that may be in memory.
    pub cached_from: u64,
}

impl State {
    pub fn first(&self) -> u64 {
        self.kept.front().map_or(self.purged.map_or(0, |id| id.index + 1), |kept| kept.slot.id.index)
    }

    pub fn last(&self) -> Option<LogId> {
        self.kept.back().map(|kept| kept.slot.id).or(self.purged)
    }

    /// Forgets the oldest entries in memory that are durable, until the rest is small enough.
    pub fn evict(&mut self) {
        let first = self.first();
        let durable = self.durable;
        let mut at = self.cached_from.max(first);
        while self.cached_bytes > CACHE_BYTES {
            let Some(kept) = self.kept.get_mut((at - first) as usize) else { break };
            if kept.slot.place >= durable {
                break;
            }
            if let Some(entry) = kept.entry.take() {
                self.cached_bytes -= entry_len(&entry);
            }
            at += 1;
        }
        self.cached_from = at;
    }

    pub fn drop_kept(&mut self, kept: Option<Kept>) {
        if let Some(entry) = kept.and_then(|kept| kept.entry) {
            self.cached_bytes -= entry_len(&entry);
        }
    }
}

pub struct Shared {
    pub disk: Arc<dyn Disk>,
    pub folder: PathBuf,
    pub state: Mutex<State>,
}

impl Shared {
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of this lock panics")
    }
}

/// Reads the log.
#[derive(Clone)]
pub struct LogReader(pub Arc<Shared>);

impl RaftLogReader<Types> for LogReader {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(&mut self, range: RB) -> io::Result<Vec<Entry>> {
        self.read(range, usize::MAX)
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<Entry>> {
        self.read(start..end, APPEND_BYTES_MAX)
    }

    async fn entries_stream<RB>(&mut self, range: RB) -> impl Stream<Item = io::Result<Entry>> + OptionalSend
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let (start, end) = bounds(&range);
        let chunks = stream::unfold((self.clone(), start), move |(reader, at)| async move {
            if at >= end {
                return None;
            }
            let upto = end.min(at.saturating_add(APPLY_ENTRIES));
            let read = reader.read(at..upto, APPEND_BYTES_MAX);
            let next = match &read {
                Ok(entries) if !entries.is_empty() => at + entries.len() as u64,
                _ => end,
            };
            Some((read, (reader, next)))
        });
        futures::StreamExt::flat_map(chunks, |read| {
            stream::iter(match read {
                Ok(entries) => entries.into_iter().map(Ok).collect::<Vec<_>>(),
                Err(error) => vec![Err(error)],
            })
        })
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        Ok(self.0.state().vote)
    }
}

fn bounds(range: &impl RangeBounds<u64>) -> (u64, u64) {
    let start = match range.start_bound() {
        Bound::Included(at) => *at,
        Bound::Excluded(at) => at + 1,
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(at) => at + 1,
        Bound::Excluded(at) => *at,
        Bound::Unbounded => u64::MAX,
    };
    (start, end)
}

impl LogReader {
    /// Entries of `range`, until they reach `bytes_max`; at least one if there is one.
    fn read(&self, range: impl RangeBounds<u64>, bytes_max: usize) -> io::Result<Vec<Entry>> {
        let (start, end) = bounds(&range);
        let found: Vec<(Slot, Option<Entry>)> = {
            let state = self.0.state();
            let first = state.first();
            let skip = usize::try_from(start.saturating_sub(first)).unwrap_or(usize::MAX);
            let mut bytes = 0;
            let within = state.kept.iter().skip(skip).take_while(|kept| kept.slot.id.index < end).take_while(|kept| {
                let fits = bytes == 0 || bytes + kept.slot.len as usize <= bytes_max;
                bytes = bytes.saturating_add(kept.slot.len as usize);
                fits
            });
            within.map(|kept| (kept.slot, kept.entry.clone())).collect()
        };
        let mut open: Option<(u64, Arc<dyn DiskFile>)> = None;
        let mut entries = Vec::with_capacity(found.len());
        for (slot, entry) in found {
            entries.push(match entry {
                Some(entry) => entry,
                None => {
                    let file = match &open {
                        Some((segment, file)) if *segment == slot.place.segment => file,
                        _ => {
                            let file = self.0.disk.open(&segment_path(&self.0.folder, slot.place.segment), Open::Read)?;
                            &open.insert((slot.place.segment, file)).1
                        }
                    };
                    read_entry(&**file, &slot)?
                }
            });
        }
        Ok(entries)
    }
}
