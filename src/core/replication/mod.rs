//! Performance replication as operators see it: roles, tokens, adoption, status.
//!
//! A change of role is one entry: the role and what the cluster remembers of it stand or fall together, guarded by the row they
//! were decided from. The streams themselves are handed in as [`Links`], the calls to a primary as [`PrimaryClient`].
//!
//! Not here: the streams (`replication`), what a role makes lawful (`machine`), the paths of the API (`core::sys::replication`).

pub mod activation;
mod adopt;
mod bundle;
mod check;
mod part;
mod primary;
mod record;
mod secondary;
mod status;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Map, Value};
use tokio::sync::watch;

pub use part::ReplicationPart;

use super::join::JoinTarget;
use super::seal::FirstRows;
use super::{BootstrapPackage, Context, PrimaryContact, WriteError, keys};
use crate::barrier::Txn;
use crate::crypto::cert::Identity;
use crate::engine::{Call, EngineError, Reply};
use crate::machine::{Applied, Batch, Command, Guard, Outcome, Role};
use crate::pool::off_thread;
use crate::types::{Generation, Secret};
use record::RoleRecord;

/// What a secondary knows of how whole its copy is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wholeness {
    /// Whether it is comparing with its primary, or fetching what differs.
    pub is_comparing: bool,
    /// Whether it has a link to its primary.
    pub is_connected: bool,
    /// How many records it knows itself to be behind.
    pub records_behind: u64,
    /// How long ago it knew itself to have everything, in milliseconds; `None` if it never did.
    pub behind_ms: Option<u64>,
    /// The latest generation that it was told of, which its own state may not show yet; 0 if none was told.
    pub generation: Generation,
}

impl Wholeness {
    /// Whether a promotion now may miss something that the primary acknowledged.
    fn may_miss(&self) -> bool {
        self.is_comparing || !self.is_connected || self.records_behind > 0
    }
}

/// The running streams of this node: a seam that `server` fills with `replication`.
#[async_trait]
pub trait Links: Send + Sync + 'static {
    /// This node is active.
    fn start(&self);
    /// This node is active no longer. Returns when nothing runs any more.
    async fn stop(&self);
    /// Another primary, or other addresses of it.
    fn look_again(&self);
    /// A secondary was revoked.
    fn cut(&self, secondary_id: &str);
    /// Their part of the status body.
    fn describe(&self) -> Map<String, Value>;
    /// A secondary: what it knows of how whole its copy is.
    fn wholeness(&self) -> Wholeness;
    /// A secondary: how long there has been no link to its primary; `None` while there is one, or none is wanted.
    fn lost_for(&self) -> Option<Duration> {
        None
    }
    /// A secondary: how many times there came to be a link to its primary, or to another one.
    fn times_linked(&self) -> u64 {
        0
    }
    /// A primary: whether every secondary that is connected has all that there is.
    fn is_drained(&self) -> bool {
        true
    }
}

/// How a cluster that becomes a secondary calls its primary.
#[async_trait]
pub trait PrimaryClient: Send + Sync + 'static {
    /// Unwraps `token` at the primary's API and gives the envelope back; again, if it is with the same claim.
    ///
    /// # Errors
    /// With a text for the operator.
    async fn unwrap(&self, target: &JoinTarget, token: &Secret<String>, claim: &Secret<String>) -> Result<Value, String>;
    /// Asks the primary's active node for what a secondary needs, over mutual TLS.
    ///
    /// # Errors
    /// With a text for the operator.
    async fn bootstrap(&self, addrs: &[String], identity: &Identity) -> Result<BootstrapPackage, String>;
}

/// What replication is built from.
pub struct ReplicationParts {
    /// Store, log, clock, entropy, keys.
    pub context: Arc<Context>,
    /// The streams.
    pub links: Arc<dyn Links>,
    /// Calls to a primary.
    pub primary_client: Arc<dyn PrimaryClient>,
    /// Announces where the primary is and how to prove oneself there.
    pub contact: watch::Sender<Option<PrimaryContact>>,
    /// The local rows of a new cluster.
    pub first_rows: Arc<dyn FirstRows>,
    /// URL that activation tokens tell; may be empty.
    pub api_addr: String,
}

/// Replication of one node.
pub struct Replication {
    ctx: Arc<Context>,
    links: Arc<dyn Links>,
    primary_client: Arc<dyn PrimaryClient>,
    contact: watch::Sender<Option<PrimaryContact>>,
    first_rows: Arc<dyn FirstRows>,
    api_addr: String,
    dev_root_token: OnceLock<Secret<String>>,
    /// When the trees were last compared with the rows, in seconds; zero for never.
    checked_at: AtomicU64,
    is_corrupted: AtomicBool,
}

impl fmt::Debug for Replication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Replication")
    }
}

impl Replication {
    /// Nothing runs until its part is started.
    pub fn new(parts: ReplicationParts) -> Arc<Self> {
        let ReplicationParts { context, links, primary_client, contact, first_rows, api_addr } = parts;
        Arc::new(Self {
            ctx: context,
            links,
            primary_client,
            contact,
            first_rows,
            api_addr,
            dev_root_token: OnceLock::new(),
            checked_at: AtomicU64::new(0),
            is_corrupted: AtomicBool::new(false),
        })
    }

    /// Hears of applied entries, from the apply loop: cuts the streams of secondaries that were revoked. Does not block.
    pub fn note(&self, applied: &Applied) {
        let secondaries = keys::secondaries();
        for row in applied.rows.iter().filter(|row| row.value.is_none() && secondaries.contains(&row.key)) {
            self.links.cut(&row.key.path[secondaries.path.len()..]);
        }
    }

    /// Answers an operator's call, named as below `performance/`.
    ///
    /// # Errors
    /// What the operator did wrong, or what could not be done.
    pub async fn operate(&self, what: &str, call: &Call<'_>, txn: &mut Txn) -> Result<Reply, EngineError> {
        match what {
            "primary/enable" => self.enable_primary(call).await,
            "primary/demote" => self.demote().await,
            "primary/disable" => self.disable_primary().await,
            "primary/secondary-token" => self.secondary_token(call, txn),
            "primary/revoke-secondary" => self.revoke_secondary(call, txn),
            "secondary/enable" => self.enable_secondary(call).await,
            "secondary/disable" => self.disable_secondary().await,
            "secondary/promote" => self.promote(call).await,
            "secondary/update-primary" => self.update_primary(call).await,
            "secondary/generate-public-key" => {
                Err(cannot("generate-public-key is not supported yet: use a wrapped token, made without secondary_public_key"))
            }
            "recover" => {
                self.links.look_again();
                Ok(Reply::empty().warn("Replication is being started anew."))
            }
            "reindex" => {
                self.check().await?;
                Ok(Reply::empty()
                    .warn("Page sums are stored with the rows they cover, so there is no index to rebuild. They were checked."))
            }
            "merkle-check" => Ok(Reply::data(self.check().await?)),
            _ => Err(EngineError::NotFound("unsupported path".to_owned())),
        }
    }

    /// Compares the trees with the rows.
    async fn check(&self) -> Result<Map<String, Value>, EngineError> {
        let (reader, now) = (self.ctx.store.reader(), self.ctx.now());
        let checked = off_thread(move || check::report(reader.as_ref(), now)).await;
        let checked = checked.map_err(|error| EngineError::Internal(error.to_string()))?;
        let (report, is_corrupted) = checked.map_err(crate::barrier::BarrierError::from)?;
        self.checked_at.store(now.secs(), Ordering::Relaxed);
        self.is_corrupted.store(is_corrupted, Ordering::Relaxed);
        if is_corrupted {
            tracing::error!("page sums do not match the rows they cover");
        }
        Ok(report)
    }

    /// Changes the role and what is remembered of it, in one entry.
    async fn change_role(&self, role: Role, record: &RoleRecord, forget_secondaries: bool) -> Result<(), EngineError> {
        let mut txn = self.ctx.begin().map_err(|error| EngineError::Unavailable(error.to_string()))?;
        if txn.reader().role() != self.ctx.store.role() {
            return Err(changed_meanwhile());
        }
        // Guards the change, and is what a later change guards against.
        RoleRecord::read(&mut txn)?;
        txn.put(keys::replication_role(), record.row());
        if forget_secondaries {
            primary::forget_secondaries(&mut txn)?;
        }
        let batch: Batch = txn.into_batch(self.ctx.now());
        debug_assert!(batch.guards.iter().any(|Guard::Unchanged { key, .. }| *key == keys::replication_role()));
        failpoint!("generation-write.before", changed_meanwhile());
        match self.ctx.raft.propose(&Command::SetRole { role: role.clone(), batch }).await {
            Ok(Outcome::Committed(_)) => {
                failpoint!("generation-write.after", changed_meanwhile());
                tracing::warn!(?role, "the role in replication changed");
                self.refresh();
                Ok(())
            }
            Ok(Outcome::Conflict(_)) => Err(changed_meanwhile()),
            Ok(Outcome::Refused(refusal)) => Err(cannot(&refusal.to_string())),
            Err(error) => Err(EngineError::Unavailable(error.to_string())),
        }
    }

    /// Changes what is remembered, and other rows with it, the role left as it is.
    async fn change_record(
        &self,
        mut change: impl FnMut(&mut Txn, &mut RoleRecord) -> Result<(), EngineError> + Send,
    ) -> Result<(), EngineError> {
        let written = self
            .ctx
            .write(|txn| {
                let mut record = RoleRecord::read(txn)?;
                change(txn, &mut record)?;
                txn.put(keys::replication_role(), record.row());
                Ok(())
            })
            .await;
        self.refresh();
        written.map_err(|error| match error {
            WriteError::Engine(error) => error,
            other => EngineError::Unavailable(other.to_string()),
        })
    }

    fn reconnect(&self) {
        self.refresh();
        self.links.look_again();
    }

    /// Announces where the primary is, as remembered now. On the active node.
    fn refresh(&self) {
        let record = self.ctx.begin().ok().and_then(|mut txn| RoleRecord::read(&mut txn).ok());
        let is_secondary = self.ctx.store.role().is_secondary();
        let primary = record.and_then(|record| record.primary).filter(|_| is_secondary);
        let contact = primary.map(|primary| PrimaryContact { cluster_addrs: primary.cluster_addrs, identity: primary.identity });
        self.contact.send_if_modified(|known| {
            let is_new = *known != contact;
            *known = contact;
            is_new
        });
    }
}

/// A call that does not fit the present mode, or is wrong as it stands.
fn cannot(text: &str) -> EngineError {
    EngineError::Invalid(text.to_owned())
}

fn changed_meanwhile() -> EngineError {
    EngineError::Unavailable("the role in replication changed meanwhile, try again".to_owned())
}

/// An address as a URL.
fn url_of(addr: &str) -> String {
    if addr.is_empty() || addr.contains("://") { addr.to_owned() } else { format!("https://{addr}") }
}
