//! What a history shows: one checker per file, each a function from a history to a [`Verdict`]. Pure.
//!
//! Not here: how histories come to be. A checker believes nothing but the lines.

pub mod append;
mod keyed;
#[cfg(test)]
mod proof;
pub mod register;
mod verdict;
mod versioned;
pub mod wgl;

pub use keyed::Keyed;
pub use verdict::{Valid, Verdict};
pub use versioned::{MISMATCH, Step as VersionedStep, Versioned};
