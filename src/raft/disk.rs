//! Where the log's files lie: a seam that the system's file system fills, and the simulator with a disk that loses what was not synced.
//!
//! Calls are as coarse as the log's own: one a batch. Not here: what is in the files (`log_file`), when they are synced (`log_thread`).

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

/// What of a file becomes durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Its bytes, and its length: fdatasync.
    Bytes,
    /// All that the system knows of it: fsync. For new files, and for folders.
    All,
}

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Open {
    /// It exists, and is read.
    Read,
    /// It exists, and is read, cut and written.
    Write,
    /// It must not exist.
    New,
    /// Made if it is missing.
    Make,
}

/// An open file.
pub trait DiskFile: Send + Sync + 'static {
    /// Writes all of `bytes` at `at`; what lies between the end and there becomes zeros.
    ///
    /// # Errors
    /// If they cannot be written; some of them may be.
    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()>;
    /// Fills `out` with what lies at `at`.
    ///
    /// # Errors
    /// If the file ends before, or cannot be read.
    fn read_at(&self, out: &mut [u8], at: u64) -> io::Result<()>;
    /// Cuts the file at `len`.
    ///
    /// # Errors
    /// If it cannot be cut.
    fn cut(&self, len: u64) -> io::Result<()>;
    /// Makes it durable.
    ///
    /// # Errors
    /// If it cannot be: then nothing is known of what is.
    fn sync(&self, depth: Depth) -> io::Result<()>;
}

/// A file system, as far as the log needs one.
pub trait Disk: fmt::Debug + Send + Sync + 'static {
    /// Makes `folder` and those above it, where they are missing.
    ///
    /// # Errors
    /// If it cannot be made.
    fn make_folder(&self, folder: &Path) -> io::Result<()>;
    /// The names in `folder`, in no order.
    ///
    /// # Errors
    /// If it cannot be read.
    fn names(&self, folder: &Path) -> io::Result<Vec<String>>;
    /// A whole file.
    ///
    /// # Errors
    /// If it cannot be read.
    fn read(&self, file: &Path) -> io::Result<Vec<u8>>;
    /// Opens a file.
    ///
    /// # Errors
    /// If it cannot be opened, or exists and must not.
    fn open(&self, file: &Path, how: Open) -> io::Result<Arc<dyn DiskFile>>;
    /// Removes a file.
    ///
    /// # Errors
    /// If it cannot be removed.
    fn remove(&self, file: &Path) -> io::Result<()>;
    /// Makes the names in `folder` durable.
    ///
    /// # Errors
    /// If they cannot be.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;
    /// How long the next sync takes, where time is simulated. `None`: syncs block, so the log is written by a thread of its own.
    #[cfg(feature = "sim")]
    fn simulated_sync(&self) -> Option<std::time::Duration> {
        None
    }
}

/// The system's file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemDisk;

impl DiskFile for File {
    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.write_all_at(bytes, at)
    }
    fn read_at(&self, out: &mut [u8], at: u64) -> io::Result<()> {
        self.read_exact_at(out, at)
    }
    fn cut(&self, len: u64) -> io::Result<()> {
        self.set_len(len)
    }
    fn sync(&self, depth: Depth) -> io::Result<()> {
        match depth {
            Depth::Bytes => self.sync_data(),
            Depth::All => self.sync_all(),
        }
    }
}

impl Disk for SystemDisk {
    fn make_folder(&self, folder: &Path) -> io::Result<()> {
        fs::create_dir_all(folder)
    }
    fn names(&self, folder: &Path) -> io::Result<Vec<String>> {
        fs::read_dir(folder)?.map(|file| Ok(file?.file_name().to_string_lossy().into_owned())).collect()
    }
    fn read(&self, file: &Path) -> io::Result<Vec<u8>> {
        fs::read(file)
    }
    fn open(&self, file: &Path, how: Open) -> io::Result<Arc<dyn DiskFile>> {
        let mut options = File::options();
        options.read(true).write(how != Open::Read);
        match how {
            Open::Read | Open::Write => {}
            Open::New => drop(options.create_new(true)),
            Open::Make => drop(options.create(true).truncate(false)),
        }
        Ok(Arc::new(options.open(file)?))
    }
    fn remove(&self, file: &Path) -> io::Result<()> {
        fs::remove_file(file)
    }
    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        File::open(folder)?.sync_all()
    }
}
