//! The API as clients see it: the built binary, over HTTP.

#![allow(clippy::unwrap_used, reason = "tests")]

mod api;
mod dev;
mod process;
mod single;
