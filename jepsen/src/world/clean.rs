//! Takes away what a run left that was killed: its processes. Namespaces, links and mounts have no names and go with them.

use std::path::Path;

use super::process::kill_listed;

/// Kills what the run in `folder` started and what still runs, the harness itself included: how many.
pub fn run(folder: &Path) -> usize {
    kill_listed(&folder.join("harness")) + kill_listed(&folder.join("processes"))
}

/// The runs below `folder`, itself included: each has a list of processes.
pub fn runs(folder: &Path) -> Vec<std::path::PathBuf> {
    let below = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    std::iter::once(folder.to_owned()).chain(below).filter(|path| path.join("processes").exists()).collect()
}
