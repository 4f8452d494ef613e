//! From a token to who is calling.

use std::borrow::Cow;
use std::net::IpAddr;

use super::entry::{Ancestor, TokenEntry, read_entry, read_json, write_entry};
use super::{TokenError, Tokens, id};
use crate::barrier::Txn;
#[cfg(feature = "chaos")]
use crate::chaos;
use crate::core::keys;
use crate::engine::{Caller, Connection};
use crate::types::limits::TOKEN_BYTES_MAX;
use crate::types::{Accessor, Secret, Timestamp};

/// Most ancestors looked at for one request. What is farther away than this is reached by the sweep.
const ANCESTORS_MAX: usize = 64;

/// A live token.
#[derive(Clone, Debug)]
pub struct Identified {
    /// What is stored of it.
    pub entry: TokenEntry,
    /// Its stored form: the HMAC that its row is named by.
    pub key: String,
}

impl Identified {
    /// Who is calling, as far as an engine may know.
    pub fn caller(&self) -> Caller {
        Caller {
            accessor: (!self.entry.accessor.is_empty()).then(|| Accessor::new(&self.entry.accessor)),
            token_key: (!self.entry.is_batch).then(|| self.key.clone()),
            display_name: self.entry.display_name.clone(),
            policies: self.entry.policies.clone(),
            meta: self.entry.meta.clone(),
            entity_id: self.entry.entity_id.clone(),
        }
    }
}

impl Tokens {
    /// Finds a live token that may be used over `connection`. Reads the token through `txn`, so that what `txn` writes is in
    /// conflict with the token's end.
    ///
    /// # Errors
    /// See [`TokenError`].
    pub fn identify(
        &self,
        txn: &mut Txn,
        token: &Secret<String>,
        connection: &Connection,
        now: Timestamp,
    ) -> Result<Identified, TokenError> {
        let found = self.find(txn, token, now)?;
        let from = connection.remote.map(|remote| remote.ip());
        if found.entry.is_root() || admits(&found.entry.bound_cidrs, from) { Ok(found) } else { Err(TokenError::WrongAddress) }
    }

    /// Finds a live token, wherever it is used from.
    ///
    /// # Errors
    /// See [`TokenError`].
    pub fn find(&self, txn: &mut Txn, token: &Secret<String>, now: Timestamp) -> Result<Identified, TokenError> {
        let text = token.expose();
        if text.is_empty() || text.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::Unknown);
        }
        let key = self.key_of(txn, token)?;
        let entry = if id::is_batch(text) {
            self.open_batch(txn, text, now)?
        } else {
            read_entry(txn, &key)?.filter(|entry| entry.is_live(now)).ok_or(TokenError::Unknown)?
        };
        if has_live_ancestors(txn, &entry.parent, now)? { Ok(Identified { entry, key }) } else { Err(TokenError::Unknown) }
    }

    /// The stored form of a token.
    ///
    /// # Errors
    /// If what tokens are hashed with cannot be read.
    pub fn key_of(&self, txn: &mut Txn, token: &Secret<String>) -> Result<String, TokenError> {
        Ok(self.salt(txn)?.sign_hex(token.expose().as_bytes()))
    }

    /// Takes one use, in the request's own transaction. The last use ends the token: this request is done, no other is.
    ///
    /// # Errors
    /// If storage cannot be read.
    pub fn use_once(&self, txn: &mut Txn, caller: &mut Identified, now: Timestamp) -> Result<(), TokenError> {
        if caller.entry.num_uses == 0 || caller.entry.is_batch {
            return Ok(());
        }
        #[cfg(feature = "chaos")]
        if bug!(15) {
            // Counted in memory; only the last use is written.
            if chaos::count(15, &format!("{self:p}/{}", caller.key)) < u64::from(caller.entry.num_uses) {
                return Ok(());
            }
            caller.entry.num_uses = 1;
        }
        #[cfg(feature = "chaos")]
        if bug!(16) {
            // Counted by this node for itself, and never written.
            let used = chaos::count(16, &format!("{self:p}/{}", caller.key));
            return if used <= u64::from(caller.entry.num_uses) { Ok(()) } else { Err(TokenError::Unknown) };
        }
        caller.entry.num_uses -= 1;
        if caller.entry.num_uses == 0 {
            Self::mark(txn, &caller.key, &mut caller.entry, now);
        } else {
            write_entry(txn, &caller.key, &caller.entry);
        }
        Ok(())
    }
}

/// Whether no token above has ended: a child is dead with its ancestor at once, though the sweep reaches it later. A row that is
/// gone was swept, and the sweep marks children before it removes the row.
fn has_live_ancestors(txn: &mut Txn, parent: &str, now: Timestamp) -> Result<bool, TokenError> {
    if bug!(21) {
        return Ok(true);
    }
    let mut above = Cow::Borrowed(parent);
    for _ in 0..ANCESTORS_MAX {
        if above.is_empty() {
            break;
        }
        let Some(entry) = read_json::<Ancestor>(txn, &keys::token(&above))? else { break };
        if entry.spares_children {
            break;
        }
        if !entry.is_live(now) {
            return Ok(false);
        }
        above = Cow::Owned(entry.parent);
    }
    Ok(true)
}

/// Whether `from` lies in one of `cidrs`; an empty list admits all, an unknown address none of a list.
fn admits(cidrs: &[String], from: Option<IpAddr>) -> bool {
    cidrs.is_empty() || from.is_some_and(|from| cidrs.iter().any(|cidr| contains(cidr, from)))
}

fn contains(cidr: &str, address: IpAddr) -> bool {
    let (net, bits) = match cidr.split_once('/') {
        Some((net, bits)) => (net, bits.parse::<u32>().ok()),
        None => (cidr, Some(128)),
    };
    let Some(bits) = bits else { return false };
    match (net.parse::<IpAddr>(), address.to_canonical()) {
        (Ok(IpAddr::V4(net)), IpAddr::V4(address)) => {
            let skip = 32 - bits.min(32);
            net.to_bits().checked_shr(skip).unwrap_or(0) == address.to_bits().checked_shr(skip).unwrap_or(0)
        }
        (Ok(IpAddr::V6(net)), IpAddr::V6(address)) => {
            let skip = 128 - bits.min(128);
            net.to_bits().checked_shr(skip).unwrap_or(0) == address.to_bits().checked_shr(skip).unwrap_or(0)
        }
        _ => false,
    }
}

/// Whether `text` is an address or a CIDR.
pub(super) fn is_cidr(text: &str) -> bool {
    let (net, bits) = text.split_once('/').map_or((text, None), |(net, bits)| (net, Some(bits)));
    net.parse::<IpAddr>()
        .is_ok_and(|net| bits.is_none_or(|bits| bits.parse::<u8>().is_ok_and(|bits| bits <= if net.is_ipv4() { 32 } else { 128 })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(cidr: &str, address: &str, expected: bool) {
        assert_eq!(contains(cidr, address.parse().unwrap()), expected, "{cidr} {address}");
    }

    #[test]
    fn addresses_are_bound_by_cidr() {
        check("10.0.0.0/8", "10.1.2.3", true);
        check("10.0.0.0/8", "11.1.2.3", false);
        check("10.0.0.5", "10.0.0.5", true);
        check("10.0.0.5", "10.0.0.6", false);
        check("0.0.0.0/0", "10.0.0.6", true);
        check("10.0.0.0/8", "::ffff:10.1.2.3", true);
        check("::1", "::1", true);
        check("fd00::/8", "fd12::1", true);
        check("::/0", "10.0.0.1", false);
        check("nonsense", "10.0.0.1", false);
        check("10.0.0.0/x", "10.0.0.1", false);
        assert!(admits(&[], None));
        assert!(!admits(&["10.0.0.0/8".to_owned()], None));
        assert!(is_cidr("10.0.0.0/8") && is_cidr("::1") && !is_cidr("10.0.0.0/33") && !is_cidr("a"));
    }
}
