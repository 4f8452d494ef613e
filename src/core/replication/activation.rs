//! Asking again for what an activation token stands for, without the token being good for anyone else.
//!
//! A secondary that unwraps its token says a claim along with it, which only that cluster can make: a keyed hash of the token. If
//! the answer is lost (the primary's active node ends in that moment), the same cluster asks with the same claim, and is given the
//! same answer until the token would have expired. The token itself is gone with the first answer, so it opens nothing else, and
//! whoever found it comes too late.

use serde::{Deserialize, Serialize};

use super::Replication;
use super::bundle::Bundle;
use super::record::SecondaryRecord;
use crate::barrier::{BarrierError, Txn};
use crate::core::token::entry::{read_json, write_json};
use crate::core::{Sealed, WriteError, keys};
use crate::crypto::kdf;
use crate::crypto::mac::MacKey;
use crate::engine::EngineError;
use crate::types::{Key, Secret, Timestamp};

/// The field of `sys/wrapping/unwrap` that the claim is sent in.
pub const CLAIM: &str = "activation_claim";

/// Length of a claim: 32 bytes in hexadecimal.
const CLAIM_LEN: usize = 64;

/// An answer that was given to whoever made the claim. Found by the token it was wrapped in.
#[derive(Serialize, Deserialize)]
struct Claimed {
    claim: String,
    payload: String,
    expires_ms: u64,
}

/// The claim that `data` makes, if it is one.
///
/// # Errors
/// If it is no text.
pub fn claim_in(data: &crate::engine::Data) -> Result<Option<Secret<String>>, EngineError> {
    let claim = data.text(CLAIM)?.filter(|text| text.len() == CLAIM_LEN && text.bytes().all(|byte| byte.is_ascii_hexdigit()));
    Ok(claim.map(Secret::new))
}

/// A wrapped answer is given out: if it was an activation, its secondary is marked, and whoever made `claim` may ask again.
/// `token` is the stored form of the token; it would have expired at `expires_ms`.
///
/// # Errors
/// If storage cannot be read.
pub fn given_out(
    txn: &mut Txn,
    creation_path: &str,
    payload: &Secret<String>,
    claim: Option<&Secret<String>>,
    (token, expires_ms): (&str, u64),
) -> Result<(), BarrierError> {
    let Some(bundle) = bundle_of(creation_path, payload) else { return Ok(()) };
    if let Some(record) = SecondaryRecord::read(txn, &bundle.secondary_id)? {
        txn.put(keys::secondary(&bundle.secondary_id), SecondaryRecord { is_used: true, ..record }.row());
    }
    if let Some(claim) = claim {
        write_json(txn, keys::due(expires_ms, &format!("activation/{token}")), &true);
        let claimed = Claimed { claim: claim.expose().clone(), payload: payload.expose().clone(), expires_ms };
        write_json(txn, keys::activation(token), &claimed);
    }
    Ok(())
}

/// An activation is wrapped anew: it is good until then.
///
/// # Errors
/// If storage cannot be read.
pub fn rewrapped(txn: &mut Txn, creation_path: &str, payload: &Secret<String>, expires_ms: u64) -> Result<(), BarrierError> {
    let Some(bundle) = bundle_of(creation_path, payload) else { return Ok(()) };
    if let Some(record) = SecondaryRecord::read(txn, &bundle.secondary_id)? {
        txn.put(keys::secondary(&bundle.secondary_id), SecondaryRecord { expires_ms, ..record }.row());
    }
    Ok(())
}

fn bundle_of(creation_path: &str, payload: &Secret<String>) -> Option<Bundle> {
    let is_activation = creation_path.starts_with("sys/replication/") && creation_path.ends_with("/secondary-token");
    is_activation.then(|| serde_json::from_str(payload.expose()).ok().and_then(|envelope| Bundle::of_envelope(&envelope)))?
}

/// The answer that `token` was exchanged for before, if `claim` is the one that was made then.
///
/// # Errors
/// If storage cannot be read.
pub fn asked_again(txn: &mut Txn, token: &str, claim: &Secret<String>, now: Timestamp) -> Result<Option<Secret<String>>, BarrierError> {
    let claimed: Option<Claimed> = read_json(txn, &keys::activation(token))?;
    let again = claimed.filter(|claimed| now.0 < claimed.expires_ms && (claim.same_as(claimed.claim.as_bytes()) || bug!(147)));
    Ok(again.map(|claimed| {
        tracing::info!("an activation token's answer is given again to the cluster that claimed it");
        Secret::new(claimed.payload)
    }))
}

/// The time of a claimed answer is over. `token` is what its due row says.
///
/// # Errors
/// Never.
pub fn sweep(txn: &mut Txn, token: &str, due: &Key) -> Result<(), BarrierError> {
    txn.delete(keys::activation(token));
    txn.delete(due.clone());
    Ok(())
}

impl Replication {
    /// What this cluster claims `token` with: the same on each of its nodes, and nobody else's.
    pub(super) fn claim(&self, token: &Secret<String>) -> Result<Secret<String>, Sealed> {
        let held = self.ctx.keys()?;
        let key = kdf::derive(held.root.secret.expose(), "activation claim");
        Ok(Secret::new(MacKey::new(key.expose()).sign_hex(token.expose().as_bytes())))
    }

    /// A secondary came to be bootstrapped: its token was used, however it was unwrapped.
    ///
    /// # Errors
    /// See [`WriteError`].
    pub async fn note_use(&self, secondary_id: &str) -> Result<(), WriteError> {
        self.ctx
            .write(|txn| {
                if let Some(record) = SecondaryRecord::read(txn, secondary_id)?.filter(|record| !record.is_used) {
                    txn.put(keys::secondary(secondary_id), SecondaryRecord { is_used: true, ..record }.row());
                }
                Ok(())
            })
            .await
    }
}
