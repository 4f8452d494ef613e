//! The generated messages and services of `proto/`.

#![allow(missing_docs, clippy::all, clippy::unwrap_used, reason = "generated; the documentation is in proto/")]

pub mod raft {
    include!(concat!(env!("OUT_DIR"), "/coffer.raft.v1.rs"));
}

pub mod cluster {
    include!(concat!(env!("OUT_DIR"), "/coffer.cluster.v1.rs"));
}

pub mod replication {
    include!(concat!(env!("OUT_DIR"), "/coffer.replication.v1.rs"));
}
