//! The product by real processes: what survives kill -9, what never reaches a disk, what crosses between clusters.

#![allow(clippy::unwrap_used, reason = "tests")]

mod cluster;
mod durability;
mod far_behind;
mod gates;
mod local_rows;
mod members;
mod needles;
mod node;
mod operation;
#[cfg(feature = "chaos")]
mod planted;
mod relay;
mod replication;
mod roles;
mod seal;
mod secrecy;
mod strangers;
mod traffic;
mod watching;
