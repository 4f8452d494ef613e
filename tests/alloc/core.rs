//! The core in memory that the core's own tests use, compiled for this binary.

pub use coffer::core::*;

#[path = "../../src/core/testing.rs"]
#[allow(dead_code, reason = "the core's own tests use the rest")]
pub mod testing;
