//! Keeps secrets in this process: no core dumps, no debugger, a word about swap. And ends the process on a panic.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Applies what the system allows; what it refuses is logged, not fatal.
pub fn apply() {
    if let Err(error) = setrlimit(Resource::RLIMIT_CORE, 0, 0) {
        tracing::warn!(%error, "core dumps could not be turned off");
    }
    #[cfg(target_os = "linux")]
    if let Err(error) = nix::sys::prctl::set_dumpable(false) {
        tracing::warn!(%error, "debuggers could not be kept out");
    }
    raise_open_files();
    if has_swap() {
        tracing::warn!("this machine has swap: secrets may be written to disk in clear, unless swap is encrypted");
    }
}

/// RocksDB and many connections need more open files than the usual 1024.
fn raise_open_files() {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard
        && let Err(error) = setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
    {
        tracing::warn!(%error, "the limit of open files could not be raised");
    }
}

fn has_swap() -> bool {
    std::fs::read_to_string("/proc/swaps").is_ok_and(|text| text.lines().count() > 1)
}
