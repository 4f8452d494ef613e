//! Which API this speaks, in the words of clients that ask for a version.

/// The version of the Vault API that clients are told. Its number decides what they try.
pub const API_VERSION: &str = "1.20.4";

/// When it was built, as clients are told.
pub const BUILD_DATE: &str = "2026-01-01T00:00:00Z";
