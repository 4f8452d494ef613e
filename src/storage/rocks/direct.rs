//! Whether a folder's files can be written past the system's page cache.
//!
//! A file of RocksDB has 20 MiB and more. Through the page cache it reaches the disk in bursts, and the log's syncs, which all requests
//! wait for, stand behind them. Written directly, it goes out piece by piece. Reads still use the page cache.

use std::path::Path;

/// A file that is there for a moment.
#[cfg(target_os = "linux")]
const TRIAL: &str = "direct.trial";

/// Asks the file system by opening a file so. Not all can: tmpfs could not until Linux 6.6, and some network file systems never.
#[cfg(target_os = "linux")]
pub(super) fn is_possible(folder: &Path) -> bool {
    use std::os::unix::fs::OpenOptionsExt as _;

    let path = folder.join(TRIAL);
    let direct = nix::fcntl::OFlag::O_DIRECT.bits();
    let opened = std::fs::OpenOptions::new().write(true).create(true).truncate(true).custom_flags(direct).open(&path);
    // The kernel makes the file before it asks whether it can be opened so.
    let _ = std::fs::remove_file(&path);
    opened.is_ok()
}

/// Elsewhere it has not been measured.
#[cfg(not(target_os = "linux"))]
pub(super) fn is_possible(_: &Path) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::super::{RocksOptions, RocksStore};
    use super::*;

    /// What RocksDB says of its own setting.
    fn setting(state: &Path) -> bool {
        let files = std::fs::read_dir(state).unwrap().map(|entry| entry.unwrap().path());
        let options = files.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("OPTIONS-")).max().unwrap();
        let text = std::fs::read_to_string(options).unwrap();
        let line = text.lines().find_map(|line| line.trim().strip_prefix("use_direct_io_for_flush_and_compaction=")).unwrap();
        line == "true"
    }

    #[test]
    fn files_are_written_so_where_they_can_be() {
        let folder = tempfile::tempdir().unwrap();
        drop(RocksStore::open(RocksOptions::new(folder.path())).unwrap());
        assert_eq!(setting(&folder.path().join("state-1")), is_possible(folder.path()));
    }

    #[test]
    fn a_folder_that_takes_no_files_is_no_reason_to_fail() {
        assert!(!is_possible(Path::new("/proc/self")));
        assert!(!is_possible(Path::new("/nowhere/at/all")));
    }

    #[test]
    fn the_trial_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        is_possible(folder.path());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
