//! How an engine says no.

use super::FieldError;
use crate::barrier::BarrierError;

/// What a client did wrong, or what could not be done. HTTP statuses for these are in one table in `http`.
///
/// Texts of the first eight go to the client: they name what to fix and no storage key.
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
    /// A login was wrong. The client is told no more than that, above all not whether there is such a user.
    #[error("invalid username or password")]
    BadLogin {
        /// Whether there is such a user: for counting failures.
        is_known: bool,
    },
    /// The path exists but not for this operation.
    #[error("unsupported operation")]
    Unsupported,
    /// There is no such path, with a text.
    #[error("{0}")]
    NotFound(String),
    /// What was asked for needs another state of the cluster; may be tried again later.
    #[error("{0}")]
    Unavailable(String),
    /// The request is wrong as it stands, but clients know that as a failure of the server.
    #[error("{0}")]
    AsFailure(&'static str),
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
