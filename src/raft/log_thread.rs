//! The one thread that writes the log, or the simulator's task: it takes all that waits, writes it, syncs once, and then tells everyone, in order.
//!
//! Frames are written over zeros that were made durable before, so that a sync has to bring nothing but the frames themselves to the
//! disk: a file that grows has a new length and new blocks each time, whose sync waits for the file system's journal, and so for what
//! other files of the same file system are writing.
//!
//! A failed write or sync ends the process: what the kernel then holds is unknown, and trying again would hide the loss.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use openraft::storage::IOFlushed;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::disk::{Depth, DiskFile, Open};
use super::fatal::stop_process;
use super::log_file::{MarkFile, Place, SEGMENT_BYTES, segment_path};
use super::log_sync::LogSync;
use super::metrics;
use super::types::Types;

/// Bytes taken together before one sync; a single larger job still goes alone.
const BATCH_BYTES: usize = 8 * 1024 * 1024;
/// Zeros that are written at a time. Writing them is a short wait for those whose turn it is; they last for dozens of syncs.
const ROOM_BYTES: u64 = 256 * 1024;
/// Zeros of one call: a page, so that the kernel keeps these pages one by one, and counts a frame's as written and not those around it.
const PAGE: u64 = 4096;
/// The mark is made durable this often while there are writes; until then it may lag behind after a power loss, never lead.
const MARK_SYNC_EVERY: Duration = Duration::from_secs(1);

/// Whom to tell.
pub enum Then {
    Nobody,
    Raft(IOFlushed<Types>),
    Caller(oneshot::Sender<()>),
}

/// Work for the thread, done in order.
pub enum Job {
    /// Adds frames to the last segment.
    Write { frames: Vec<u8>, entries: u64, sync: bool, then: Then },
    /// Closes the last segment and begins another with this head.
    Begin { segment: u64, head: Vec<u8> },
    /// Removes segments before this one, after all so far is durable.
    Remove { before: u64, first: u64 },
    /// Makes all durable and ends.
    Stop { then: oneshot::Sender<()> },
}

/// What the thread has done, for metrics and tests.
#[derive(Debug, Default)]
pub struct LogCounts {
    /// Syncs of the log's files: segments, their folder, the mark.
    pub syncs: AtomicU64,
    /// Entries written.
    pub entries: AtomicU64,
    /// Bytes written.
    pub bytes: AtomicU64,
}

/// The thread's side.
pub struct Writer {
    pub folder: PathBuf,
    pub file: Arc<dyn DiskFile>,
    pub end: Place,
    pub mark: MarkFile,
    pub sync: LogSync,
    pub counts: Arc<LogCounts>,
    /// Called with how far the log is durable.
    pub durable: Box<dyn Fn(Place) + Send>,
    /// Tests set it: from then on nothing is written any more, as if the machine had died.
    pub dead: Arc<AtomicBool>,
    /// How far the segment's file reaches: frames, and zeros after them.
    pub room: u64,
    pub mark_synced: Instant,
    pub unsynced: bool,
}

/// The way to whoever writes.
#[derive(Clone)]
pub enum Jobs {
    /// A thread.
    Thread(mpsc::Sender<Job>),
    /// A task, where time is simulated.
    #[cfg(feature = "sim")]
    Task(tokio::sync::mpsc::UnboundedSender<Job>),
}

/// Whoever writes has ended.
#[derive(Debug)]
pub struct Ended;

impl Jobs {
    /// Hands work over.
    ///
    /// # Errors
    /// If nobody takes it any more.
    pub fn send(&self, job: Job) -> Result<(), Ended> {
        match self {
            Self::Thread(jobs) => jobs.send(job).map_err(|_| Ended),
            #[cfg(feature = "sim")]
            Self::Task(jobs) => jobs.send(job).map_err(|_| Ended),
        }
    }
}

/// Starts the thread.
///
/// # Errors
/// If the system gives none.
pub fn spawn(writer: Writer) -> io::Result<Jobs> {
    #[cfg(feature = "sim")]
    if writer.sync.disk().simulated_sync().is_some() {
        let (jobs, queue) = tokio::sync::mpsc::unbounded_channel();
        tokio::spawn(writer.run_simulated(queue));
        return Ok(Jobs::Task(jobs));
    }
    let (jobs, queue) = mpsc::channel();
    std::thread::Builder::new().name("raft-log".to_owned()).spawn(move || writer.run(&queue))?;
    Ok(Jobs::Thread(jobs))
}

/// What is written and synced together.
#[derive(Default)]
struct Round {
    frames: Vec<u8>,
    waiting: Vec<Then>,
    entries: u64,
    sync: bool,
    /// Segments to remove: the first, and the first that stays.
    remove: Option<(u64, u64)>,
    stop: Option<oneshot::Sender<()>>,
}

impl Writer {
    fn run(mut self, queue: &mpsc::Receiver<Job>) {
        let mut round = Round::default();
        while let Ok(job) = queue.recv() {
            if !self.gather(&mut round, job, || queue.try_recv().ok()) {
                return;
            }
            self.write_all(&mut round);
            self.sync_all(&mut round);
            self.tell(&mut round);
            if let Some(then) = round.stop.take() {
                return self.end(then);
            }
        }
    }

    /// The same as a task, whose syncs take the disk's time: what was written lies there unsynced meanwhile.
    #[cfg(feature = "sim")]
    async fn run_simulated(mut self, mut queue: tokio::sync::mpsc::UnboundedReceiver<Job>) {
        let mut round = Round::default();
        while let Some(job) = queue.recv().await {
            if !self.gather(&mut round, job, || queue.try_recv().ok()) {
                return;
            }
            self.write_all(&mut round);
            if round.sync {
                tokio::time::sleep(self.sync.disk().simulated_sync().unwrap_or_default()).await;
            }
            self.sync_all(&mut round);
            self.tell(&mut round);
            if let Some(then) = round.stop.take() {
                return self.end(then);
            }
        }
    }

    /// Takes all that waits into `round`; false if nothing is to be written any more.
    fn gather(&mut self, round: &mut Round, first: Job, mut more: impl FnMut() -> Option<Job>) -> bool {
        let mut next = Some(first);
        while let Some(job) = next.take() {
            if self.dead.load(Ordering::Acquire) {
                return false;
            }
            match job {
                Job::Write { frames, entries, sync, then } => {
                    round.frames.extend_from_slice(&frames);
                    round.entries += entries;
                    round.sync |= sync;
                    round.waiting.push(then);
                }
                Job::Begin { segment, head } => {
                    let began = self
                        .write(&mut round.frames)
                        .and_then(|()| if bug!(88) { Ok(()) } else { self.sync() })
                        .and_then(|()| self.begin(segment, &head));
                    began.unwrap_or_else(|error| stop_process("begin a segment of the raft log", &error));
                    round.sync = true;
                }
                Job::Remove { before, first } => {
                    round.remove = Some((first, before));
                    round.sync = true;
                }
                Job::Stop { then } => {
                    round.sync = true;
                    round.stop = Some(then);
                }
            }
            if round.frames.len() < BATCH_BYTES && round.stop.is_none() {
                next = more();
            }
        }
        true
    }

    fn write_all(&mut self, round: &mut Round) {
        self.write(&mut round.frames).unwrap_or_else(|error| stop_process("write the raft log", &error));
    }

    fn sync_all(&mut self, round: &mut Round) {
        let early = bug!(1) && !round.waiting.iter().any(|then| matches!(then, Then::Caller(_)));
        if std::mem::take(&mut round.sync) && (!early || self.mark_synced.elapsed() > MARK_SYNC_EVERY) {
            self.sync().unwrap_or_else(|error| stop_process("write the raft log", &error));
        }
        let entries = std::mem::take(&mut round.entries);
        self.counts.entries.fetch_add(entries, Ordering::Relaxed);
        metrics::log_entries(entries);
        if let Some((first, before)) = round.remove.take() {
            self.remove(first, before);
        }
    }

    /// Tells all who wait, in order.
    fn tell(&self, round: &mut Round) {
        for then in round.waiting.drain(..) {
            match then {
                Then::Nobody => {}
                Then::Raft(flushed) => flushed.io_completed(Ok(())),
                Then::Caller(caller) => {
                    let _ = caller.send(());
                }
            }
        }
    }

    fn end(self, then: oneshot::Sender<()>) {
        // All is durable; what may fail here only tidies up.
        if let Err(error) = self.file.cut(self.end.at) {
            tracing::warn!(%error, "the room at the end of the raft log could not be given back");
        }
        if let Err(error) = self.mark.sync(&self.sync) {
            tracing::warn!(%error, "the mark of the raft log could not be synced");
        }
        drop(self);
        // Whoever asked may have gone.
        let _ = then.send(());
    }

    fn write(&mut self, frames: &mut Vec<u8>) -> io::Result<()> {
        if !frames.is_empty() {
            let end = self.end.at + frames.len() as u64;
            self.file.write_at(frames, self.end.at)?;
            self.end.at = end;
            if bug!(114) {
                self.mark.raise(self.end)?;
            }
            self.make_room()?;
            self.counts.bytes.fetch_add(frames.len() as u64, Ordering::Relaxed);
            metrics::log_bytes(frames.len() as u64);
            self.unsynced = true;
            frames.clear();
            frames.shrink_to(BATCH_BYTES);
        }
        Ok(())
    }

    /// Writes zeros after the frames if these have reached the file's end. A segment is closed where it ends: none are written there.
    fn make_room(&mut self) -> io::Result<()> {
        let room = (self.end.at + ROOM_BYTES).min(SEGMENT_BYTES);
        if self.end.at < self.room {
            return Ok(());
        }
        self.room = self.end.at;
        while self.room < room {
            let page_end = (self.room / PAGE + 1) * PAGE;
            match self.file.write_at(&[0; PAGE as usize][..(page_end - self.room) as usize], self.room) {
                Ok(()) => self.room = page_end,
                // Frames may still fit, and who needs more space is told by them.
                Err(error) if error.kind() == io::ErrorKind::StorageFull => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        if !self.unsynced {
            return Ok(());
        }
        failpoint!("log-sync.before", io::Error::other("told to fail"));
        self.sync.file(&*self.file, Depth::Bytes)?;
        failpoint!("log-sync.after");
        self.unsynced = false;
        self.mark.raise(self.end)?;
        if self.mark_synced.elapsed() > MARK_SYNC_EVERY {
            self.mark.sync(&self.sync)?;
            self.mark_synced = Instant::now();
        }
        (self.durable)(self.end);
        Ok(())
    }

    fn begin(&mut self, segment: u64, head: &[u8]) -> io::Result<()> {
        self.file = create_segment(&self.folder, segment, head, &self.sync)?;
        self.end = Place { segment, at: head.len() as u64 };
        self.room = self.end.at;
        Ok(())
    }

    fn remove(&self, first: u64, before: u64) {
        for segment in first..before {
            if let Err(error) = self.sync.disk().remove(&segment_path(&self.folder, segment)) {
                // Oldest first, so that no gap is left: what stays is only space.
                tracing::warn!(%error, segment, "a purged segment of the raft log could not be removed");
                break;
            }
        }
    }
}

/// Makes a segment with its head, durably.
///
/// # Errors
/// If it exists or cannot be written.
pub fn create_segment(folder: &Path, segment: u64, head: &[u8], sync: &LogSync) -> io::Result<Arc<dyn DiskFile>> {
    let file = sync.disk().open(&segment_path(folder, segment), Open::New)?;
    file.write_at(head, 0)?;
    failpoint!("segment-begin.before", io::Error::other("told to fail"));
    sync.file(&*file, Depth::All)?;
    if !bug!(89) {
        sync.folder(folder)?;
    }
    failpoint!("segment-begin.after", io::Error::other("told to fail"));
    Ok(file)
}
