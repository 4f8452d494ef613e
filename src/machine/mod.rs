//! The replicated state machine: what a log entry can say and what follows from it. Deterministic and keyless.
//!
//! Entries carry ciphertext and plain keys. [`apply()`] never decrypts, never reads a clock, never draws randomness and never
//! awaits, so that it gives the same result on every node, sealed or not, for ever, and can be tested as a table.
//!
//! Read in this order: [`Command`], [`Role`], [`apply()`].

mod apply;
mod codec;
mod command;
mod key_uses;
mod merkle;
mod role;
mod stage;
#[cfg(test)]
mod tests;
mod wal;

pub use apply::{Applied, Outcome, Refusal, RowWrite, Stored, View, apply};
pub use codec::{CodecError, decode_command, decode_record, decode_role, encode_command, encode_record, encode_role};
pub use command::{Batch, Ciphertext, Command, Guard, Op};
pub use key_uses::{KeyTerm, KeyUse, KeyUses};
pub use merkle::{PAGES, PageId, PageSum, item_hash, page_of, root_of};
pub use role::Role;
pub use stage::Stage;
pub use wal::{Positions, Record};
