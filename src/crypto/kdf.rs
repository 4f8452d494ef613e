//! Keys out of keys: HKDF-SHA-256 (RFC 5869).

use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};

use crate::types::Secret;

struct Len(usize);

impl KeyType for Len {
    fn len(&self) -> usize {
        self.0
    }
}

/// A key of 32 bytes for `purpose`, from `secret`. Different purposes give unrelated keys.
pub fn derive(secret: &[u8], purpose: &str) -> Secret<Vec<u8>> {
    let info = [purpose.as_bytes()];
    let mut out = vec![0; 32];
    Salt::new(HKDF_SHA256, b"coffer")
        .extract(secret)
        .expand(&info, Len(32))
        .and_then(|okm| okm.fill(&mut out))
        .expect("32 bytes are within the 8160 that HKDF-SHA-256 can give");
    Secret::new(out)
}
