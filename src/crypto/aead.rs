//! XChaCha20-Poly1305: authenticated encryption with random 24-byte nonces (draft-irtf-cfrg-xchacha).
//!
//! With 192-bit random nonces there is no counter to lose and no practical limit to messages under one key.

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};

use super::Entropy;
use crate::types::Secret;

/// Length of a key, in bytes.
pub const KEY_BYTES: usize = 32;
/// Length of a nonce, in bytes.
pub const NONCE_BYTES: usize = 24;
/// Length of an authentication tag, in bytes.
pub const TAG_BYTES: usize = 16;

/// The bytes were not made with this key and this context, or were changed since.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the value does not open with this key")]
pub struct Unopened;

/// A key that encrypts and decrypts.
#[derive(Clone)]
pub struct AeadKey {
    cipher: XChaCha20Poly1305,
}

impl std::fmt::Debug for AeadKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AeadKey(***)")
    }
}

impl AeadKey {
    /// Takes a key of [`KEY_BYTES`] bytes.
    ///
    /// # Errors
    /// If it has another length.
    pub fn new(key: &[u8]) -> Result<Self, Unopened> {
        Ok(Self { cipher: XChaCha20Poly1305::new_from_slice(key).map_err(|_| Unopened)? })
    }

    /// Appends `nonce ‖ ciphertext ‖ tag` to `out`. `context` is authenticated and must be given again to decrypt.
    pub fn encrypt_into(&self, entropy: &dyn Entropy, context: &[u8], plaintext: &[u8], out: &mut Vec<u8>) {
        let nonce: [u8; NONCE_BYTES] = super::entropy::random(entropy);
        #[cfg(feature = "chaos")]
        let nonce = if bug!(27) { counted_nonce(self) } else { nonce };
        let encrypted = self
            .cipher
            .encrypt(&XNonce::from(nonce), Payload { msg: plaintext, aad: context })
            .expect("a plaintext bounded by BATCH_BYTES_MAX is far below the cipher's limit of 256 GiB");
        out.reserve(NONCE_BYTES + encrypted.len());
        out.extend_from_slice(&nonce);
        out.extend_from_slice(&encrypted);
    }

    /// `nonce ‖ ciphertext ‖ tag`.
    pub fn encrypt(&self, entropy: &dyn Entropy, context: &[u8], plaintext: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        self.encrypt_into(entropy, context, plaintext, &mut out);
        out
    }

    /// Opens what [`Self::encrypt`] made under the same `context`.
    ///
    /// # Errors
    /// If key or context differ or the bytes were changed.
    pub fn decrypt(&self, context: &[u8], encrypted: &[u8]) -> Result<Secret<Vec<u8>>, Unopened> {
        let (nonce, rest) = encrypted.split_first_chunk::<NONCE_BYTES>().ok_or(Unopened)?;
        self.cipher.decrypt(&XNonce::from(*nonce), Payload { msg: rest, aad: context }).map(Secret::new).map_err(|_| Unopened)
    }
}

/// Planted bug 27: nonces from a counter in memory, which begins anew wherever the key is loaded: after a restart, a failover, a restore.
#[cfg(feature = "chaos")]
fn counted_nonce(key: &AeadKey) -> [u8; NONCE_BYTES] {
    let mut nonce = [0; NONCE_BYTES];
    nonce[..8].copy_from_slice(&crate::chaos::count(27, &format!("{key:p}")).to_be_bytes());
    nonce
}

#[cfg(test)]
mod tests {
    use super::super::entropy::SeededEntropy;
    use super::*;

    #[test]
    fn a_value_opens_only_with_its_key_and_context() {
        let entropy = SeededEntropy::new(1);
        let key = AeadKey::new(&[7; 32]).unwrap();
        let sealed = key.encrypt(&entropy, b"kv/a", b"hello");
        assert_eq!(key.decrypt(b"kv/a", &sealed).unwrap().expose(), b"hello");
        assert_eq!(key.decrypt(b"kv/b", &sealed).unwrap_err(), Unopened);
        assert_eq!(AeadKey::new(&[8; 32]).unwrap().decrypt(b"kv/a", &sealed).unwrap_err(), Unopened);
        for cut in 0..sealed.len() {
            assert_eq!(key.decrypt(b"kv/a", &sealed[..cut]).unwrap_err(), Unopened);
        }
        let mut changed = sealed;
        changed[30] ^= 1;
        assert_eq!(key.decrypt(b"kv/a", &changed).unwrap_err(), Unopened);
    }

    #[test]
    fn nonces_differ_wherever_a_key_is_loaded() {
        let keys = [(); 2].map(|()| AeadKey::new(&[7; 32]).unwrap());
        let nonces = keys.each_ref().map(|key| key.encrypt(&crate::crypto::entropy::OsEntropy, b"", b"x")[..NONCE_BYTES].to_vec());
        assert_ne!(nonces[0], nonces[1]);
    }

    #[test]
    fn the_published_vector_holds() {
        // draft-irtf-cfrg-xchacha-03, appendix A.3.1.
        let key: Vec<u8> = (0x80..=0x9f).collect();
        let mut encrypted: Vec<u8> = (0x40..=0x57).collect();
        encrypted.extend(hex::decode("bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb731c7f1b0b4aa6440bf3a82f4eda7e39ae64c6708c54c216cb96b72e1213b4522f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff921f9664c97637da9768812f615c68b13b52ec0875924c1c7987947deafd8780acf49").unwrap());
        let aad = hex::decode("50515253c0c1c2c3c4c5c6c7").unwrap();
        let opened = AeadKey::new(&key).unwrap().decrypt(&aad, &encrypted).unwrap();
        assert!(opened.expose().starts_with(b"Ladies and Gentlemen of the class of '99"));
    }
}
