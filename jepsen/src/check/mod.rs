//! What a history shows: one checker per file, each a function from a history to a [`Verdict`]. Pure.
//!
//! Not here: how histories come to be. A checker believes nothing but the lines.

mod verdict;

pub use verdict::{Valid, Verdict};
