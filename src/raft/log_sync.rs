//! The one way by which files of an open log become durable, so that the counter of fsyncs is true: segments, their folder, the mark.
//!
//! Not here: when to sync (`log_thread`); what opening a damaged log mends (`log_file`).

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::log_thread::LogCounts;
use super::metrics;

/// What of a file becomes durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Its bytes, and its length: fdatasync.
    Bytes,
    /// All that the system knows of it: fsync. For new files, and for folders.
    All,
}

type Call = dyn Fn(&File, Depth) -> io::Result<()> + Send + Sync;

/// Syncs and counts.
#[derive(Clone)]
pub struct LogSync {
    counts: Arc<LogCounts>,
    call: Arc<Call>,
}

impl LogSync {
    /// By the system's calls.
    pub fn new(counts: Arc<LogCounts>) -> Self {
        Self::by(counts, |file, depth| match depth {
            Depth::Bytes => file.sync_data(),
            Depth::All => file.sync_all(),
        })
    }

    /// By another call: tests see what is synced.
    pub fn by(counts: Arc<LogCounts>, call: impl Fn(&File, Depth) -> io::Result<()> + Send + Sync + 'static) -> Self {
        Self { counts, call: Arc::new(call) }
    }

    /// Makes `file` durable.
    ///
    /// # Errors
    /// If it cannot be: then nothing is known of what is.
    pub fn file(&self, file: &File, depth: Depth) -> io::Result<()> {
        let began = Instant::now();
        (self.call)(file, depth)?;
        self.counts.syncs.fetch_add(1, Ordering::Relaxed);
        metrics::log_synced(began.elapsed());
        Ok(())
    }

    /// Makes the names in `folder` durable.
    ///
    /// # Errors
    /// If they cannot be.
    pub fn folder(&self, folder: &Path) -> io::Result<()> {
        self.file(&File::open(folder)?, Depth::All)
    }
}

/// Makes the names in a folder durable, uncounted: for what is not the log's.
///
/// # Errors
/// If it cannot be synced.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
