//! One client of the API: one connection, no retries, every outcome told apart.

pub mod http;
pub mod outcome;
