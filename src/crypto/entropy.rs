//! Where randomness comes from: the operating system, or a seed in tests.

use std::sync::Mutex;

use crate::types::Secret;

/// A source of random bytes.
pub trait Entropy: Send + Sync + 'static {
    /// Fills `out` with unpredictable bytes.
    fn fill(&self, out: &mut [u8]);
}

/// The operating system's generator.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsEntropy;

impl Entropy for OsEntropy {
    fn fill(&self, out: &mut [u8]) {
        getrandom::fill(out).expect("the operating system's random generator works: nothing is safe without it");
    }
}

/// A deterministic stream of bytes (BLAKE3 in counter mode), for tests and simulation only.
#[derive(Debug)]
pub struct SeededEntropy(Mutex<blake3::OutputReader>);

impl SeededEntropy {
    /// The stream that belongs to `seed`.
    pub fn new(seed: u64) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&seed.to_be_bytes());
        Self(Mutex::new(hasher.finalize_xof()))
    }
}

impl Entropy for SeededEntropy {
    fn fill(&self, out: &mut [u8]) {
        self.0.lock().expect("no holder of this lock panics").fill(out);
    }
}

/// `N` random bytes, as a secret.
pub fn random_secret(entropy: &dyn Entropy, len: usize) -> Secret<Vec<u8>> {
    let mut bytes = vec![0; len];
    entropy.fill(&mut bytes);
    Secret::new(bytes)
}

/// `N` random bytes that need no protection: nonces, salts, ids.
pub fn random<const N: usize>(entropy: &dyn Entropy) -> [u8; N] {
    let mut bytes = [0; N];
    entropy.fill(&mut bytes);
    bytes
}

/// `len` random characters out of `[0-9A-Za-z]`, without bias: the form of tokens and one-time passwords.
pub fn random_base62(entropy: &dyn Entropy, len: usize) -> String {
    const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut text = String::with_capacity(len);
    let mut bytes = [0; 32];
    while text.len() < len {
        entropy.fill(&mut bytes);
        // 248 = 4 · 62: bytes above it would favour the first letters.
        text.extend(
            bytes.iter().filter(|byte| **byte < 248).map(|byte| char::from(LETTERS[usize::from(*byte) % 62])).take(len - text.len()),
        );
    }
    text
}

/// A random UUID (version 4, RFC 9562).
pub fn random_uuid(entropy: &dyn Entropy) -> String {
    uuid::Builder::from_random_bytes(random(entropy)).into_uuid().to_string()
}
