//! The HTTP API at its edge: bytes in, an [`engine::Request`](crate::engine::Request), a response, bytes out.
//!
//! Not here: who may do what (`core`), the cluster's port (`cluster`).

mod answer;
mod body;
mod parse;
mod render;
mod status;
