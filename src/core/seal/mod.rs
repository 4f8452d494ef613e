//! The seal: how this node comes by its keys, and how they are changed.
//!
//! Unseal shares combine to the *unseal key*, which opens the *root key*, which opens the *keyring*. Shares are never stored.
//! The three rows that this rests on are raw (`core::keys`): they can be read while sealed, and on a node of a secondary they are the
//! primary's. Nothing here is done because a client says so: whoever knows enough shares is authenticated by them.
//!
//! Not here: which node is active (`lifecycle`), how a value is encrypted (`barrier`).

mod attempts;
mod auto_rotate;
mod collector;
mod error;
mod follow;
mod generate_root;
mod init;
mod rekey;
mod rekey_verify;
mod rotate;
mod status;
mod stored;
#[cfg(test)]
pub(super) mod testing;
#[cfg(test)]
mod tests;
mod unseal;

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use tokio::sync::watch;

pub use attempts::Attempts;
pub use auto_rotate::AutoRotate;
pub use error::SealError;
pub use follow::root_key_handover_row;
pub use generate_root::{GenerateRootRequest, GenerateRootStatus, decode_token};
pub use init::{FirstRows, InitAnswer, InitRequest};
pub use rekey::{RekeyAnswer, RekeyRequest, RekeyStatus};
pub use rekey_verify::{VerifyAnswer, VerifyStatus};
pub(super) use rotate::rotate;
pub use rotate::{KeyStatus, RotateConfig};
pub use status::SealStatus;
pub use stored::SealConfig;
pub(super) use stored::UnsealKey;
pub(super) use unseal::WRONG_SHARES;
pub use unseal::{ShareRequest, UnsealRequest};

use super::join::{JoinClient, PendingJoin};
use super::node_identity::NodeIdentity;
use super::{Context, Standing};
use crate::raft::Member;
use collector::Collector;

/// What `sys/seal` answers on a standby, with status 500: it seals the active node, and is never handed on.
pub const SEAL_ON_STANDBY: &str = "vault cannot seal when in standby mode; please restart instead";

/// How long an unseal waits for the node to be active, or to know who is.
const SETTLE_MAX: Duration = Duration::from_secs(5);

/// What the seal is built from.
pub struct SealParts {
    /// Store, log, clock, entropy, keys.
    pub context: Arc<Context>,
    /// This node, as others know it.
    pub me: Member,
    /// What this node proves itself with in its cluster.
    pub identity: Arc<NodeIdentity>,
    /// `cluster_name` of the configuration; made up at init where it is not set.
    pub cluster_name: Option<String>,
    /// What the other parts of the core write first.
    pub first_rows: Arc<dyn FirstRows>,
    /// How a joining node calls its leader.
    pub join_client: Arc<dyn JoinClient>,
}

/// The seal of one node.
pub struct Seal {
    ctx: Arc<Context>,
    me: Member,
    identity: Arc<NodeIdentity>,
    cluster_name: Option<String>,
    first_rows: Arc<dyn FirstRows>,
    join_client: Arc<dyn JoinClient>,
    /// Counts changes: unsealed, sealed, initialized.
    changes: watch::Sender<u64>,
    /// Counts unseals alone.
    unseals: AtomicU64,
    progress: Mutex<Progress>,
    /// Held while keys are taken or dropped.
    taking: Mutex<()>,
    /// Once the cluster exists it does not cease to.
    exists: AtomicBool,
    /// How this node stands, once lifecycle tells.
    standing: OnceLock<watch::Receiver<Standing>>,
    /// One init or unseal at a time.
    turn: tokio::sync::Mutex<()>,
}

/// What operators have begun and not finished, in memory only.
#[derive(Default)]
struct Progress {
    unseal: Collector,
    generate_root: Option<generate_root::Attempt>,
    rekey: Option<rekey::Attempt>,
    join: Option<Arc<PendingJoin>>,
}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seal")
    }
}

impl Seal {
    /// A sealed node's seal.
    pub fn new(parts: SealParts) -> Arc<Self> {
        let SealParts { context, me, identity, cluster_name, first_rows, join_client } = parts;
        Arc::new(Self {
            ctx: context,
            me,
            identity,
            cluster_name,
            first_rows,
            join_client,
            changes: watch::Sender::new(0),
            unseals: AtomicU64::new(0),
            progress: Mutex::default(),
            taking: Mutex::default(),
            exists: AtomicBool::new(false),
            standing: OnceLock::new(),
            turn: tokio::sync::Mutex::default(),
        })
    }

    /// Announced whenever this node was initialized, sealed or unsealed.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// How often this node was unsealed since it started.
    pub fn unseals(&self) -> u64 {
        self.unseals.load(Ordering::Relaxed)
    }

    /// What this node proves itself with in its cluster.
    pub fn identity(&self) -> &Arc<NodeIdentity> {
        &self.identity
    }

    /// This node, as others know it.
    pub fn me(&self) -> &Member {
        &self.me
    }

    /// Whether the cluster exists and this node is, or is becoming, one of it.
    pub fn is_initialized(&self) -> bool {
        if !self.exists.load(Ordering::Relaxed) && self.has_seal_config() {
            self.exists.store(true, Ordering::Relaxed);
        }
        self.exists.load(Ordering::Relaxed) || self.is_joining()
    }

    /// Whether this node waits for unseal shares, or for its leader, to become a member.
    pub fn is_joining(&self) -> bool {
        self.progress().join.is_some()
    }

    /// Drops the keys. Lifecycle stops what ran with them.
    pub fn seal(&self) {
        let taking = self.taking();
        self.drop_keys(&taking);
    }

    fn drop_keys(&self, _: &MutexGuard<'_, ()>) {
        if self.ctx.is_sealed() {
            return;
        }
        self.ctx.drop_keys();
        let mut progress = self.progress();
        progress.unseal = Collector::default();
        progress.forget_attempts();
        drop(progress);
        tracing::warn!("sealed");
        self.announce();
    }

    /// Lifecycle tells here how this node stands.
    pub(super) fn follow_standing(&self, standing: watch::Receiver<Standing>) {
        let _ = self.standing.set(standing);
    }

    /// Waits, for a while, until a node that was unsealed is active or knows who is: so that a client that unsealed may go on at once.
    async fn settle(&self) {
        let Some(mut standing) = self.standing.get().cloned() else { return };
        let settled =
            |standing: &Standing| matches!(standing, Standing::Active | Standing::Removed | Standing::Standby { active: Some(_) });
        let _ = tokio::time::timeout(SETTLE_MAX, standing.wait_for(settled)).await;
    }

    fn taking(&self) -> MutexGuard<'_, ()> {
        self.taking.lock().expect("no holder of this lock panics")
    }

    pub(super) fn ctx(&self) -> &Arc<Context> {
        &self.ctx
    }

    pub(super) fn join_client(&self) -> &Arc<dyn JoinClient> {
        &self.join_client
    }

    pub(super) fn set_pending_join(&self, join: Option<Arc<PendingJoin>>) {
        self.progress().join = join;
        self.announce();
    }

    /// The cluster that is to be joined, once one was found.
    pub(super) fn pending_join(&self) -> Option<Arc<PendingJoin>> {
        self.progress().join.clone()
    }

    /// Shares that were given for unsealing, and are too few yet.
    pub(super) fn forget_shares(&self) {
        self.progress().unseal = Collector::default();
    }

    fn announce(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().expect("no holder of this lock panics")
    }

    /// Refuses unless this node is unsealed and leads.
    fn needs_active(&self) -> Result<Arc<super::Keys>, SealError> {
        if !self.is_initialized() {
            return Err(SealError::invalid("server is not yet initialized"));
        }
        let keys = self.ctx.keys().map_err(|_| SealError::Sealed)?;
        if self.ctx.raft.status().borrow().is_leader { Ok(keys) } else { Err(SealError::Standby) }
    }
}
