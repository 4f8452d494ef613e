//! New shares that count only once somebody has shown that they arrived: `require_verification` of a rekey.
//!
//! Until enough of the new shares are given back, nothing is written and the old ones go on unsealing; so an answer that gets lost on
//! its way, with the node or with the line, costs another try and not the store.
//! Not here: how the new shares come to be (`rekey`).

use std::sync::Arc;

use serde::Serialize;

use super::collector::{Collected, Collector};
use super::rekey::NewSeal;
use super::stored::UnsealKey;
use super::{Seal, SealError, ShareRequest};
use crate::crypto::entropy;

/// What clients are told that ask for, or begin anew, what was never begun.
const NOTHING_TO_SEE: &str = "no rekey configuration found";

/// What waits for its verification.
pub(super) struct Unverified {
    collector: Collector,
    seal: Arc<NewSeal>,
}

/// How far it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VerifyStatus {
    /// Names the verification.
    pub nonce: String,
    /// Always true.
    pub started: bool,
    /// The new threshold.
    pub t: u8,
    /// How many new shares there are.
    pub n: u8,
    /// How many of them were given back.
    pub progress: usize,
}

/// The answer to one share.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum VerifyAnswer {
    /// It takes more of them.
    More(VerifyStatus),
    /// The new shares are the seal's.
    Done {
        /// Names the verification.
        nonce: String,
        /// Always true.
        complete: bool,
    },
}

impl Unverified {
    pub(super) fn new(seal: NewSeal, nonce: String) -> Self {
        Self { collector: Collector::new(nonce), seal: Arc::new(seal) }
    }

    pub(super) fn nonce(&self) -> &str {
        self.collector.nonce()
    }

    fn status(&self) -> VerifyStatus {
        let config = self.seal.config;
        VerifyStatus {
            nonce: self.nonce().to_owned(),
            started: true,
            t: config.secret_threshold,
            n: config.secret_shares,
            progress: self.collector.progress(),
        }
    }
}

impl Seal {
    /// `GET sys/rekey/verify`.
    ///
    /// # Errors
    /// If there is nothing to verify, or this node is not the active one of a cluster that may be rekeyed.
    pub fn rekey_verify_status(&self) -> Result<VerifyStatus, SealError> {
        self.needs_rekeyable()?;
        self.unverified(NOTHING_TO_SEE, |waiting| Ok(waiting.status()))
    }

    /// `DELETE sys/rekey/verify`: begins the verification anew. The shares stay as they were given out.
    ///
    /// # Errors
    /// As [`Self::rekey_verify_status`].
    pub fn rekey_verify_restart(&self) -> Result<VerifyStatus, SealError> {
        self.needs_rekeyable()?;
        let nonce = entropy::random_uuid(self.ctx.entropy.as_ref());
        self.unverified(NOTHING_TO_SEE, |waiting| {
            waiting.collector = Collector::new(nonce);
            Ok(waiting.status())
        })
    }

    /// `POST sys/rekey/verify`: takes one new share, and puts them all in force with the last that it takes.
    ///
    /// # Errors
    /// If there is nothing to verify, the share is none, or the shares are not the new ones.
    pub async fn rekey_verify(&self, request: &ShareRequest) -> Result<VerifyAnswer, SealError> {
        let share = request.share()?;
        self.needs_rekeyable()?;
        let (collected, seal, nonce) = self.unverified("no rekey in progress", |waiting| {
            let nonce = waiting.nonce().to_owned();
            if request.nonce != nonce {
                return Err(SealError::Invalid(format!("incorrect nonce supplied; nonce for this verification is \"{nonce}\"")));
            }
            Ok((waiting.collector.add(share, waiting.seal.config.secret_threshold), waiting.seal.clone(), nonce))
        })?;
        let wrong = || SealError::invalid("rekey verification failed; incorrect key shares supplied");
        let combined = match collected {
            Collected::More => return self.rekey_verify_status().map(VerifyAnswer::More),
            Collected::Duplicate => return Err(SealError::invalid("given key has already been provided during this verification")),
            Collected::Unfit(_) => return Err(wrong()),
            Collected::Combined(combined) => combined,
        };
        let is_new = UnsealKey::new(combined).is_some_and(|shown| seal.fresh.is(&shown));
        if !is_new {
            return Err(wrong());
        }
        self.put_in_force(&seal).await?;
        Ok(VerifyAnswer::Done { nonce, complete: true })
    }

    fn unverified<T>(&self, none: &str, look: impl FnOnce(&mut Unverified) -> Result<T, SealError>) -> Result<T, SealError> {
        let mut progress = self.progress();
        let attempt = progress.rekey.as_mut().ok_or_else(|| SealError::invalid(none))?;
        look(attempt.unverified.as_mut().ok_or_else(|| SealError::invalid("no rekey verification in progress"))?)
    }
}
