//! Thin, pure faces on vetted cryptographic crates. None of the cryptography is ours.
//!
//! Not here: what a key is for (`barrier`, `core::seal`), I/O, policy.

pub mod aead;
pub mod cert;
pub mod entropy;
pub mod kdf;
pub mod mac;
pub mod shamir;

pub use entropy::{Entropy, OsEntropy};
