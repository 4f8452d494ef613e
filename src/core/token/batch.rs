//! Batch tokens: the entry itself, encrypted, stored nowhere.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::entry::{TokenEntry, read_entry};
use super::id::{BATCH_PREFIX, BATCH_PREFIX_OLD};
use super::{TokenError, Tokens};
use crate::barrier::Txn;
use crate::types::{Secret, Timestamp};

const CONTEXT: &[u8] = b"coffer batch token v1";

impl Tokens {
    /// The text of a batch token that says `entry`.
    pub(super) fn seal_batch(&self, txn: &mut Txn, entry: &TokenEntry) -> Result<Secret<String>, TokenError> {
        let plain = Secret::new(serde_json::to_vec(entry).expect("stored types have text keys and no failing serializer"));
        let encrypted = self.batch_key(txn)?.encrypt(self.ctx.entropy.as_ref(), CONTEXT, plain.expose());
        Ok(Secret::new(format!("{BATCH_PREFIX}{}", URL_SAFE_NO_PAD.encode(encrypted))))
    }

    /// What the batch token `text` says, if it is one of ours and still lives.
    pub(super) fn open_batch(&self, txn: &mut Txn, text: &str, now: Timestamp) -> Result<TokenEntry, TokenError> {
        let body = text.strip_prefix(BATCH_PREFIX).or_else(|| text.strip_prefix(BATCH_PREFIX_OLD)).ok_or(TokenError::Unknown)?;
        let encrypted = URL_SAFE_NO_PAD.decode(body).map_err(|_| TokenError::Unknown)?;
        let plain = self.batch_key(txn)?.decrypt(CONTEXT, &encrypted).map_err(|_| TokenError::Unknown)?;
        let entry: TokenEntry = serde_json::from_slice(plain.expose()).map_err(|_| TokenError::Unknown)?;
        if !entry.is_batch || !entry.is_live(now) && !bug!(70) {
            return Err(TokenError::Unknown);
        }
        let is_orphaned = !entry.parent.is_empty() && !read_entry(txn, &entry.parent)?.is_some_and(|parent| parent.is_live(now));
        if is_orphaned && !bug!(54) { Err(TokenError::Unknown) } else { Ok(entry) }
    }
}
