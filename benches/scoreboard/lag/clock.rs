//! The clock that all processes of a machine share, which nobody sets.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// Nanoseconds since some moment before everything.
pub fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("Linux has this clock");
    u64::try_from(Duration::from(now).as_nanos()).expect("less than five centuries")
}

/// Sleeps until `at_ns`; returns at once if that is past.
pub fn sleep_until(at_ns: u64) {
    let ahead = at_ns.saturating_sub(now_ns());
    if ahead > 0 {
        std::thread::sleep(Duration::from_nanos(ahead));
    }
}
