//! Passwords and their bcrypt hashes, on the blocking pool: one costs about fifty milliseconds.

use std::sync::LazyLock;

use crate::crypto::{Entropy, entropy};
use crate::engine::{Data, EngineError};
use crate::types::Secret;

/// Work factor of hashes made here, as in Vault.
const COST: u32 = 10;
/// Work factors that an imported hash may have: below, it is weak; above, a login could be used to keep the node busy.
const IMPORTED_COSTS: std::ops::RangeInclusive<u32> = 5..=12;
/// bcrypt looks at no more than this.
const PASSWORD_BYTES_MAX: usize = 72;

/// What stands in for the hash of a user that does not exist: no password has it.
static NOBODY: LazyLock<String> = LazyLock::new(|| {
    bcrypt::hash_with_salt(b"nobody", COST, [0; 16]).map(|parts| parts.to_string()).expect("a fixed password within bcrypt's limits")
});

/// What a request sets a password to.
pub(super) enum Given {
    Password(Secret<String>),
    Hash(String),
}

/// The password or hash that a request gives, if any.
pub(super) fn given(data: &Data) -> Result<Option<Given>, EngineError> {
    let password = data.text("password")?.filter(|text| !text.is_empty());
    let hash = data.text("password_hash")?.filter(|text| !text.is_empty());
    match (password, hash) {
        (Some(_), Some(_)) => Err(EngineError::invalid("only one of password or password_hash may be provided")),
        (Some(password), None) if password.len() > PASSWORD_BYTES_MAX => {
            Err(EngineError::invalid("password is longer than 72 bytes, of which bcrypt would ignore the rest"))
        }
        (Some(password), None) => Ok(Some(Given::Password(Secret::new(password)))),
        (None, Some(hash)) => {
            let is_fine = hash.parse::<bcrypt::HashParts>().is_ok_and(|parts| IMPORTED_COSTS.contains(&parts.get_cost()));
            if is_fine { Ok(Some(Given::Hash(hash))) } else { Err(EngineError::invalid("password_hash is no bcrypt hash of cost 5 to 12")) }
        }
        (None, None) => Ok(None),
    }
}

/// The hash to store.
pub(super) async fn hash(given: Given, source: &dyn Entropy) -> Result<String, EngineError> {
    match given {
        Given::Hash(hash) => Ok(hash),
        Given::Password(password) => {
            let salt = entropy::random(source);
            blocking(move || bcrypt::hash_with_salt(password.expose().as_bytes(), COST, salt).map(|parts| parts.to_string())).await
        }
    }
}

/// Whether `password` is the one of `hash`; takes as long if there is no hash.
pub(super) async fn verify(password: String, hash: Option<String>) -> Result<bool, EngineError> {
    let password = Secret::new(password);
    blocking(move || {
        let is_known = hash.is_some();
        let hash = hash.unwrap_or_else(|| NOBODY.clone());
        let fits = password.expose().len() <= PASSWORD_BYTES_MAX;
        let shown = if fits { password.expose().as_bytes() } else { b"" };
        bcrypt::verify(shown, &hash).map(|is_right| is_right && is_known && fits)
    })
    .await
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, bcrypt::BcryptError> + Send + 'static) -> Result<T, EngineError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(EngineError::Internal(format!("bcrypt: {error}"))),
        Err(_) => Err(EngineError::Internal("the password thread ended".to_owned())),
    }
}
