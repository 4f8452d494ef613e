//! Which folder holds the state: `state-N`, named by the file `CURRENT`, which is replaced atomically.
//!
//! A crash leaves the old pointer or the new one; folders that it does not name are removed at the next start.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::storage::StorageError;

const POINTER: &str = "CURRENT";

/// A folder of one state.
pub(super) struct StateFolder {
    parent: PathBuf,
    number: u64,
    is_replaced: AtomicBool,
}

impl StateFolder {
    fn numbered(parent: &Path, number: u64) -> Self {
        Self { parent: parent.to_owned(), number, is_replaced: AtomicBool::new(false) }
    }

    /// The folder that the state in `parent` lies in; removes what other folders a crash left.
    pub(super) fn current(parent: &Path) -> Result<Self, StorageError> {
        fs::create_dir_all(parent).map_err(StorageError::io("make the folder of the state"))?;
        let number = match fs::read_to_string(parent.join(POINTER)) {
            Ok(name) => number_of(name.trim()).ok_or(StorageError::Corrupt("the file CURRENT"))?,
            Err(source) if source.kind() == std::io::ErrorKind::NotFound => 1,
            Err(source) => return Err(StorageError::io("read the file CURRENT")(source)),
        };
        let current = Self::numbered(parent, number);
        for entry in fs::read_dir(parent).map_err(StorageError::io("read the folder of the state"))? {
            let path = entry.map_err(StorageError::io("read the folder of the state"))?.path();
            let is_state = path.file_name().and_then(|name| name.to_str()).and_then(number_of).is_some();
            if is_state && path != current.path() {
                fs::remove_dir_all(&path).map_err(StorageError::io("remove a replaced state"))?;
            }
        }
        Ok(current)
    }

    /// The next folder, which holds what was in `from`.
    pub(super) fn moved_from(&self, from: &Path) -> Result<Self, StorageError> {
        let next = Self::numbered(&self.parent, self.number + 1);
        let path = next.path();
        if path.exists() {
            fs::remove_dir_all(&path).map_err(StorageError::io("remove an unfinished state"))?;
        }
        if fs::rename(from, &path).is_err() {
            copy(from, &path).map_err(StorageError::io("copy a checkpoint"))?;
        }
        sync(&path)?;
        sync(&self.parent)?;
        Ok(next)
    }

    /// Makes this the folder that the next start opens.
    pub(super) fn point_here(&self) -> Result<(), StorageError> {
        let action = "replace the file CURRENT";
        let draft = self.parent.join("CURRENT.new");
        let mut file = File::create(&draft).map_err(StorageError::io(action))?;
        if bug!(6) {
            fs::rename(&draft, self.parent.join(POINTER)).map_err(StorageError::io(action))?;
            failpoint!("pointer-rename.after", StorageError::io(action)(std::io::Error::other("told to fail")));
            return file.write_all(self.name().as_bytes()).map_err(StorageError::io(action));
        }
        file.write_all(self.name().as_bytes()).map_err(StorageError::io(action))?;
        file.sync_all().map_err(StorageError::io(action))?;
        failpoint!("pointer-rename.before", StorageError::io(action)(std::io::Error::other("told to fail")));
        fs::rename(&draft, self.parent.join(POINTER)).map_err(StorageError::io(action))?;
        failpoint!("pointer-rename.after", StorageError::io(action)(std::io::Error::other("told to fail")));
        sync(&self.parent)
    }

    /// The folder goes once nobody reads it any longer.
    pub(super) fn replaced(&self) {
        self.is_replaced.store(true, Ordering::Relaxed);
    }

    pub(super) fn path(&self) -> PathBuf {
        self.parent.join(self.name())
    }

    fn name(&self) -> String {
        format!("state-{}", self.number)
    }
}

impl Drop for StateFolder {
    fn drop(&mut self) {
        if self.is_replaced.load(Ordering::Relaxed)
            && let Err(error) = fs::remove_dir_all(self.path())
        {
            tracing::warn!(%error, "replaced state was not removed, the next start removes it");
        }
    }
}

fn number_of(name: &str) -> Option<u64> {
    name.strip_prefix("state-")?.parse().ok()
}

fn sync(folder: &Path) -> Result<(), StorageError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(StorageError::io("sync a folder"))
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target)?;
            File::open(&target)?.sync_all()?;
        }
    }
    fs::remove_dir_all(from)
}
