//! The text of tokens and accessors.

use crate::crypto::Entropy;
use crate::crypto::entropy::random_base62;
use crate::engine::EngineError;
use crate::types::Secret;

/// What service tokens start with.
pub const SERVICE_PREFIX: &str = "hvs.";
/// What batch tokens start with.
pub const BATCH_PREFIX: &str = "hvb.";
/// What batch tokens of old clients start with.
pub const BATCH_PREFIX_OLD: &str = "b.";

/// Random characters of a token or accessor: about 143 bits.
const RANDOM_CHARS: usize = 24;

/// A fresh service token.
pub fn service_token(entropy: &dyn Entropy) -> Secret<String> {
    let random = Secret::new(random_base62(entropy, RANDOM_CHARS));
    Secret::new(format!("{SERVICE_PREFIX}{}", random.expose()))
}

/// A fresh accessor.
pub fn accessor(entropy: &dyn Entropy) -> String {
    random_base62(entropy, RANDOM_CHARS)
}

/// Whether `token` has the form of a batch token.
pub fn is_batch(token: &str) -> bool {
    token.starts_with(BATCH_PREFIX) || token.starts_with(BATCH_PREFIX_OLD)
}

/// Whether a client may choose `id` for a token.
///
/// # Errors
/// With a text for the client.
pub fn check_custom(id: &str) -> Result<(), EngineError> {
    for prefix in [SERVICE_PREFIX, "s."] {
        if id.starts_with(prefix) {
            return Err(EngineError::invalid(format!("custom token ID cannot have the '{prefix}' prefix")));
        }
    }
    if id.contains('.') {
        return Err(EngineError::invalid("custom token ID cannot have a '.' in the value"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::entropy::SeededEntropy;

    #[test]
    fn tokens_have_the_form_that_clients_know() {
        let entropy = SeededEntropy::new(1);
        let token = service_token(&entropy);
        assert!(token.expose().starts_with("hvs."));
        assert_eq!(token.expose().len(), 28);
        assert_eq!(accessor(&entropy).len(), 24);
        assert_ne!(service_token(&entropy).expose(), token.expose());
    }

    #[test]
    fn a_custom_id_cannot_pass_for_one_of_ours() {
        assert!(check_custom("hvs.a").is_err());
        assert!(check_custom("s.a").is_err());
        assert!(check_custom("hvb.a").is_err());
        assert!(check_custom("a-token").is_ok());
    }
}
