//! Why a token was not taken.

use crate::barrier::BarrierError;
use crate::core::Sealed;
use crate::engine::EngineError;

/// Why a token was not taken.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// Never made, ended, or damaged: one answer for all.
    #[error("invalid token")]
    Unknown,
    /// Bound to other addresses than the caller's.
    #[error("permission denied")]
    WrongAddress,
    /// It could not be looked up.
    #[error("read storage")]
    Barrier(#[from] BarrierError),
    /// This node is sealed.
    #[error(transparent)]
    Sealed(#[from] Sealed),
}

impl From<TokenError> for EngineError {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Unknown | TokenError::WrongAddress => Self::Denied,
            TokenError::Barrier(error) => Self::Barrier(error),
            TokenError::Sealed(sealed) => Self::Unavailable(sealed.to_string()),
        }
    }
}
