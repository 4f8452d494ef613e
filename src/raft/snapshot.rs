//! Snapshots: folders with a checkpoint of the state and a head that says which moment it is.
//!
//! One is current; an older one stays until nobody sends it any more. Incoming snapshots are staged in folders of their own, so
//! that installing one takes moments and a transfer that breaks leaves the state alone.
//! Not here: when one is taken (`compaction`), how one travels (`transport`).

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use super::log_sync::sync_folder;
use super::types::{Snapshot, SnapshotMeta};
use crate::storage::Physical;

const HEAD: &str = "head.json";
const STATE: &str = "state";

/// The files of a snapshot.
#[derive(Clone, Debug)]
pub enum Files {
    /// On our shelf: may be read, not moved.
    Shelved(Arc<Shelved>),
    /// Came from the leader: may be moved.
    Staged(PathBuf),
}

/// A snapshot on the shelf. Its folder goes when it is no longer current and nobody sends it.
#[derive(Debug)]
pub struct Shelved {
    folder: PathBuf,
    is_obsolete: AtomicBool,
}

impl Shelved {
    /// The checkpoint's folder.
    pub fn state(&self) -> PathBuf {
        self.folder.join(STATE)
    }
}

impl Drop for Shelved {
    fn drop(&mut self) {
        if self.is_obsolete.load(Ordering::Acquire)
            && let Err(error) = fs::remove_dir_all(&self.folder)
        {
            tracing::warn!(%error, "an old snapshot could not be removed");
        }
    }
}

/// All snapshots of this node.
pub struct Shelf {
    folder: PathBuf,
    staging: PathBuf,
    current: Mutex<Option<(SnapshotMeta, Arc<Shelved>)>>,
    serial: AtomicU64,
}

impl Shelf {
    /// Opens the shelf in `folder`: keeps the newest whole snapshot, removes everything else.
    ///
    /// # Errors
    /// If the folder cannot be read or written.
    pub fn open(folder: &Path) -> io::Result<Self> {
        let (shelf, staging) = (folder.join("snapshots"), folder.join("staging"));
        if staging.exists() {
            fs::remove_dir_all(&staging)?;
        }
        fs::create_dir_all(&staging)?;
        fs::create_dir_all(&shelf)?;
        let mut newest: Option<(SnapshotMeta, PathBuf)> = None;
        for found in fs::read_dir(&shelf)? {
            let found = found?.path();
            let head = fs::read(found.join(HEAD)).ok().and_then(|bytes| serde_json::from_slice::<SnapshotMeta>(&bytes).ok());
            let is_whole = found.extension().is_none() && found.join(STATE).is_dir();
            let old = match head {
                Some(head) if is_whole && newest.as_ref().is_none_or(|(newest, _)| newest.last_log_id < head.last_log_id) => {
                    newest.replace((head, found)).map(|(_, path)| path)
                }
                _ => Some(found),
            };
            if let Some(old) = old {
                fs::remove_dir_all(old)?;
            }
        }
        let current = newest.map(|(meta, folder)| (meta, Arc::new(Shelved { folder, is_obsolete: AtomicBool::new(false) })));
        Ok(Self { folder: shelf, staging, current: Mutex::new(current), serial: AtomicU64::new(0) })
    }

    fn slot(&self) -> MutexGuard<'_, Option<(SnapshotMeta, Arc<Shelved>)>> {
        self.current.lock().expect("no holder of this lock panics")
    }

    /// The current snapshot.
    pub fn current(&self) -> Option<Snapshot> {
        self.slot().as_ref().map(|(meta, shelved)| Snapshot { meta: meta.clone(), snapshot: Files::Shelved(shelved.clone()) })
    }

    /// Makes a snapshot of the state as it is now, which `meta` must describe: nothing may be applied meanwhile. Gives the one before it
    /// too: dropping that may remove gigabytes, which nothing needs to wait for.
    ///
    /// # Errors
    /// If the checkpoint cannot be made.
    pub fn take(&self, store: &dyn Physical, meta: SnapshotMeta) -> io::Result<(Snapshot, Option<Arc<Shelved>>)> {
        if let Some(current) = self.current()
            && current.meta.last_log_id == meta.last_log_id
        {
            return Ok((current, None));
        }
        let index = meta.last_log_id.map_or(0, |id| id.index);
        let whole = self.folder.join(format!("{index:020}-{}-{}", std::process::id(), self.serial.fetch_add(1, Ordering::Relaxed)));
        let part = whole.with_extension("part");
        if part.exists() {
            fs::remove_dir_all(&part)?;
        }
        fs::create_dir(&part)?;
        store.checkpoint(&part.join(STATE)).map_err(io::Error::other)?;
        let head = part.join(HEAD);
        fs::write(&head, serde_json::to_vec(&meta)?)?;
        File::open(&head)?.sync_all()?;
        sync_folder(&part)?;
        failpoint!("snapshot-rename.before", io::Error::other("told to fail"));
        fs::rename(&part, &whole)?;
        failpoint!("snapshot-rename.after", io::Error::other("told to fail"));
        sync_folder(&self.folder)?;
        let shelved = Arc::new(Shelved { folder: whole, is_obsolete: AtomicBool::new(false) });
        let old = self.slot().replace((meta.clone(), shelved.clone())).map(|(_, old)| old);
        if let Some(old) = &old {
            old.is_obsolete.store(true, Ordering::Release);
        }
        Ok((Snapshot { meta, snapshot: Files::Shelved(shelved) }, old))
    }

    /// A new, empty folder for an incoming snapshot. Earlier ones are removed: their transfer broke, or is overtaken.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn stage(&self) -> io::Result<PathBuf> {
        for old in fs::read_dir(&self.staging)? {
            fs::remove_dir_all(old?.path())?;
        }
        let folder = self.staging.join(self.serial.fetch_add(1, Ordering::Relaxed).to_string());
        fs::create_dir(&folder)?;
        Ok(folder)
    }

    /// A folder that `Physical::install` may move away.
    ///
    /// # Errors
    /// If a snapshot of our own cannot be copied.
    pub fn movable(&self, files: &Files) -> io::Result<PathBuf> {
        match files {
            Files::Staged(folder) => Ok(folder.clone()),
            Files::Shelved(shelved) => {
                let copy = self.stage()?;
                copy_files(&shelved.state(), &copy)?;
                Ok(copy)
            }
        }
    }
}

/// Copied, not linked: whoever opens a checkpoint writes to some of its files.
fn copy_files(from: &Path, to: &Path) -> io::Result<()> {
    for found in fs::read_dir(from)? {
        let found = found?;
        let target = to.join(found.file_name());
        if found.file_type()?.is_dir() {
            fs::create_dir(&target)?;
            copy_files(&found.path(), &target)?;
        } else {
            fs::copy(found.path(), &target)?;
            File::open(&target)?.sync_all()?;
        }
    }
    sync_folder(to)
}
