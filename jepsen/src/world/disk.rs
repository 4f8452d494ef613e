//! A small disk for a node: a tmpfs of a few MiB that can be filled.
//!
//! The mount is in this process' own mount namespace and vanishes with it. Not here: disks that lie or break.

use std::fs;
use std::io::Write;
use std::path::Path;

use nix::mount::{MsFlags, mount};

/// Mounts a file system of `mib` MiB at `folder`, which is made.
///
/// # Errors
/// If the kernel refuses.
pub fn small(folder: &Path, mib: u64) -> Result<(), String> {
    let name = |error: &dyn std::fmt::Display| format!("mount a small disk at {}: {error}", folder.display());
    fs::create_dir_all(folder).map_err(|error| name(&error))?;
    let options = format!("size={mib}m,mode=0700");
    mount(Some("tmpfs"), folder, Some("tmpfs"), MsFlags::empty(), Some(options.as_str())).map_err(|error| name(&error))
}

/// Fills the disk under `folder` to its last byte.
///
/// # Errors
/// If it can hold more than 4 GiB, which is no small disk.
pub fn fill(folder: &Path) -> Result<(), String> {
    let mut file = fs::File::create(folder.join("ballast")).map_err(|error| format!("{}: {error}", folder.display()))?;
    let block = vec![0; 64 * 1024];
    for _ in 0..65_536 {
        if file.write_all(&block).is_err() {
            return Ok(());
        }
    }
    empty(folder);
    Err(format!("{} is no small disk", folder.display()))
}

/// Takes away what filled it.
pub fn empty(folder: &Path) {
    // Nothing to take away is fine.
    let _ = fs::remove_file(folder.join("ballast"));
}
