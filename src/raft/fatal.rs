//! Fail-stop: a Raft node that goes on after a failed write or a panic is wrong without showing it, so the process ends.

use std::fmt::Display;

/// Ends the process on any panic, in any thread: openraft's metrics go on saying that all is well after one. For servers.
pub fn install_panic_abort() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        before(panic);
        std::process::abort();
    }));
}

/// Ends the process: what was attempted has failed and cannot be undone.
pub fn stop_process(attempted: &'static str, why: &dyn Display) -> ! {
    tracing::error!(attempted, error = %why, "raft cannot go on, the process ends");
    // The log may not be written any more, or not be set up.
    eprintln!("raft cannot go on, the process ends: {attempted}: {why}");
    std::process::abort();
}
