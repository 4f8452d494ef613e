//! Parses argv: `server` goes to `server`, the rest to `cli`; nothing else.

use std::process::ExitCode;

/// Small blocks come and go on many threads: this one takes half the time of glibc's, also for RocksDB.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args_os().map(|arg| arg.to_string_lossy().into_owned()).collect();
    match args.get(1).map(String::as_str) {
        Some("server") => coffer::server::main(args.into_iter().skip(2)),
        _ => coffer::cli::run(args),
    }
}
