//! What a history shows: one checker per file, each a function from a history to a [`Verdict`]. Pure.
//!
//! In reading order: `verdict` is what comes out; `register` and `wgl` decide linearizability, `append` isolation, `setfull` loss; then
//! what is particular to a secrets store and to replication; `coverage` asks whether there is evidence at all; `compose` makes one tree.
//!
//! Not here: how histories come to be. A checker believes nothing but the lines.

mod keyed;
mod lines;
mod verdict;
mod versioned;

pub mod register;
pub mod wgl;

pub mod append;
pub mod setfull;

pub mod audit;
pub mod kin;
pub mod lease;
pub mod monotonic;
mod outage;
pub mod policy;
pub mod unwrap;
pub mod uses;

pub mod canary;
pub mod converge;
pub mod crossing;
pub mod fence;
pub mod prefix;

pub mod compose;
pub mod coverage;
pub mod shrink;

#[cfg(test)]
mod proof;

pub use keyed::Keyed;
pub use verdict::{Valid, Verdict};
pub use versioned::{MISMATCH, Step as VersionedStep, Versioned};
