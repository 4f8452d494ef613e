//! Shamir's secret sharing over GF(256), in constant time (Shamir 1979; the field arithmetic is `vsss-rs`'s, without tables).
//!
//! A share is `y₁ … yₙ ‖ x`, as Vault lays it out. A secret split into one share is its own share.

use vsss_rs::Gf256;
use vsss_rs::elliptic_curve::rand_core::{CryptoRng, Error, RngCore};

use super::Entropy;
use crate::types::Secret;

/// Why shares were not made or not combined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShamirError {
    /// Not `1 ≤ threshold ≤ shares ≤ 255`, or a threshold of one for several shares.
    #[error("threshold and shares do not fit each other")]
    Parameters,
    /// Too few shares, of unequal length, or two with one x.
    #[error("the shares do not fit each other")]
    Shares,
}

struct Rng<'a>(&'a dyn Entropy);

impl RngCore for Rng<'_> {
    fn next_u32(&mut self) -> u32 {
        u32::from_be_bytes(super::entropy::random(self.0))
    }
    fn next_u64(&mut self) -> u64 {
        u64::from_be_bytes(super::entropy::random(self.0))
    }
    fn fill_bytes(&mut self, out: &mut [u8]) {
        self.0.fill(out);
    }
    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Error> {
        self.0.fill(out);
        Ok(())
    }
}

impl CryptoRng for Rng<'_> {}

/// Splits `secret` so that any `threshold` of `shares` shares give it back and fewer say nothing about it.
///
/// # Errors
/// [`ShamirError::Parameters`].
pub fn split(entropy: &dyn Entropy, secret: &[u8], shares: u8, threshold: u8) -> Result<Vec<Secret<Vec<u8>>>, ShamirError> {
    match (shares, threshold) {
        (1, 1) => return Ok(vec![Secret::new(secret.to_vec())]),
        (_, 0 | 1) | (0, _) => return Err(ShamirError::Parameters),
        _ if threshold > shares => return Err(ShamirError::Parameters),
        _ => {}
    }
    let split = Gf256::split_array(threshold.into(), shares.into(), secret, Rng(entropy)).map_err(|_| ShamirError::Parameters)?;
    Ok(split
        .into_iter()
        .map(|mut share| {
            share.rotate_left(1);
            Secret::new(share)
        })
        .collect())
}

/// Gives back what [`split`] split. Wrong shares give wrong bytes, not an error: whoever calls proves the result.
///
/// # Errors
/// [`ShamirError::Shares`].
pub fn combine(shares: &[Secret<Vec<u8>>]) -> Result<Secret<Vec<u8>>, ShamirError> {
    if let [only] = shares {
        return Ok(only.clone());
    }
    let mut turned: Vec<Vec<u8>> = Vec::with_capacity(shares.len());
    for share in shares {
        let mut share = share.expose().clone();
        if share.len() < 2 || share.last() == Some(&0) || turned.iter().any(|other| other.first() == share.last()) {
            return Err(ShamirError::Shares);
        }
        share.rotate_right(1);
        turned.push(share);
    }
    let combined = Gf256::combine_array(&turned).map(Secret::new).map_err(|_| ShamirError::Shares);
    turned.iter_mut().for_each(zeroize::Zeroize::zeroize);
    combined
}

#[cfg(test)]
mod tests {
    use super::super::entropy::SeededEntropy;
    use super::*;

    #[test]
    fn any_threshold_of_shares_gives_the_secret_back() {
        let entropy = SeededEntropy::new(3);
        let secret = [42; 32];
        let shares = split(&entropy, &secret, 5, 3).unwrap();
        assert!(shares.iter().all(|share| share.expose().len() == 33));
        for skip in 0..5 {
            let three: Vec<_> = (0..3).map(|n| shares[(skip + n) % 5].clone()).collect();
            assert_eq!(combine(&three).unwrap().expose(), &secret);
        }
        assert_ne!(combine(&shares[..2]).unwrap().expose(), &secret);
    }

    #[test]
    fn one_share_is_the_secret() {
        let shares = split(&SeededEntropy::new(3), &[1, 2, 3], 1, 1).unwrap();
        assert_eq!(combine(&shares).unwrap().expose(), &[1, 2, 3]);
    }

    #[test]
    fn shares_that_do_not_fit_are_refused() {
        let entropy = SeededEntropy::new(3);
        let shares = split(&entropy, &[42; 32], 3, 2).unwrap();
        assert_eq!(combine(&[shares[0].clone(), shares[0].clone()]).unwrap_err(), ShamirError::Shares);
        let mut zero = shares[1].expose().clone();
        *zero.last_mut().unwrap() = 0;
        assert_eq!(combine(&[shares[0].clone(), zero.into()]).unwrap_err(), ShamirError::Shares);
        assert_eq!(combine(&[shares[0].clone(), vec![1, 2].into()]).unwrap_err(), ShamirError::Shares);
        assert_eq!(combine(&[]).unwrap_err(), ShamirError::Shares);
        assert_eq!(split(&entropy, &[1], 3, 1).unwrap_err(), ShamirError::Parameters);
        assert_eq!(split(&entropy, &[1], 2, 3).unwrap_err(), ShamirError::Parameters);
    }
}
