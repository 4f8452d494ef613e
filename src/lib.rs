//! Coffer: a clustered, encrypted secrets store with performance replication that speaks the Vault API.
//!
//! The layers, lowest first; each uses only those before it (`tests/tidy.rs` holds the table):
//!
//! | folder | what |
//! | --- | --- |
//! | [`types`], [`pool`], [`chaos`] | the words; work that blocks; breaking things on purpose, in test builds only |
//! | [`crypto`], [`machine`], [`telemetry`] | pure: bytes; the meaning of the log; counters |
//! | [`storage`] | place: scopes, snapshots, atomic commit |
//! | [`barrier`] | plaintext inside, ciphertext outside |
//! | [`engine`], [`raft`] | the contract of an engine; order |
//! | [`engines`], [`auth`], [`audit`], [`replication`] | features behind small contracts |
//! | [`core`] | who may do what, and what is alive |
//! | [`http`], [`cluster`], [`cli`] | bytes in, bytes out |
//! | [`server`] | configuration, wiring, start and stop |

#[macro_use]
pub mod chaos;
pub mod pool;
pub mod types;

pub mod crypto;
pub mod machine;
pub mod telemetry;

pub mod storage;

pub mod barrier;

pub mod engine;
pub mod raft;

pub mod audit;
pub mod auth;
pub mod engines;
pub mod replication;

pub mod core;

pub mod cli;
pub mod cluster;
pub mod http;

pub mod server;
