//! What encryption costs: 256 bytes, as Coffer encrypts values.

use coffer::crypto::OsEntropy;
use coffer::crypto::aead::AeadKey;

use super::thread_cpu_us;

/// Processor time of one encryption and of one decryption, in microseconds.
pub fn probe(count: u32) -> anyhow::Result<(f64, f64)> {
    let key = AeadKey::new(&[7; 32])?;
    let plaintext = [b'x'; 256];
    let mut out = Vec::with_capacity(512);
    let before = thread_cpu_us();
    for _ in 0..count {
        out.clear();
        key.encrypt_into(&OsEntropy, b"a key's path", &plaintext, &mut out);
    }
    let sealed = thread_cpu_us();
    for _ in 0..count {
        let opened = key.decrypt(b"a key's path", &out)?;
        anyhow::ensure!(opened.expose().len() == plaintext.len(), "it did not open");
    }
    Ok(((sealed - before) / f64::from(count), (thread_cpu_us() - sealed) / f64::from(count)))
}

/// Processor time of checking a password, in microseconds: the least of `count`.
pub fn password(count: u32) -> anyhow::Result<f64> {
    let mut least = f64::INFINITY;
    for _ in 0..count {
        let before = thread_cpu_us();
        bcrypt::hash("a password", 10)?;
        least = least.min(thread_cpu_us() - before);
    }
    Ok(least)
}
