//! How an engine says no.

use super::FieldError;
use crate::barrier::BarrierError;

/// What a client did wrong, or what could not be done. HTTP statuses for these are in one table in `http`.
///
/// Texts of the first six go to the client: they name what to fix and no storage key.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The request is wrong as it stands.
    #[error("{0}")]
    Invalid(String),
    /// The caller may not.
    #[error("permission denied")]
    Denied,
    /// The caller may not, with a text that says of what: `bad token`.
    #[error("{0}")]
    Forbidden(String),
    /// A login was wrong; says no more than that.
    #[error("{0}")]
    BadLogin(String),
    /// The path exists but not for this operation.
    #[error("unsupported operation")]
    Unsupported,
    /// There is no such path, with a text.
    #[error("{0}")]
    NotFound(String),
    /// What was asked for needs another state of the cluster; may be tried again later.
    #[error("{0}")]
    Unavailable(String),
    /// We could not do it. The text is for the log.
    #[error("read or write storage")]
    Barrier(#[from] BarrierError),
    /// We could not do it. The text is for the log.
    #[error("{0}")]
    Internal(String),
}

impl From<FieldError> for EngineError {
    fn from(error: FieldError) -> Self {
        Self::Invalid(error.to_string())
    }
}

impl EngineError {
    /// The request is wrong as it stands.
    pub fn invalid(text: impl Into<String>) -> Self {
        Self::Invalid(text.into())
    }
}
