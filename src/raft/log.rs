//! openraft's log storage over our own append-only files.
//!
//! Entries can be read as soon as `append` returns; they are acknowledged when `log_thread` has synced them. Votes take the same
//! queue and are durable when `save_vote` returns.
//! Not here: reading (`log_state`), the bytes (`log_file`), the thread (`log_thread`), when to purge (`compaction`).

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use openraft::storage::{IOFlushed, LogState, RaftLogStorage};
use openraft::{EntryPayload, OptionalSend};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::StartError;
use super::disk::{Depth, Disk, Open};
use super::entry::{entry_len, put_entry, put_log_id, put_log_id_opt, put_vote};
use super::log_file::{MarkFile, Place, SEGMENT_BYTES, Slot, head_frame, kind, put_frame, segment_path};
use super::log_recovery::{Recovered, recover};
use super::log_state::{Kept, LogReader, Shared, State};
use super::log_sync::LogSync;
use super::log_thread::{Job, Jobs, LogCounts, Then, Writer, create_segment, spawn};
use super::types::{Entry, LogId, Types, Vote};

/// The log's folder, in that of a node's part in the group.
pub const LOG: &str = "log";

/// Owns the log.
pub struct LogStore {
    shared: Arc<Shared>,
    jobs: Jobs,
    /// Segments and the highest index that each ever held.
    segments: VecDeque<(u64, u64)>,
    /// Where the next frame goes.
    end: Place,
    control: LogControl,
}

/// What others may do with a log that openraft owns.
#[derive(Clone)]
pub struct LogControl {
    jobs: Jobs,
    shared: Arc<Shared>,
    /// What was done so far.
    pub counts: Arc<LogCounts>,
    #[cfg_attr(not(test), expect(dead_code, reason = "tests pull the plug with it"))]
    dead: Arc<AtomicBool>,
}

impl LogControl {
    /// Makes all durable and ends the thread.
    pub async fn stop(&self) {
        let (then, stopped) = oneshot::channel();
        if self.jobs.send(Job::Stop { then }).is_ok() {
            // An error means that the thread had ended before.
            let _ = stopped.await;
        }
    }

    /// Nothing is written from now on, as if the machine had died.
    #[cfg(test)]
    pub fn pull_the_plug(&self) {
        self.dead.store(true, std::sync::atomic::Ordering::Release);
    }

    /// The highest index that can be purged so that about `entries` entries and at most `bytes` bytes of them are left.
    pub fn purge_point(&self, entries: u64, bytes: u64) -> Option<u64> {
        let state = self.shared.state();
        let mut left = bytes;
        for (count, kept) in state.kept.iter().rev().enumerate() {
            let len = u64::from(kept.slot.len);
            if count as u64 >= entries || len > left {
                return Some(kept.slot.id.index);
            }
            left -= len;
        }
        None
    }

    /// Whether the log has all entries after `from` up to and with `to`.
    pub fn leads(&self, from: Option<LogId>, to: LogId) -> bool {
        let state = self.shared.state();
        state.purged <= from && state.last() >= Some(to)
    }

    /// Whether the log holds exactly this entry.
    pub fn holds(&self, id: &LogId) -> bool {
        let state = self.shared.state();
        let first = state.first();
        let kept = id.index.checked_sub(first).and_then(|at| state.kept.get(at as usize));
        kept.is_some_and(|kept| kept.slot.id == *id)
    }

    /// The vote, as it was last saved.
    pub fn vote(&self) -> Option<Vote> {
        self.shared.state().vote
    }
}

/// Opens the log in `folder` on `disk`, cuts a torn tail off, and starts its thread. `applied` is how far the state reaches.
///
/// # Errors
/// If it cannot be read or written, or ends before what this node has acknowledged.
pub fn open(disk: &Arc<dyn Disk>, folder: &Path, applied: Option<LogId>) -> Result<LogStore, StartError> {
    let counts = Arc::new(LogCounts::default());
    let sync = LogSync::new(counts.clone(), disk.clone());
    let files = folder.join(LOG);
    let io = |action: &'static str| move |source: io::Error| StartError::Io { action, source };
    disk.make_folder(&files).map_err(io("make the folder of the raft log"))?;
    let (mut mark, acknowledged) = MarkFile::open(&**disk, &folder.join("acknowledged")).map_err(io("open the mark of the raft log"))?;
    let found = recover(&**disk, &files).map_err(io("read the raft log"))?;
    let has_lost_all = found.vote.is_none() && found.slots.is_empty() && applied.is_some();
    if (found.end < acknowledged || has_lost_all) && !bug!(11) {
        tracing::error!(found = ?found.end, ?acknowledged, ?applied, "the raft log has lost what this node acknowledged");
        let at = found.slots.back().map(|slot| slot.id.index).or(found.purged.map(|id| id.index));
        return Err(StartError::LogTooShort { found: at.unwrap_or(0), applied: applied.map_or(0, |id| id.index) });
    }
    let Recovered { slots, vote, committed, purged, mut segments, mut end } = found;
    let file = if segments.is_empty() {
        let head = head_frame(vote.as_ref(), committed.as_ref(), purged.as_ref());
        end = Place { segment: 1, at: head.len() as u64 };
        segments.push_back((1, 0));
        create_segment(&files, 1, &head, &sync).map_err(io("begin the raft log"))?
    } else {
        let path = segment_path(&files, end.segment);
        disk.open(&path, Open::Write).map_err(io("open the raft log"))?
    };
    // What was read may only be in the page cache of a process that died: nobody has been promised it.
    sync.file(&*file, Depth::All).map_err(io("sync the raft log"))?;
    mark.raise(end).and_then(|()| mark.sync(&sync)).map_err(io("write the mark of the raft log"))?;

    let kept = slots.into_iter().map(|slot| Kept { slot, entry: None }).collect::<VecDeque<_>>();
    let cached_from = kept.back().map_or(0, |kept| kept.slot.id.index + 1);
    let state = State { kept, vote, committed, purged, durable: end, cached_bytes: 0, cached_from };
    let shared = Arc::new(Shared { disk: disk.clone(), folder: files.clone(), state: Mutex::new(state) });
    let dead = Arc::new(AtomicBool::new(false));
    let durable = {
        let shared = shared.clone();
        Box::new(move |place| shared.state().durable = place)
    };
    let writer = Writer {
        folder: files,
        file,
        end,
        mark,
        sync,
        counts: counts.clone(),
        durable,
        dead: dead.clone(),
        room: end.at,
        mark_synced: Instant::now(),
        unsynced: false,
    };
    let jobs = spawn(writer).map_err(io("start the thread of the raft log"))?;
    let control = LogControl { jobs: jobs.clone(), shared: shared.clone(), counts, dead };
    Ok(LogStore { shared, jobs, segments, end, control })
}

impl LogStore {
    /// A handle that stays when openraft has taken the log.
    pub fn control(&self) -> LogControl {
        self.control.clone()
    }

    fn write(&mut self, frames: Vec<u8>, entries: u64, sync: bool, then: Then) -> io::Result<()> {
        self.end.at += frames.len() as u64;
        self.send(Job::Write { frames, entries, sync, then })
    }

    fn send(&self, job: Job) -> io::Result<()> {
        self.jobs.send(job).map_err(|_| io::Error::other("the thread of the raft log has ended"))
    }

    /// Begins another segment if the last is full.
    fn roll(&mut self) -> io::Result<()> {
        if self.end.at < SEGMENT_BYTES {
            return Ok(());
        }
        let head = {
            let state = self.shared.state();
            head_frame(state.vote.as_ref().filter(|_| !bug!(151)), state.committed.as_ref(), state.purged.as_ref())
        };
        self.end = Place { segment: self.end.segment + 1, at: head.len() as u64 };
        self.segments.push_back((self.end.segment, 0));
        self.send(Job::Begin { segment: self.end.segment, head })
    }
}

impl RaftLogStorage<Types> for LogStore {
    type LogReader = LogReader;

    async fn get_log_state(&mut self) -> io::Result<LogState<Types>> {
        let state = self.shared.state();
        Ok(LogState { last_purged_log_id: state.purged, last_log_id: state.last() })
    }

    async fn get_log_reader(&mut self) -> LogReader {
        LogReader(self.shared.clone())
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        failpoint!("vote-save.before", io::Error::other("told to fail"));
        self.roll()?;
        let mut frames = Vec::new();
        put_frame(&mut frames, kind::VOTE, |out| put_vote(out, vote));
        self.shared.state().vote = Some(*vote);
        let (then, saved) = oneshot::channel();
        self.write(frames, 0, !bug!(2), Then::Caller(then))?;
        saved.await.map_err(|_| io::Error::other("the thread of the raft log has ended"))?;
        failpoint!("vote-save.after");
        Ok(())
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> io::Result<()> {
        let mut frames = Vec::new();
        put_frame(&mut frames, kind::COMMITTED, |out| put_log_id_opt(out, committed.as_ref()));
        self.shared.state().committed = committed;
        self.write(frames, 0, false, Then::Nobody)
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogId>> {
        let state = self.shared.state();
        Ok(if bug!(64) { state.last() } else { state.committed })
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<Types>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        self.roll()?;
        let mut frames = Vec::new();
        let mut count = 0;
        let mut sync = !bug!(5);
        {
            let mut state = self.shared.state();
            for entry in entries {
                let place = Place { segment: self.end.segment, at: self.end.at + frames.len() as u64 };
                let len = put_frame(&mut frames, kind::ENTRY, |out| put_entry(out, &entry));
                sync |= !matches!(entry.payload, EntryPayload::Blank);
                let id = entry.log_id;
                assert!(
                    state.last().is_none_or(|last| last.index + 1 == id.index),
                    "openraft appends entries without a gap: {id} does not follow {:?}",
                    state.last()
                );
                state.cached_bytes += entry_len(&entry);
                state.kept.push_back(Kept { slot: Slot { id, place, len }, entry: Some(entry) });
                if let Some((_, highest)) = self.segments.back_mut() {
                    *highest = id.index.max(*highest);
                }
                count += 1;
            }
            state.evict();
        }
        self.write(frames, count, sync, Then::Raft(callback))
    }

    async fn truncate_after(&mut self, last_log_id: Option<LogId>) -> io::Result<()> {
        let keep = last_log_id.map(|id| id.index);
        {
            let mut state = self.shared.state();
            while state.kept.back().is_some_and(|kept| Some(kept.slot.id.index) > keep) {
                let gone = state.kept.pop_back();
                state.drop_kept(gone);
            }
            state.cached_from = state.cached_from.min(state.kept.back().map_or(0, |kept| kept.slot.id.index + 1));
        }
        let mut frames = Vec::new();
        if !bug!(10) {
            put_frame(&mut frames, kind::TRUNCATE, |out| put_log_id_opt(out, last_log_id.as_ref()));
        }
        self.write(frames, 0, true, Then::Nobody)
    }

    async fn purge(&mut self, upto: LogId) -> io::Result<()> {
        failpoint!("purge.before");
        {
            let mut state = self.shared.state();
            if state.purged.is_some_and(|purged| purged.index >= upto.index) {
                return Ok(());
            }
            while state.kept.front().is_some_and(|kept| kept.slot.id.index <= upto.index) {
                let gone = state.kept.pop_front();
                state.drop_kept(gone);
            }
            state.purged = Some(upto);
        }
        let mut frames = Vec::new();
        put_frame(&mut frames, kind::PURGE, |out| put_log_id(out, &upto));
        self.write(frames, 0, true, Then::Nobody)?;
        failpoint!("purge.after");
        let first = self.segments.front().map_or(0, |(segment, _)| *segment);
        let upto = upto.index + if bug!(84) { 3 } else { 0 };
        // The last segment stays: it is being written.
        while self.segments.len() > 1 && self.segments.front().is_some_and(|(_, highest)| *highest <= upto) {
            self.segments.pop_front();
        }
        let before = self.segments.front().map_or(first, |(segment, _)| *segment);
        if before > first {
            self.send(Job::Remove { before, first })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
