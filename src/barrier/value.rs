//! The envelope of a stored value: `version ‖ key term ‖ nonce ‖ ciphertext ‖ tag`.
//!
//! Associated data is `version ‖ key term ‖ scope ‖ path`, so that a value moved to another path, or between scopes, does not open.
//! The key term is in the clear, so no key is ever tried that was not named. A name may stand for several keys, if this cluster has
//! changed primaries: one that does not fit opens nothing.

use super::{BarrierError, Keyring};
use crate::crypto::Entropy;
use crate::machine::{Ciphertext, KeyTerm};
use crate::types::{Key, Secret};

const VERSION: u8 = 1;
const HEADER_BYTES: usize = 5;

/// Contexts up to this long are made on the stack: all but those of very long paths.
const SHORT_BYTES: usize = 256;

/// Calls `then` with the associated data of `key`.
fn with_context<T>(term: KeyTerm, key: &Key, then: impl FnOnce(&[u8]) -> T) -> T {
    let len = HEADER_BYTES + 1 + key.path.len();
    let (mut short, mut long) = ([0; SHORT_BYTES], Vec::new());
    let context = match short.get_mut(..len) {
        Some(short) => short,
        None => {
            long.resize(len, 0);
            long.as_mut_slice()
        }
    };
    context[0] = VERSION;
    context[1..HEADER_BYTES].copy_from_slice(&term.0.to_be_bytes());
    context[HEADER_BYTES] = key.scope as u8;
    if !bug!(28) {
        context[HEADER_BYTES + 1..].copy_from_slice(key.path.as_bytes());
    }
    then(context)
}

/// Encrypts `plaintext` for `key` under the keyring's newest term.
pub fn encrypt_value(keyring: &Keyring, entropy: &dyn Entropy, key: &Key, plaintext: &[u8]) -> Ciphertext {
    let (term, cipher) = keyring.newest();
    let mut out = Vec::with_capacity(HEADER_BYTES + 40 + plaintext.len());
    out.push(VERSION);
    out.extend_from_slice(&term.0.to_be_bytes());
    with_context(term, key, |context| cipher.encrypt_into(entropy, context, plaintext, &mut out));
    out.into()
}

/// Opens what [`encrypt_value`] made for the same `key`.
///
/// # Errors
/// If the term is unknown here, or the value was changed or moved.
pub fn decrypt_value(keyring: &Keyring, key: &Key, envelope: &[u8]) -> Result<Secret<Vec<u8>>, BarrierError> {
    let damaged = || BarrierError::Damaged(key.clone());
    let (version, rest) = envelope.split_first().ok_or_else(damaged)?;
    let (term, sealed) = rest.split_first_chunk::<4>().ok_or_else(damaged)?;
    if *version != VERSION {
        return Err(damaged());
    }
    let term = KeyTerm(u32::from_be_bytes(*term));
    with_context(term, key, |context| {
        let mut error = BarrierError::UnknownTerm(term);
        for cipher in keyring.ciphers(term) {
            match cipher.decrypt(context, sealed) {
                Ok(plain) => return Ok(plain),
                Err(_) => error = damaged(),
            }
        }
        Err(error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::aead::AeadKey;
    use crate::crypto::entropy::SeededEntropy;
    use crate::types::Timestamp;

    #[test]
    fn a_value_opens_with_a_former_key_of_the_same_term() {
        let (entropy, root) = (SeededEntropy::new(8), AeadKey::new(&[1; 32]).unwrap());
        let shared = Keyring::first(&entropy, Timestamp(0));
        let (ours, theirs) = (shared.rotated(&entropy, Timestamp(1)), shared.rotated(&entropy, Timestamp(1)));
        let key = Key::local("mount/a");
        let value = encrypt_value(&ours, &entropy, &key, b"v");
        assert!(decrypt_value(&theirs, &key, &value).is_err());
        let both = theirs.with_former(&root, &ours.encrypt_all(&root, &entropy)).unwrap();
        assert_eq!(decrypt_value(&both, &key, &value).unwrap().expose(), b"v");
        let new = encrypt_value(&both, &entropy, &key, b"w");
        assert!(decrypt_value(&ours, &key, &new).is_err(), "a former key encrypts nothing");
        assert!(decrypt_value(&both, &Key::local("mount/b"), &value).is_err());
    }

    #[test]
    fn a_value_opens_only_where_it_was_put() {
        let entropy = SeededEntropy::new(9);
        let mut keyring = Keyring::first(&entropy, Timestamp(0));
        let key = Key::shared("mount/a");
        let old = encrypt_value(&keyring, &entropy, &key, b"v");
        keyring = keyring.rotated(&entropy, Timestamp(1)).rotated(&entropy, Timestamp(2));
        let new = encrypt_value(&keyring, &entropy, &key, b"v");
        assert_eq!(decrypt_value(&keyring, &key, &old).unwrap().expose(), b"v");
        assert_eq!(decrypt_value(&keyring, &key, &new).unwrap().expose(), b"v");
        assert!(decrypt_value(&keyring, &Key::shared("mount/b"), &new).is_err());
        assert!(decrypt_value(&keyring, &Key::local("mount/a"), &new).is_err());
        let mut other_term = new.to_vec();
        other_term[4] = 1;
        assert!(decrypt_value(&keyring, &key, &other_term).is_err());
        // Long paths take another way to the same: their first 256 bytes are not enough.
        let long = |end: &str| Key::shared(format!("{}{end}", "m".repeat(SHORT_BYTES)));
        let value = encrypt_value(&keyring, &entropy, &long("a"), b"v");
        assert_eq!(decrypt_value(&keyring, &long("a"), &value).unwrap().expose(), b"v");
        assert!(decrypt_value(&keyring, &long("b"), &value).is_err());
        for cut in 0..new.len() {
            assert!(decrypt_value(&keyring, &key, &new[..cut]).is_err());
        }
    }
}
