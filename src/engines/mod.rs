//! Secrets engines, one folder each. To add one: its folder, and its line in [`ALL`].

mod cubbyhole;
mod kv;

use crate::engine::Kind;

/// All kinds that can be mounted below `sys/mounts`.
pub static ALL: &[&Kind] = &[&kv::KIND, &cubbyhole::KIND];
