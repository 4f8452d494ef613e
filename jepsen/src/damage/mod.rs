//! Damage to the files of a node that is stopped, and what the node makes of it when it starts again.
//!
//! A file system gives back other bytes than it was given: a bit flips, a block comes back as zeros, as another block, or as it once
//! was, the end of a file is missing, or all of it. A node may refuse to start, or to answer; it may have lost nothing. It may not answer
//! with something else than what it acknowledged. Not here: disks that fail while a node runs (`world::faultfs`).

mod harm;
mod specimen;

pub use harm::{Class, Harm, Kind};
pub use specimen::{Outcome, Specimen};
