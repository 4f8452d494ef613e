//! Fail-stop: a Raft node that goes on after a failed write or a panic is wrong without showing it, so the process ends.

use std::fmt::Display;

/// Ends the process on any panic, in any thread: openraft's metrics go on saying that all is well after one. For servers.
pub fn install_panic_abort() {
    if bug!(13) {
        return;
    }
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        before(panic);
        #[cfg(feature = "sim")]
        if panic.payload().is::<simulated::HostStopped>() || simulated::ends_host("go on after a panic", panic) {
            return;
        }
        std::process::abort();
    }));
}

/// Ends the process: what was attempted has failed and cannot be undone.
pub fn stop_process(attempted: &'static str, why: &dyn Display) -> ! {
    tracing::error!(attempted, error = %why, "raft cannot go on, the process ends");
    #[cfg(feature = "sim")]
    if simulated::ends_host(attempted, why) {
        std::panic::panic_any(simulated::HostStopped);
    }
    // The log may not be written any more, or not be set up.
    eprintln!("raft cannot go on, the process ends: {attempted}: {why}");
    std::process::abort();
}

/// Where many hosts share a process, only the one that cannot go on ends.
#[cfg(feature = "sim")]
pub mod simulated {
    use std::fmt::Display;
    use std::sync::OnceLock;

    static STOP: OnceLock<fn(&'static str, String)> = OnceLock::new();

    /// What a panic carries that ends a host: no failure of the simulation.
    #[derive(Clone, Copy, Debug)]
    pub struct HostStopped;

    /// Has `stop` called in place of the end of the process; it is to crash the host that runs. Once.
    pub fn stop_hosts_with(stop: fn(&'static str, String)) {
        // Whoever came first keeps it.
        let _ = STOP.set(stop);
    }

    /// Whether it is a host that ends, not the process.
    pub(super) fn ends_host(attempted: &'static str, why: &dyn Display) -> bool {
        let Some(stop) = STOP.get() else { return false };
        stop(attempted, why.to_string());
        true
    }
}
