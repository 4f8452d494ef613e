//! One way, between clusters: the primary ships what is shared, as a log; the secondary replays it.
//!
//! The pure parts take events and give actions; `session` drives them over a [`link::Link`], which `cluster` implements with gRPC
//! and the simulator with its own network. Nothing is decrypted here: records and rows travel as they lie.
//!
//! Not here: who may enable replication (`core::sys::replication`), certificates (`cluster`), what `apply` refuses (`machine`).

pub mod link;
