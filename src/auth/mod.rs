//! Auth methods: engines mounted below `auth/`, one folder each. To add one: its folder, and its line in [`ALL`].

mod token_fields;
mod userpass;

use crate::engine::Kind;

/// All kinds that can be mounted below `sys/auth`.
pub static ALL: &[&Kind] = &[&userpass::KIND];
