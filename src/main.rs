//! Parses argv: `server` goes to `server`, the rest to `cli`; nothing else.

use std::process::ExitCode;

/// Small blocks come and go on many threads: this one takes half the time of glibc's, also for RocksDB.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// mimalloc's `purge_delay`, which its bindings have no name for: milliseconds until freed memory is given back to the system.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;

/// Freed memory is kept for what comes next, unless `MIMALLOC_PURGE_DELAY` says otherwise: giving it back after a second and clearing
/// it anew for the next batch took a tenth of all processor time under load.
#[expect(unsafe_code, reason = "the allocator is set up through a function of C")]
fn keep_freed_memory() {
    // SAFETY: it sets a number in a table of the allocator's own, before any thread is started; a number of an option that did not exist
    // would be ignored.
    unsafe { libmimalloc_sys::mi_option_set_default(PURGE_DELAY, -1) }
}

/// Memory comes in small pages, unless `MIMALLOC_ALLOW_THP` says otherwise: a huge one is cleared in one go, milliseconds in which the
/// thread that touched it serves nobody.
#[cfg(target_os = "linux")]
fn use_small_pages() {
    if std::env::var_os("MIMALLOC_ALLOW_THP").is_none() {
        // A kernel that refuses has none of them, or is slower now and then.
        let _ = nix::sys::prctl::set_thp_disable(true);
    }
}

fn main() -> ExitCode {
    keep_freed_memory();
    let args: Vec<String> = std::env::args_os().map(|arg| arg.to_string_lossy().into_owned()).collect();
    match args.get(1).map(String::as_str) {
        Some("server") => {
            #[cfg(target_os = "linux")]
            use_small_pages();
            coffer::server::main(args.into_iter().skip(2))
        }
        _ => coffer::cli::run(args),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    #[expect(unsafe_code, reason = "the allocator is asked through a function of C")]
    fn the_number_of_the_option_is_that_of_the_delay() {
        // SAFETY: it reads a number in a table of the allocator's own.
        let before = unsafe { libmimalloc_sys::mi_option_get(super::PURGE_DELAY) };
        assert_eq!(before, 1000, "no other option begins with this: the allocator has numbered them anew");
    }
}
