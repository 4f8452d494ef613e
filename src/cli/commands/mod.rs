//! The commands, one file a group.
//!
//! Not here: how a command is found (`command`) or prints (`output`).

mod audit;
mod auth;
mod data;
mod kv;
mod lease;
mod local;
mod login;
mod mount_flags;
mod mounts;
mod operator;
mod policy;
mod replication;
mod secrets;
mod status;
mod token;

pub use local::version_text;

use super::command::Command;

/// All commands.
pub const TABLES: &[&[Command]] = &[
    audit::COMMANDS,
    auth::COMMANDS,
    data::COMMANDS,
    kv::COMMANDS,
    kv::metadata::COMMANDS,
    kv::versions::COMMANDS,
    lease::COMMANDS,
    local::COMMANDS,
    login::COMMANDS,
    operator::COMMANDS,
    operator::autopilot::COMMANDS,
    operator::generate_root::COMMANDS,
    operator::init::COMMANDS,
    operator::raft::COMMANDS,
    operator::rekey::COMMANDS,
    operator::snapshot::COMMANDS,
    policy::COMMANDS,
    replication::COMMANDS,
    secrets::COMMANDS,
    status::COMMANDS,
    token::COMMANDS,
];
