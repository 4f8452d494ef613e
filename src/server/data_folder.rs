//! The data folder: made with the right mode, held by one process, and where this node's name is kept.
//!
//! Not here: what lies in its parts (`storage`, `raft`, `core::node_identity`).

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Why the data folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// It cannot be made, read or written.
    #[error("cannot {action} {path}")]
    Io {
        /// What was attempted.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's own words.
        source: io::Error,
    },
    /// Another process has it.
    #[error("the data folder {0} is in use by another process")]
    InUse(PathBuf),
    /// The node would change its name.
    #[error("the data in {path} belongs to node {kept:?}, but node_id is {wanted:?}: use another folder, or the old name")]
    OtherNode {
        /// The folder.
        path: PathBuf,
        /// Whose it is.
        kept: String,
        /// What is configured.
        wanted: String,
    },
}

/// A data folder held by this process, until it is dropped.
#[derive(Debug)]
pub struct DataFolder {
    path: PathBuf,
    _lock: File,
}

impl DataFolder {
    /// Makes the folder if it is missing, and takes it.
    ///
    /// # Errors
    /// See [`FolderError`].
    pub fn take(path: &Path) -> Result<Self, FolderError> {
        let io = |action, path: &Path| {
            let path = path.to_owned();
            move |source| FolderError::Io { action, path, source }
        };
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(io("make", path))?;
        let mode = path.metadata().map_err(io("read", path))?.permissions().mode();
        if mode & 0o077 != 0 {
            tracing::warn!(path = %path.display(), mode = format!("{:o}", mode & 0o777), "others can look into the data folder");
        }
        let lock_path = path.join("node.lock");
        let lock =
            OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&lock_path).map_err(io("open", &lock_path))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(FolderError::InUse(path.to_owned())),
            Err(TryLockError::Error(source)) => Err(FolderError::Io { action: "lock", path: lock_path, source }),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// This node's name: `wanted`, or the one kept here, or a new one; kept from now on.
    ///
    /// # Errors
    /// If the folder belongs to a node of another name.
    pub fn node_name(&self, wanted: Option<&str>) -> Result<String, FolderError> {
        let path = self.path.join("node-id");
        let kept = match std::fs::read_to_string(&path) {
            Ok(text) => Some(text.trim().to_owned()).filter(|name| !name.is_empty()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(source) => return Err(FolderError::Io { action: "read", path, source }),
        };
        match (kept, wanted) {
            (Some(kept), None) => Ok(kept),
            (Some(kept), Some(wanted)) if kept == wanted => Ok(kept),
            (Some(kept), Some(wanted)) => Err(FolderError::OtherNode { path: self.path.clone(), kept, wanted: wanted.to_owned() }),
            (None, wanted) => {
                let name = wanted.map_or_else(|| uuid::Uuid::new_v4().to_string(), str::to_owned);
                write_whole(&path, name.as_bytes()).map_err(|source| FolderError::Io { action: "write", path, source })?;
                Ok(name)
            }
        }
    }
}

/// Replaces a small file so that a crash leaves the old or the new one.
fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("new");
    let mut file = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&beside, path)?;
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_holds_a_folder() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("data");
        let first = DataFolder::take(&path).unwrap();
        assert!(matches!(DataFolder::take(&path), Err(FolderError::InUse(_))));
        drop(first);
        DataFolder::take(&path).unwrap();
    }

    #[test]
    fn a_node_keeps_its_name() {
        let temp = tempfile::tempdir().unwrap();
        let folder = DataFolder::take(temp.path()).unwrap();
        let made = folder.node_name(None).unwrap();
        assert_eq!(folder.node_name(None).unwrap(), made);
        assert!(matches!(folder.node_name(Some("other")), Err(FolderError::OtherNode { .. })));
        assert_eq!(folder.node_name(Some(&made)).unwrap(), made);
    }
}
