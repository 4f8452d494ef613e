//! What becomes of one due row: a step of a token's end, or one try to revoke a lease.

use super::entry::StoredLease;
use super::lookup::{Found, find};
use super::revoke::as_engine_error;
use super::{Leases, metrics};
use crate::barrier::{BarrierError, Txn};
use crate::core::token::entry::{read_entry, read_json, write_json};
use crate::core::token::revoke::{children, orphan};
use crate::core::{WriteError, keys};
use crate::engine::EngineError;
use crate::types::{Key, Scope, Timestamp};

/// Rows of one kind that one step removes.
const STEP: usize = 50;
/// Tries to revoke a lease before it is given up.
const TRIES_MAX: u32 = 6;
/// The first wait between two tries; it doubles.
const FIRST_WAIT_MS: u64 = 10_000;

/// One due row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) at_ms: u64,
    pub(super) what: DueOf,
    pub(super) row: Key,
}

/// What is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum DueOf {
    /// The token with this stored form.
    Token(String),
    /// The lease with this id.
    Lease(String),
    /// A user's failed logins: see `core::lockout`.
    Lockout(String),
    /// What the activation token with this stored form was exchanged for: see `core::replication::activation`.
    Activation(String),
}

impl Due {
    /// Reads a due row's path.
    pub(super) fn parse(path: &str) -> Option<Self> {
        let rest = path.strip_prefix(&keys::dues().path)?;
        let (at, what) = rest.split_once('/')?;
        let what = match what.split_once('/')? {
            ("token", key) => DueOf::Token(key.to_owned()),
            ("lockout", name) => DueOf::Lockout(name.to_owned()),
            ("activation", token) => DueOf::Activation(token.to_owned()),
            ("lease", id) => DueOf::Lease(id.to_owned()),
            _ => return None,
        };
        Some(Self { at_ms: u64::from_str_radix(at, 16).ok()?, what, row: Key::new(Scope::Local, path) })
    }
}

impl Leases {
    /// One step of ending the token `key`: marks it if it has run out, and afterwards removes what it left behind, a bounded part
    /// at a time. The due row stays until nothing is left.
    pub(super) fn sweep_token(&self, txn: &mut Txn, due: &Due, key: &str, now: Timestamp) -> Result<(), BarrierError> {
        let Some(entry) = read_entry(txn, key)? else {
            txn.delete(due.row.clone());
            return Ok(());
        };
        if !entry.is_revoked {
            if entry.is_live(now) && !bug!(52) {
                // It was renewed: its new end has a row of its own.
                txn.delete(due.row.clone());
                return Ok(());
            }
            self.tokens.revoke(txn, key, now)?;
            if !entry.is_limited {
                return Ok(());
            }
            // Whoever used it meanwhile wrote its row and is in conflict, so nothing can have been missed: go on at once.
        }
        let mut is_done = true;
        let below = children(txn, &keys::token_children(key), STEP)?;
        is_done &= below.len() < STEP;
        let spares_them = entry.spares_children || bug!(21);
        for child in below {
            if spares_them || bug!(67) {
                orphan(txn, key, &child)?;
            } else {
                self.tokens.revoke_tree(txn, &child, now, 2)?;
                txn.delete(keys::token_child(key, &child));
            }
        }
        let index = keys::token_leases(key);
        let leases = txn.stored_paths(&index, None, STEP)?;
        is_done &= leases.len() < STEP;
        for path in leases {
            Self::make_due(txn, &path[index.path.len()..], now)?;
            txn.delete(Key::new(Scope::Local, path));
        }
        let cubbyhole = txn.stored_paths(&keys::cubbyholes(key), None, STEP)?;
        is_done &= cubbyhole.len() < STEP;
        for path in cubbyhole.into_iter().filter(|_| !bug!(55)) {
            txn.delete(Key::new(Scope::Local, path));
        }
        if is_done {
            txn.delete(keys::token(key));
            if !entry.parent.is_empty() {
                txn.delete(keys::token_child(&entry.parent, key));
            }
            txn.delete(keys::due(now.0, &format!("token/{key}")));
            txn.delete(due.row.clone());
            metrics::swept();
        }
        Ok(())
    }

    /// The token of this lease has ended: it is due now.
    fn make_due(txn: &mut Txn, id: &str, now: Timestamp) -> Result<(), BarrierError> {
        let row = keys::lease(id);
        let Some(StoredLease::Secret(mut lease)) = read_json(txn, &row)? else { return Ok(()) };
        if lease.is_irrevocable {
            return Ok(());
        }
        txn.delete(keys::due(lease.due_ms, &lease.due_name()));
        lease.expires_ms = lease.expires_ms.min(now.0);
        lease.due_ms = now.0;
        write_json(txn, keys::due(lease.due_ms, &lease.due_name()), &true);
        write_json(txn, row, &StoredLease::Secret(lease));
        Ok(())
    }

    /// Revokes the lease `id`, or puts the next try off.
    ///
    /// # Errors
    /// If neither could be written.
    pub(super) async fn sweep_lease(&self, due: &Due, id: &str) -> Result<(), EngineError> {
        let now = self.ctx.now();
        let mut txn = self.begin()?;
        let lease = match find(&mut txn, id)? {
            Some(Found::Secret(lease)) if lease.due_ms == due.at_ms && !lease.is_irrevocable => lease,
            _ => {
                txn.delete(due.row.clone());
                return self.settle(txn, now).await;
            }
        };
        match self.mounts.revoke(&lease, &mut txn).await {
            Ok(()) => {
                Self::remove(&mut txn, &lease);
                metrics::revoked();
            }
            Err(error) => {
                metrics::failed();
                let failures = lease.failures + 1;
                tracing::warn!(lease = id, failures, %error, "revoking a lease failed");
                // What the engine wrote before it failed is dropped with its transaction.
                txn = self.begin()?;
                let Some(Found::Secret(mut lease)) = find(&mut txn, id)? else { return Ok(()) };
                lease.failures = failures;
                if failures >= TRIES_MAX {
                    Self::give_up(&mut txn, *lease, &error.to_string());
                } else {
                    txn.delete(keys::due(lease.due_ms, &lease.due_name()));
                    lease.due_ms = now.0 + self.wait_ms(failures);
                    lease.revoke_error = error.to_string().chars().take(super::entry::ERROR_CHARS_MAX).collect();
                    write_json(&mut txn, keys::due(lease.due_ms, &lease.due_name()), &true);
                    write_json(&mut txn, keys::lease(id), &StoredLease::Secret(lease));
                }
            }
        }
        self.settle(txn, now).await
    }

    /// Commits; a conflict is left to the next pass.
    async fn settle(&self, txn: Txn, now: Timestamp) -> Result<(), EngineError> {
        self.ctx.commit(txn, now).await.map(|_| ()).map_err(as_engine_error)
    }

    /// The wait after so many failures, give or take a half.
    fn wait_ms(&self, failures: u32) -> u64 {
        let full = FIRST_WAIT_MS << failures.saturating_sub(1).min(16);
        let random = u64::from(u16::from_be_bytes(crate::crypto::entropy::random(self.ctx.entropy.as_ref())));
        full / 2 + full * random / 65_535
    }

    /// Puts a due row off that cannot be read, so that it does not stand before all others.
    pub(super) async fn put_off(&self, due: &Due) -> Result<(), WriteError> {
        let what = match &due.what {
            DueOf::Token(key) => format!("token/{key}"),
            DueOf::Lease(id) => format!("lease/{id}"),
            DueOf::Lockout(name) => format!("lockout/{name}"),
            DueOf::Activation(token) => format!("activation/{token}"),
        };
        let later = self.ctx.now().0 + 3_600_000;
        self.ctx
            .write(|txn| {
                txn.delete(due.row.clone());
                write_json(txn, keys::due(later, &what), &true);
                Ok(())
            })
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_due_row_says_when_and_what() {
        let due = |row: Key| Due::parse(&row.path).map(|due| (due.at_ms, due.what));
        assert_eq!(due(keys::due(7, "token/ab")), Some((7, DueOf::Token("ab".to_owned()))));
        assert_eq!(due(keys::due(u64::MAX, "lease/a/b/c")), Some((u64::MAX, DueOf::Lease("a/b/c".to_owned()))));
        assert_eq!(Due::parse("sys/lease/due/zz/token/a"), None);
        assert_eq!(Due::parse("sys/lease/id/a"), None);
    }
}
