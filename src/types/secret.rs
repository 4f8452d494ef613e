//! A value that is never printed and is zeroed when dropped.

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

/// Plaintext, a key or a token. `Debug` prints `Secret(***)`; there is no `Display` and no `Serialize`.
///
/// `zeroize` clears only what this value owns: what it was moved or copied from is the caller's to clear.
#[derive(Clone, Default)]
pub struct Secret<T: Zeroize>(Zeroizing<T>);

impl<T: Zeroize> Secret<T> {
    /// Takes ownership of a secret.
    pub fn new(value: T) -> Self {
        Self(Zeroizing::new(value))
    }
    /// The secret itself: keep the borrow short.
    pub fn expose(&self) -> &T {
        &self.0
    }
}

impl<T: Zeroize + AsRef<[u8]>> Secret<T> {
    /// Whether both hold the same bytes, in time that depends on the length alone.
    pub fn same_as(&self, other: &[u8]) -> bool {
        self.0.as_ref().ct_eq(other).into()
    }
}

impl<T: Zeroize> From<T> for Secret<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

impl<T: Zeroize> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}
