//! The API as clients see it: the built binary, over HTTP.

mod dev;
mod process;
mod single;
