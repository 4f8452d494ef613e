//! Breaks Coffer on purpose, and decides what came of it.
//!
//! In reading order: `core` has the words (operations, histories, seeds), `check` decides what a history shows, and the rest makes
//! histories: `world` holds the processes and their network, disks and clocks, `client` speaks to them, `work` says what clients do,
//! `nemesis` what goes wrong meanwhile, `damage` what becomes of files, `report` shows it, `cli` is the command line.
//!
//! Not here: anything of the product. It is a program that is started, a port that answers, and a socket for tests.

#![deny(unsafe_code)]

pub mod core;

pub mod check;

#[cfg(feature = "harness")]
pub mod cli;
#[cfg(feature = "harness")]
pub mod client;
#[cfg(feature = "harness")]
pub mod damage;
#[cfg(feature = "harness")]
pub mod nemesis;
#[cfg(feature = "harness")]
pub mod report;
#[cfg(feature = "harness")]
pub mod work;
#[cfg(feature = "harness")]
pub mod world;
