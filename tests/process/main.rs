//! The product by real processes: what survives kill -9, what never reaches a disk, what crosses between clusters.

#![allow(clippy::unwrap_used, reason = "tests")]

mod cluster;
mod durability;
mod node;
mod replication;
mod roles;
mod secrecy;
