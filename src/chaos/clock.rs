//! How far the wall clock of this process was set: what `types::SystemClock` adds. Timers do not see it.

use std::sync::atomic::{AtomicI64, Ordering};

static OFFSET_MS: AtomicI64 = AtomicI64::new(0);

/// Furthest that the clock can be set, either way: ten years.
pub const OFFSET_MS_MAX: i64 = 10 * 366 * 24 * 3_600_000;

/// The offset now.
pub fn clock_offset_ms() -> i64 {
    OFFSET_MS.load(Ordering::Relaxed)
}

/// Sets the clock, within `OFFSET_MS_MAX`.
pub fn set_clock_offset_ms(offset: i64) {
    OFFSET_MS.store(offset.clamp(-OFFSET_MS_MAX, OFFSET_MS_MAX), Ordering::Relaxed);
}
