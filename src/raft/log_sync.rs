//! The one way by which files of an open log become durable, so that the counter of fsyncs is true: segments, their folder, the mark.
//!
//! Not here: when to sync (`log_thread`); what opening a damaged log mends (`log_file`).

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::disk::{Depth, Disk, DiskFile};
use super::log_thread::LogCounts;
use super::metrics;

/// Syncs and counts.
#[derive(Clone)]
pub struct LogSync {
    counts: Arc<LogCounts>,
    disk: Arc<dyn Disk>,
}

impl LogSync {
    /// For files on `disk`.
    pub fn new(counts: Arc<LogCounts>, disk: Arc<dyn Disk>) -> Self {
        Self { counts, disk }
    }

    /// Where the files lie.
    pub fn disk(&self) -> &Arc<dyn Disk> {
        &self.disk
    }

    /// Makes `file` durable.
    ///
    /// # Errors
    /// If it cannot be: then nothing is known of what is.
    pub fn file(&self, file: &dyn DiskFile, depth: Depth) -> io::Result<()> {
        self.counted(|| file.sync(depth))
    }

    /// Makes the names in `folder` durable.
    ///
    /// # Errors
    /// If they cannot be.
    pub fn folder(&self, folder: &Path) -> io::Result<()> {
        self.counted(|| self.disk.sync_folder(folder))
    }

    fn counted(&self, sync: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        let began = Instant::now();
        sync()?;
        self.counts.syncs.fetch_add(1, Ordering::Relaxed);
        metrics::log_synced(began.elapsed());
        Ok(())
    }
}

/// Makes the names in a folder durable, uncounted: for what is not the log's.
///
/// # Errors
/// If it cannot be synced.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
