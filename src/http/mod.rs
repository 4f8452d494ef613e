//! The HTTP API at its edge: bytes in, an [`engine::Request`](crate::engine::Request), a response, bytes out.
//!
//! Every request, from a client or from another node, becomes a `RawRequest` and goes through `Api::answer`. Node-local endpoints
//! are answered first (`bare`), then a standby hands on what is left (`forward`), and the active node parses and serves.
//!
//! Not here: who may do what (`core`), the cluster's port (`cluster`).

mod answer;
mod bare;
mod body;
mod cors;
mod crowd;
mod forward;
mod intake;
mod listener;
mod metrics;
mod pace;
mod parse;
mod render;
mod serve;
mod status;
mod tls;

pub use listener::{Bound, Limits, ListenError};
pub use serve::{Api, Options};
pub use status::table as refusal;
pub use tls::{TlsFiles, TlsIdentity};
