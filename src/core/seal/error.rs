//! How the seal says no. Texts are Vault's where clients match on them.

use super::super::WriteError;
use crate::engine::EngineError;
use crate::storage::StorageError;

/// Why a request of the seal was not done.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The request is wrong as it stands (400). The text is for the client.
    #[error("{0}")]
    Invalid(String),
    /// This node is sealed (503).
    #[error("Vault is sealed")]
    Sealed,
    /// Only the active node may do it: `http` forwards before it calls, so this is a moment without one (503).
    #[error("Vault is in standby mode")]
    Standby,
    /// It could not be done (500). The text is for the client and says nothing secret.
    #[error("{0}")]
    Failed(String),
}

impl SealError {
    /// The request is wrong as it stands.
    pub fn invalid(text: impl Into<String>) -> Self {
        Self::Invalid(text.into())
    }
    /// It could not be done.
    pub fn failed(text: impl Into<String>) -> Self {
        Self::Failed(text.into())
    }
}

impl From<WriteError> for SealError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Sealed(_) => Self::Sealed,
            WriteError::Engine(EngineError::Invalid(text)) => Self::Invalid(text),
            other => {
                tracing::error!(error = %other, "a write of the seal failed");
                Self::Failed(other.to_string())
            }
        }
    }
}

impl From<EngineError> for SealError {
    fn from(error: EngineError) -> Self {
        WriteError::from(error).into()
    }
}

impl From<StorageError> for SealError {
    fn from(error: StorageError) -> Self {
        tracing::error!(%error, "the seal's rows cannot be read");
        Self::failed("failed to read storage")
    }
}
