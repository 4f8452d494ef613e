//! New unseal shares for the same root key, for whoever knows enough of the old ones.
//!
//! Not here: their verification (`rekey_verify`); backups, which are refused.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::super::keys;
use super::collector::{Collected, Collector};
use super::init::shown;
use super::rekey_verify::Unverified;
use super::stored::{SealConfig, UnsealKey, internal};
use super::{Seal, SealError, ShareRequest};
use crate::crypto::{entropy, shamir};

/// `POST sys/rekey/init`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct RekeyRequest {
    /// How many shares to make.
    pub secret_shares: i64,
    /// How many of them unseal.
    pub secret_threshold: i64,
    /// Not supported.
    pub pgp_keys: Option<Vec<String>>,
    /// Not supported.
    pub backup: bool,
    /// The new shares count only once enough of them were given back.
    pub require_verification: bool,
}

/// How far it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RekeyStatus {
    /// Names the operation.
    pub nonce: String,
    /// Whether there is one.
    pub started: bool,
    /// The new threshold.
    pub t: u8,
    /// How many new shares there will be.
    pub n: u8,
    /// How many old shares were given.
    pub progress: usize,
    /// How many it takes.
    pub required: u8,
    /// Always none.
    pub pgp_fingerprints: Option<Vec<String>>,
    /// Never.
    pub backup: bool,
    /// Whether the new shares must be given back before they count.
    pub verification_required: bool,
    /// Names the verification, once there are new shares to verify.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verification_nonce: Option<String>,
}

/// The answer to one share.
#[derive(Clone, Serialize)]
#[serde(untagged)]
pub enum RekeyAnswer {
    /// It takes more of them.
    More(RekeyStatus),
    /// The new shares, shown once and kept nowhere.
    Done {
        /// Names the operation.
        nonce: String,
        /// Always true.
        complete: bool,
        /// In hexadecimal.
        keys: Vec<String>,
        /// In base64.
        keys_base64: Vec<String>,
        /// Always none.
        pgp_fingerprints: Option<Vec<String>>,
        /// Never.
        backup: bool,
        /// Whether the new shares must be given back before they count.
        verification_required: bool,
        /// Names the verification, if there must be one.
        #[serde(skip_serializing_if = "Option::is_none")]
        verification_nonce: Option<String>,
    },
}

impl fmt::Debug for RekeyAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RekeyAnswer(***)")
    }
}

/// An operation under way.
pub(super) struct Attempt {
    collector: Collector,
    config: SealConfig,
    must_verify: bool,
    pub(super) unverified: Option<Unverified>,
}

/// A seal that is to replace another.
pub(super) struct NewSeal {
    old: UnsealKey,
    pub(super) fresh: UnsealKey,
    pub(super) config: SealConfig,
}

impl Seal {
    pub(super) fn needs_rekeyable(&self) -> Result<std::sync::Arc<super::super::Keys>, SealError> {
        let held = self.needs_active()?;
        if self.ctx.store.role().is_secondary() {
            return Err(SealError::invalid("rekeying can only be performed on the primary cluster when replication is activated"));
        }
        Ok(held)
    }

    /// `GET sys/rekey/init`.
    ///
    /// # Errors
    /// Unless this node is active, in a cluster that is no secondary.
    pub fn rekey_status(&self) -> Result<RekeyStatus, SealError> {
        self.needs_rekeyable()?;
        let required = self.seal_config()?.map_or(0, |config| config.secret_threshold);
        let progress = self.progress();
        let attempt = progress.rekey.as_ref();
        Ok(RekeyStatus {
            nonce: attempt.map_or_else(String::new, |attempt| attempt.collector.nonce().to_owned()),
            started: attempt.is_some(),
            t: attempt.map_or(0, |attempt| attempt.config.secret_threshold),
            n: attempt.map_or(0, |attempt| attempt.config.secret_shares),
            progress: attempt.map_or(0, |attempt| attempt.collector.progress()),
            required,
            pgp_fingerprints: None,
            backup: false,
            verification_required: attempt.is_some_and(|attempt| attempt.must_verify),
            verification_nonce: attempt.and_then(|attempt| attempt.unverified.as_ref()).map(|waiting| waiting.nonce().to_owned()),
        })
    }

    /// `POST sys/rekey/init`.
    ///
    /// # Errors
    /// If one is under way, or the request does not fit.
    pub fn rekey_start(&self, request: &RekeyRequest) -> Result<RekeyStatus, SealError> {
        self.needs_rekeyable()?;
        let has_pgp = request.pgp_keys.as_ref().is_some_and(|keys| !keys.is_empty());
        if request.backup && !has_pgp {
            return Err(SealError::invalid("cannot request a backup of the new keys without providing PGP keys for encryption"));
        }
        if has_pgp {
            return Err(SealError::invalid("pgp_keys are not supported by this server"));
        }
        let config = SealConfig::checked(request.secret_shares, request.secret_threshold)
            .map_err(|text| SealError::Invalid(format!("invalid rekey seal configuration: {text}")))?;
        {
            let mut progress = self.progress();
            if progress.rekey.is_some() {
                return Err(SealError::invalid("rekey already in progress"));
            }
            let collector = Collector::new(entropy::random_uuid(self.ctx.entropy.as_ref()));
            progress.rekey = Some(Attempt { collector, config, must_verify: request.require_verification, unverified: None });
        }
        tracing::warn!(shares = config.secret_shares, threshold = config.secret_threshold, "a rekey was started");
        self.rekey_status()
    }

    /// `DELETE sys/rekey/init`.
    ///
    /// # Errors
    /// Unless this node is active, in a cluster that is no secondary.
    pub fn rekey_cancel(&self) -> Result<(), SealError> {
        self.needs_rekeyable()?;
        self.progress().rekey = None;
        Ok(())
    }

    /// `POST sys/rekey/update`: takes one old share, and makes the new ones with the last.
    ///
    /// # Errors
    /// If nothing is under way, the share is none, or the shares are wrong.
    pub async fn rekey_update(&self, request: &ShareRequest) -> Result<RekeyAnswer, SealError> {
        let share = request.share()?;
        let held = self.needs_rekeyable()?;
        let threshold = self.seal_config()?.map_or(u8::MAX, |config| config.secret_threshold);
        let (collected, config, nonce) = {
            let mut progress = self.progress();
            let attempt = progress.rekey.as_mut().ok_or_else(|| SealError::invalid("no barrier rekey in progress"))?;
            let nonce = attempt.collector.nonce().to_owned();
            if request.nonce != nonce {
                return Err(SealError::Invalid(format!("incorrect nonce supplied; nonce for this rekey operation is \"{nonce}\"")));
            }
            if let Some(waiting) = &attempt.unverified {
                let text = format!("there are new shares already, which must be verified; nonce for that is \"{}\"", waiting.nonce());
                return Err(SealError::Invalid(text));
            }
            (attempt.collector.add(share, threshold), attempt.config, nonce)
        };
        let combined = match collected {
            Collected::More => return self.rekey_status().map(RekeyAnswer::More),
            Collected::Duplicate => return Err(SealError::invalid("given key has already been provided during this generation operation")),
            Collected::Unfit(error) => return Err(SealError::Invalid(format!("failed to compute combined key: {error}"))),
            Collected::Combined(combined) => combined,
        };
        let old =
            self.verify_shares(combined, &held).map_err(|error| SealError::Invalid(format!("root key verification failed: {error}")))?;
        let source = self.ctx.entropy.as_ref();
        let fresh = UnsealKey::fresh(source);
        let shares = shamir::split(source, fresh.expose(), config.secret_shares, config.secret_threshold)
            .map_err(|error| SealError::Failed(error.to_string()))?;
        let seal = NewSeal { old, fresh, config };
        let verification_nonce = self.await_verification(seal).await?;
        let (hex, base64) = shown(&shares);
        Ok(RekeyAnswer::Done {
            nonce,
            complete: true,
            keys: hex,
            keys_base64: base64,
            pgp_fingerprints: None,
            backup: false,
            verification_required: verification_nonce.is_some(),
            verification_nonce,
        })
    }

    /// Lets a new seal wait until it is verified, and says by which nonce; without that, puts it in force at once.
    async fn await_verification(&self, seal: NewSeal) -> Result<Option<String>, SealError> {
        let waiting = {
            let mut progress = self.progress();
            let attempt = progress.rekey.as_mut().ok_or_else(|| SealError::invalid("the rekey was cancelled"))?;
            if attempt.must_verify && !bug!(103) {
                let nonce = entropy::random_uuid(self.ctx.entropy.as_ref());
                attempt.unverified = Some(Unverified::new(seal, nonce.clone()));
                return Ok(Some(nonce));
            }
            seal
        };
        self.put_in_force(&waiting).await?;
        Ok(None)
    }

    /// Writes a new seal in the place of the old one.
    pub(super) async fn put_in_force(&self, seal: &NewSeal) -> Result<(), SealError> {
        let NewSeal { old, fresh, config } = seal;
        let source = self.ctx.entropy.as_ref();
        failpoint!("seal-config-write.before", SealError::failed("told to fail"));
        if bug!(25) {
            let config_first = self.ctx.write(|txn| {
                txn.put_raw(keys::seal_config(), config.row());
                Ok(())
            });
            config_first.await?;
            failpoint!("seal-config-write.between", SealError::failed("told to fail"));
        }
        self.ctx
            .write(|txn| {
                // Guards against another rekey meanwhile: the row read here must still open with the old shares.
                let row = txn.get_raw(&keys::root_key())?.ok_or_else(|| internal("there is no stored root key"))?;
                let root = old.open_root_key(&row).ok_or_else(|| internal("the seal was changed meanwhile"))?;
                txn.put_raw(keys::root_key(), fresh.root_key_row(source, &root));
                txn.put_raw(keys::seal_config(), config.row());
                if !bug!(131) {
                    txn.put(keys::join_key(), fresh.join_key());
                }
                Ok(())
            })
            .await?;
        failpoint!("seal-config-write.after", SealError::failed("told to fail"));
        self.progress().rekey = None;
        tracing::warn!(shares = config.secret_shares, threshold = config.secret_threshold, "the seal has new shares");
        Ok(())
    }
}
