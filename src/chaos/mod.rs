//! Breaking the product on purpose: failpoints, planted bugs and a clock that can be set, for the simulator and `jepsen/`.
//!
//! All of it exists only under the Cargo feature `chaos`, which no default build and no release has: without it `failpoint!`
//! expands to nothing, `bug!` to `false` and `clock_offset_ms!` to zero, and `tests/tidy.rs` looks for traces in the binary.
//! Nothing here imports the product. Where a failpoint lies and what a bug does stands at its place in the product; the tables
//! `POINTS` and `BUGS` list them all.

#[cfg(feature = "chaos")]
mod bugs;
#[cfg(feature = "chaos")]
mod clock;
#[cfg(feature = "chaos")]
mod failpoints;
#[cfg(feature = "sim")]
mod linger;
#[cfg(feature = "chaos")]
mod memory;
#[cfg(feature = "chaos")]
mod points;
#[cfg(feature = "chaos")]
mod socket;

#[cfg(feature = "chaos")]
pub use bugs::{BUGS, Bug, PlantedHere, is_planted};
#[cfg(feature = "chaos")]
pub use clock::{clock_offset_ms, set_clock_offset_ms};
#[cfg(feature = "chaos")]
pub use failpoints::{Action, Verdict, arm, hit, hits, hook, unhook};
#[cfg(feature = "sim")]
pub use linger::{be_disorderly, is_disorderly, linger, take_time};
#[cfg(feature = "chaos")]
pub use memory::{count, counted};
#[cfg(feature = "chaos")]
pub use points::{POINTS, Point};
#[cfg(feature = "chaos")]
pub use socket::{Dump, serve};

/// What a binary with this feature says of itself at its start, and what a default one must not contain.
#[cfg(feature = "chaos")]
pub const MARKER: &str = "coffer was built with the feature chaos: it can be told to fail, and is for tests only";

/// A place where a test can kill the process, hold it up, or make the function fail with the error given.
#[cfg(feature = "chaos")]
#[macro_export]
macro_rules! failpoint {
    ($name:literal) => {
        // Where no error can be given, an action `error` does nothing.
        let _ = $crate::chaos::hit($name);
    };
    ($name:literal, if $applies:expr) => {
        if $applies {
            let _ = $crate::chaos::hit($name);
        }
    };
    ($name:literal, $error:expr) => {
        if $crate::chaos::hit($name) == $crate::chaos::Verdict::Fail {
            return Err($error);
        }
    };
}

/// A place where a test can kill the process, hold it up, or make the function fail: nothing in this build.
#[cfg(not(feature = "chaos"))]
#[macro_export]
macro_rules! failpoint {
    ($name:literal) => {};
    ($name:literal, if $applies:expr) => {};
    ($name:literal, $error:expr) => {};
}

/// Whether the planted bug of this number is switched on.
#[cfg(feature = "chaos")]
#[macro_export]
macro_rules! bug {
    ($number:literal) => {
        $crate::chaos::is_planted($number)
    };
}

/// Whether the planted bug of this number is switched on: never in this build.
#[cfg(not(feature = "chaos"))]
#[macro_export]
macro_rules! bug {
    ($number:literal) => {
        false
    };
}

/// How far a test has set this process's wall clock forward, or back.
#[cfg(feature = "chaos")]
#[macro_export]
macro_rules! clock_offset_ms {
    () => {
        $crate::chaos::clock_offset_ms()
    };
}

/// How far a test has set this process's wall clock: not at all in this build.
#[cfg(not(feature = "chaos"))]
#[macro_export]
macro_rules! clock_offset_ms {
    () => {
        0_i64
    };
}

/// Without the feature, planted bugs are a constant that the compiler sees through.
#[cfg(not(feature = "chaos"))]
const _: () = assert!(!bug!(1) && clock_offset_ms!() == 0);
