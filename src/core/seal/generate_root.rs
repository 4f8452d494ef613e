//! A new root token for whoever knows enough shares: started, fed share by share, and given out XORed with a one-time password.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::super::{Keys, RootKey};
use super::collector::{Collected, Collector, base64_any};
use super::stored::UnsealKey;
use super::{Seal, SealError, ShareRequest};
use crate::crypto::entropy;
use crate::types::Secret;

/// Length of a root token and so of a one-time password: `hvs.` and 24 characters.
const OTP_LENGTH: usize = 28;

/// `POST sys/generate-root/attempt`.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub struct GenerateRootRequest {
    /// A one-time password; made here where it is not given.
    pub otp: String,
    /// Not supported.
    pub pgp_key: String,
}

impl fmt::Debug for GenerateRootRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GenerateRootRequest(***)")
    }
}

/// How far it is.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct GenerateRootStatus {
    /// Names the operation.
    pub nonce: String,
    /// Whether there is one.
    pub started: bool,
    /// How many shares were given.
    pub progress: usize,
    /// How many it takes.
    pub required: u8,
    /// Whether the token was made.
    pub complete: bool,
    /// Base64, without padding, of token XOR password.
    pub encoded_token: String,
    /// The same.
    pub encoded_root_token: String,
    /// Always empty.
    pub pgp_fingerprint: String,
    /// The password, only in the answer to the start, if it was made here.
    pub otp: String,
    /// How long a password must be.
    pub otp_length: usize,
}

impl fmt::Debug for GenerateRootStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GenerateRootStatus({} of {})", self.progress, self.required)
    }
}

/// An operation under way.
pub(super) struct Attempt {
    collector: Collector,
    otp: Secret<String>,
}

impl Seal {
    /// `GET sys/generate-root/attempt`.
    ///
    /// # Errors
    /// Unless this node is active.
    pub fn generate_root_status(&self) -> Result<GenerateRootStatus, SealError> {
        self.needs_active()?;
        let required = self.seal_config()?.map_or(0, |config| config.secret_threshold);
        let progress = self.progress();
        let collector = progress.generate_root.as_ref().map(|attempt| &attempt.collector);
        Ok(GenerateRootStatus {
            nonce: collector.map_or_else(String::new, |collector| collector.nonce().to_owned()),
            started: collector.is_some(),
            progress: collector.map_or(0, Collector::progress),
            required,
            complete: false,
            encoded_token: String::new(),
            encoded_root_token: String::new(),
            pgp_fingerprint: String::new(),
            otp: String::new(),
            otp_length: OTP_LENGTH,
        })
    }

    /// `POST sys/generate-root/attempt`.
    ///
    /// # Errors
    /// If one is under way, or the password does not fit.
    pub fn generate_root_start(&self, request: &GenerateRootRequest) -> Result<GenerateRootStatus, SealError> {
        self.needs_active()?;
        if !request.pgp_key.is_empty() {
            return Err(SealError::invalid("pgp_key is not supported by this server"));
        }
        if !request.otp.is_empty() && request.otp.len() != OTP_LENGTH {
            return Err(SealError::invalid("OTP string is wrong length"));
        }
        let source = self.ctx.entropy.as_ref();
        let is_ours = request.otp.is_empty();
        let otp = if is_ours { entropy::random_base62(source, OTP_LENGTH) } else { request.otp.clone() };
        {
            let mut progress = self.progress();
            if progress.generate_root.is_some() {
                return Err(SealError::invalid("root generation already in progress"));
            }
            let collector = Collector::new(entropy::random_uuid(source));
            progress.generate_root = Some(Attempt { collector, otp: Secret::new(otp.clone()) });
        }
        tracing::warn!("the generation of a root token was started");
        let status = self.generate_root_status()?;
        Ok(GenerateRootStatus { otp: if is_ours { otp } else { String::new() }, ..status })
    }

    /// `DELETE sys/generate-root/attempt`.
    ///
    /// # Errors
    /// Unless this node is active.
    pub fn generate_root_cancel(&self) -> Result<(), SealError> {
        self.needs_active()?;
        self.progress().generate_root = None;
        Ok(())
    }

    /// `POST sys/generate-root/update`: takes one share, and makes the token with the last.
    ///
    /// # Errors
    /// If nothing is under way, the share is none, or the shares are wrong.
    pub async fn generate_root_update(&self, request: &ShareRequest) -> Result<GenerateRootStatus, SealError> {
        let share = request.share()?;
        let held = self.needs_active()?;
        let threshold = self.seal_config()?.map_or(u8::MAX, |config| config.secret_threshold);
        let (collected, otp) = {
            let mut progress = self.progress();
            let attempt = progress.generate_root.as_mut().ok_or_else(|| SealError::invalid("no root generation in progress"))?;
            let nonce = attempt.collector.nonce();
            if request.nonce != nonce {
                let text = format!("incorrect nonce supplied; nonce for this root generation operation is \"{nonce}\"");
                return Err(SealError::Invalid(text));
            }
            (attempt.collector.add(share, threshold), attempt.otp.clone())
        };
        match collected {
            Collected::More => self.generate_root_status(),
            Collected::Duplicate => Err(SealError::invalid("given key has already been provided during this generation operation")),
            Collected::Unfit(error) => Err(SealError::Invalid(format!("root generation aborted: failed to compute combined key: {error}"))),
            Collected::Combined(combined) => {
                let verified = self.verify_shares(combined, &held);
                if !bug!(102) {
                    verified
                        .map_err(|error| SealError::Invalid(format!("root generation aborted: root key verification failed: {error}")))?;
                }
                let started = self.generate_root_status()?;
                let token = self.ctx.write(|txn| self.first_rows.root_token(txn, self.ctx.now(), None)).await?;
                let encoded = encode_token(&token, &otp).ok_or_else(|| SealError::failed("token and password differ in length"))?;
                if !bug!(101) {
                    self.progress().generate_root = None;
                }
                tracing::warn!("a root token was generated");
                Ok(GenerateRootStatus {
                    complete: true,
                    progress: usize::from(threshold),
                    encoded_root_token: encoded.clone(),
                    encoded_token: encoded,
                    ..started
                })
            }
        }
    }

    /// Whether what shares combined to opens the root key that this node holds.
    pub(super) fn verify_shares(&self, combined: Secret<Vec<u8>>, held: &Arc<Keys>) -> Result<UnsealKey, SealError> {
        let wrong = || SealError::invalid("the shares are not those of this seal");
        let unseal_key = UnsealKey::new(combined).ok_or_else(wrong)?;
        let opened: RootKey = self.open_root_key(&unseal_key)?.ok_or_else(wrong)?;
        if held.root.secret.same_as(opened.secret.expose()) { Ok(unseal_key) } else { Err(wrong()) }
    }
}

fn xor(left: &[u8], right: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    (left.len() == right.len()).then(|| Zeroizing::new(left.iter().zip(right).map(|(l, r)| l ^ r).collect()))
}

fn encode_token(token: &Secret<String>, otp: &Secret<String>) -> Option<String> {
    xor(token.expose().as_bytes(), otp.expose().as_bytes()).map(|bytes| STANDARD_NO_PAD.encode(&*bytes))
}

/// `sys/decode-token`: the token in `encoded`.
///
/// # Errors
/// With a text for the client.
pub fn decode_token(encoded: &str, otp: &str) -> Result<Secret<String>, String> {
    if encoded.is_empty() || otp.is_empty() {
        return Err("provided 'encoded_token' or 'otp' is empty".to_owned());
    }
    let bytes = base64_any(encoded).ok_or("error decoding base64'd root token")?;
    let token = xor(&bytes, otp.as_bytes()).ok_or("encoded token and OTP differ in length")?;
    String::from_utf8(token.to_vec()).map(Secret::new).map_err(|_| "the OTP is not that of this token".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_encoded_and_decoded_with_its_password() {
        let token = Secret::new("hvs.0123456789abcdefghijklmn".to_owned());
        let otp = Secret::new("A1b2C3d4E5f6G7h8I9j0K1l2M3n4".to_owned());
        let encoded = encode_token(&token, &otp).unwrap();
        assert_eq!(decode_token(&encoded, otp.expose()).unwrap().expose(), token.expose());
        assert!(decode_token(&encoded, "short").is_err());
        assert!(decode_token("", "x").is_err());
        assert!(decode_token("***", "x").is_err());
    }
}
