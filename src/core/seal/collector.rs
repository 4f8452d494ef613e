//! Shares on their way to a threshold. Pure.

use crate::crypto::shamir;
use crate::types::Secret;

/// Shortest share, in bytes.
const SHARE_BYTES_MIN: usize = 16;
/// Longest share, in bytes: a key of 32 and its x.
const SHARE_BYTES_MAX: usize = 33;

/// What one more share led to.
#[derive(Debug)]
pub(super) enum Collected {
    /// It takes more of them.
    More,
    /// This share was given before.
    Duplicate,
    /// The shares combine to this, right or wrong. They are forgotten.
    Combined(Secret<Vec<u8>>),
    /// The shares do not fit each other. They are forgotten.
    Unfit(shamir::ShamirError),
}

/// The shares given so far in one operation.
#[derive(Default)]
pub(super) struct Collector {
    nonce: String,
    shares: Vec<Secret<Vec<u8>>>,
}

impl Collector {
    /// Collects for the operation called `nonce`.
    pub(super) fn new(nonce: String) -> Self {
        Self { nonce, shares: Vec::new() }
    }

    /// Names the operation; empty while nothing was given.
    pub(super) fn nonce(&self) -> &str {
        &self.nonce
    }

    /// How many shares were given.
    pub(super) fn progress(&self) -> usize {
        self.shares.len()
    }

    /// Takes one more share; it takes `threshold` of them.
    pub(super) fn add(&mut self, share: Secret<Vec<u8>>, threshold: u8) -> Collected {
        if self.shares.iter().any(|known| known.same_as(share.expose())) {
            return Collected::Duplicate;
        }
        self.shares.push(share);
        if self.shares.len() < usize::from(threshold) {
            return Collected::More;
        }
        let shares = std::mem::take(&mut self.shares);
        match shamir::combine(&shares) {
            Ok(combined) => Collected::Combined(combined),
            Err(error) => Collected::Unfit(error),
        }
    }
}

/// Reads a share as operators give it: hexadecimal or base64. Texts are Vault's.
///
/// # Errors
/// If it is neither, or has a length that no share has.
pub(super) fn parse_share(text: &str) -> Result<Secret<Vec<u8>>, String> {
    let text = text.trim();
    let fits = |bytes: &Vec<u8>| (SHARE_BYTES_MIN..=SHARE_BYTES_MAX).contains(&bytes.len());
    if let Some(share) = hex::decode(text).ok().filter(fits) {
        return Ok(Secret::new(share));
    }
    let share = base64_any(text).ok_or("'key' must be a valid hex or base64 string")?;
    if share.len() < SHARE_BYTES_MIN {
        return Err(format!("invalid key: key is shorter than minimum {SHARE_BYTES_MIN} bytes"));
    }
    if share.len() > SHARE_BYTES_MAX {
        return Err(format!("invalid key: key is longer than maximum {SHARE_BYTES_MAX} bytes"));
    }
    Ok(Secret::new(share))
}

/// Base64 with or without padding.
pub(super) fn base64_any(text: &str) -> Option<Vec<u8>> {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD_NO_PAD;
    STANDARD_NO_PAD.decode(text.trim_end_matches('=')).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::entropy::SeededEntropy;

    #[test]
    fn shares_are_collected_once_each_and_forgotten_after_use() {
        let shares = shamir::split(&SeededEntropy::new(1), &[9; 32], 5, 3).unwrap();
        let mut collector = Collector::new("n".into());
        assert!(matches!(collector.add(shares[0].clone(), 3), Collected::More));
        assert!(matches!(collector.add(shares[0].clone(), 3), Collected::Duplicate));
        assert_eq!(collector.progress(), 1);
        assert!(matches!(collector.add(shares[4].clone(), 3), Collected::More));
        let Collected::Combined(combined) = collector.add(shares[2].clone(), 3) else { panic!("three are enough") };
        assert!(combined.same_as(&[9; 32]));
        assert_eq!(collector.progress(), 0);
    }

    #[test]
    fn shares_that_do_not_fit_are_forgotten() {
        let mut collector = Collector::new("n".into());
        let with_zero_x = Secret::new(vec![0; 33]);
        assert!(matches!(collector.add(Secret::new(vec![1; 33]), 2), Collected::More));
        assert!(matches!(collector.add(with_zero_x, 2), Collected::Unfit(_)));
        assert_eq!(collector.progress(), 0);
    }

    #[track_caller]
    fn check(text: &str, expected: Result<usize, &str>) {
        assert_eq!(parse_share(text).map(|share| share.expose().len()).as_ref().map_err(String::as_str), expected.as_ref().map_err(|e| *e));
    }

    #[test]
    fn shares_are_read_as_hexadecimal_or_base64() {
        check(&"ab".repeat(33), Ok(33));
        check(&"ab".repeat(16), Ok(16));
        check("q6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s=", Ok(32));
        check("cGFzcw==", Err("invalid key: key is shorter than minimum 16 bytes"));
        check(&"ab".repeat(34), Err("invalid key: key is longer than maximum 33 bytes"));
        check("***", Err("'key' must be a valid hex or base64 string"));
    }
}
