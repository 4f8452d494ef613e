//! The one thread that writes the log: it takes all that waits, writes it, syncs once, and then tells everyone, in order.
//!
//! A failed write or sync ends the process: what the kernel then holds is unknown, and trying again would hide the loss.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use openraft::storage::IOFlushed;
use tokio::sync::oneshot;

use super::fatal::stop_process;
use super::log_file::{MarkFile, Place, segment_path};
use super::log_sync::{Depth, LogSync};
use super::metrics;
use super::types::Types;

/// Bytes taken together before one sync; a single larger job still goes alone.
const BATCH_BYTES: usize = 8 * 1024 * 1024;
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
    pub file: File,
    pub end: Place,
    pub mark: MarkFile,
    pub sync: LogSync,
    pub counts: Arc<LogCounts>,
    /// Called with how far the log is durable.
    pub durable: Box<dyn Fn(Place) + Send>,
    /// Tests set it: from then on nothing is written any more, as if the machine had died.
    pub dead: Arc<AtomicBool>,
    pub mark_synced: Instant,
    pub unsynced: bool,
}

/// Starts the thread.
///
/// # Errors
/// If the system gives none.
pub fn spawn(writer: Writer) -> io::Result<mpsc::Sender<Job>> {
    let (jobs, queue) = mpsc::channel();
    std::thread::Builder::new().name("raft-log".to_owned()).spawn(move || writer.run(&queue))?;
    Ok(jobs)
}

impl Writer {
    fn run(mut self, queue: &mpsc::Receiver<Job>) {
        let mut frames = Vec::new();
        let mut waiting = Vec::new();
        while let Ok(job) = queue.recv() {
            let (mut next, mut sync, mut entries, mut remove, mut stop) = (Some(job), false, 0, None, None);
            while let Some(job) = next.take() {
                if self.dead.load(Ordering::Acquire) {
                    return;
                }
                match job {
                    Job::Write { frames: more, entries: count, sync: wants, then } => {
                        frames.extend_from_slice(&more);
                        entries += count;
                        sync |= wants;
                        waiting.push(then);
                    }
                    Job::Begin { segment, head } => {
                        let began = self.write(&mut frames).and_then(|()| self.sync()).and_then(|()| self.begin(segment, &head));
                        began.unwrap_or_else(|error| stop_process("begin a segment of the raft log", &error));
                        sync = true;
                    }
                    Job::Remove { before, first } => {
                        remove = Some((first, before));
                        sync = true;
                    }
                    Job::Stop { then } => {
                        sync = true;
                        stop = Some(then);
                    }
                }
                if frames.len() < BATCH_BYTES && stop.is_none() {
                    next = queue.try_recv().ok();
                }
            }
            let written = self.write(&mut frames).and_then(|()| if sync { self.sync() } else { Ok(()) });
            written.unwrap_or_else(|error| stop_process("write the raft log", &error));
            self.counts.entries.fetch_add(entries, Ordering::Relaxed);
            metrics::log_entries(entries);
            if let Some((first, before)) = remove {
                self.remove(first, before);
            }
            for then in waiting.drain(..) {
                match then {
                    Then::Nobody => {}
                    Then::Raft(flushed) => flushed.io_completed(Ok(())),
                    Then::Caller(caller) => {
                        let _ = caller.send(());
                    }
                }
            }
            if let Some(then) = stop {
                if let Err(error) = self.mark.sync(&self.sync) {
                    tracing::warn!(%error, "the mark of the raft log could not be synced");
                }
                drop(self);
                // Whoever asked may have gone.
                let _ = then.send(());
                return;
            }
        }
    }

    fn write(&mut self, frames: &mut Vec<u8>) -> io::Result<()> {
        if !frames.is_empty() {
            self.file.write_all(frames)?;
            self.end.at += frames.len() as u64;
            self.counts.bytes.fetch_add(frames.len() as u64, Ordering::Relaxed);
            metrics::log_bytes(frames.len() as u64);
            self.unsynced = true;
            frames.clear();
            frames.shrink_to(BATCH_BYTES);
        }
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        if !self.unsynced {
            return Ok(());
        }
        self.sync.file(&self.file, Depth::Bytes)?;
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
        Ok(())
    }

    fn remove(&self, first: u64, before: u64) {
        for segment in first..before {
            if let Err(error) = std::fs::remove_file(segment_path(&self.folder, segment)) {
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
pub fn create_segment(folder: &Path, segment: u64, head: &[u8], sync: &LogSync) -> io::Result<File> {
    let mut file = File::options().create_new(true).read(true).append(true).open(segment_path(folder, segment))?;
    file.write_all(head)?;
    sync.file(&file, Depth::All)?;
    sync.folder(folder)?;
    Ok(file)
}
