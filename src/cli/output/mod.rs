//! How answers look: tables for people, JSON and YAML for programs.
//!
//! Scripts read all three, so the layout is a contract: columns, order of rows, headings.
//! Not here: what goes to which stream (`invocation`).

pub mod json;
pub mod secret;
pub mod table;
pub mod value;
pub mod yaml;
