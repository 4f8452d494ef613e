//! The wall: values on this side, ciphertext on the other.
//!
//! A request reads and writes through a [`Txn`]: reads go through and are remembered, writes are gathered, and at the end all of it
//! becomes one `machine::Batch` of ciphertext with guards. A mount sees a [`View`] of it: its own prefix, nothing else.
//!
//! Not here: who may ask (`core`), order (`raft`), how root and unseal keys are kept (`core::seal`).

mod keyring;
mod txn;
mod value;
mod view;

pub use keyring::{Keyring, KeyringError, TermInfo};
pub use txn::{BarrierError, Txn, Write};
pub use value::{decrypt_value, encrypt_value};
pub use view::{Page, View};
