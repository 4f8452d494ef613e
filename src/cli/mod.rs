//! The command line: speaks only HTTP to a server.
