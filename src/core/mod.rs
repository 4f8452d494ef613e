//! The rules: who may do what, and what is alive. The layers above see [`Core`].
//!
//! One request runs from top to bottom in `pipeline`. What the core itself answers (`sys/`, `auth/token/`) are system engines:
//! they see the whole transaction, where a mounted engine sees its own mount only.
//!
//! Not here: HTTP statuses (`http`), gRPC (`cluster`), the kinds of engines (handed in by `server`).

mod active;
mod audit_table;
pub mod autopilot;
pub mod cluster_identity;
mod context;
mod envelope;
pub mod health;
pub mod join;
pub mod keys;
pub mod lease;
pub mod lifecycle;
pub mod lockout;
mod mounts;
pub mod node_identity;
mod node_service;
mod observer;
mod options;
pub mod outage;
mod pipeline;
pub mod policy;
mod primary_reach;
pub mod replication;
mod response;
mod router;
pub mod seal;
mod settings;
mod sys;
#[cfg(test)]
pub mod testing;
pub mod token;
mod turns;
mod upstream;
mod usage;
pub mod wrapping;

pub use crate::raft::{CommitError, Peer as ActiveNode};
pub use context::{Context, Keys, RootKey, Sealed, WriteError};
pub use mounts::{MountConfig, MountRow, Mounted, Mounts, Opened, SystemTtls, TableError};
pub use node_service::NodeService;
pub use observer::CoreObserver;
pub use options::Options;
pub use response::{AuthInfo, Refused, Response, WrapInfo};
pub use router::{Clash, Router};
pub use settings::{Cors, Settings};

pub use upstream::{
    BootstrapPackage, FORWARDED_HEADER, ForwardError, PrimaryCall, PrimaryContact, PrimaryReply, RawRequest, RawResponse, Serve, ServeNode,
    ServeSecondary, Upstream,
};

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::audit;
use crate::barrier::Txn;
use crate::engine::{Call, EngineError, Kind, MountClass, Reply, Route};
use crate::raft::{self, Member};
use crate::types::{Secret, Timestamp, WalIndex};
use audit_table::AuditTable;
use autopilot::Autopilot;
use join::{JoinClient, Joins};
use lease::{LeaseEngine, Leases};
use lifecycle::{ActivePart, Lifecycle};
use node_identity::NodeIdentity;
use policy::{CapabilitiesEngine, Policies, PolicyEngine};
use primary_reach::PrimaryReach;
use replication::{Links, PrimaryClient, Replication, ReplicationPart, ReplicationParts};
use seal::{Attempts, AutoRotate, FirstRows, Seal, SealParts};
use token::{TokenEngine, TokenSpec, Tokens};
use wrapping::{Wrapping, WrappingEngine};

/// A part of the API that belongs to the core itself, and so sees the whole transaction.
///
/// A handler may run more than once, as an engine's. One that acts on the cluster itself (steps down, removes a peer, enables
/// replication) writes nothing through `txn`, so it runs once.
#[async_trait]
pub trait SystemEngine: Send + Sync + 'static {
    /// What it answers to; patterns are below its mount (`sys/`, `auth/token/`).
    fn routes(&self) -> &'static [Route];
    /// Answers one request.
    ///
    /// # Errors
    /// What the client did wrong, or what could not be done.
    async fn handle(&self, call: &Call<'_>, txn: &mut Txn) -> Result<Reply, EngineError>;
}

/// How this node stands towards clients: decides whether it serves, forwards or refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The cluster does not exist yet.
    Uninitialized,
    /// It has no keys.
    Sealed,
    /// It was removed from its cluster.
    Removed,
    /// Another node is active; `active` is that node, if there is one.
    Standby {
        /// Whom to forward to.
        active: Option<raft::Peer>,
    },
    /// It serves.
    Active,
}

/// What the core is built from.
pub struct Parts {
    /// Store, log, clock, entropy.
    pub context: Arc<Context>,
    /// Every kind of engine there is.
    pub kinds: &'static [&'static Kind],
    /// Every kind of audit device there is.
    pub audit_kinds: &'static [&'static audit::Kind],
    /// How requests reach other nodes.
    pub upstream: Arc<dyn Upstream>,
    /// This node, as others know it.
    pub me: Member,
    /// What this node proves itself with in its cluster.
    pub identity: Arc<NodeIdentity>,
    /// How a joining node calls its leader.
    pub join_client: Arc<dyn JoinClient>,
    /// The streams of replication.
    pub links: Arc<dyn Links>,
    /// How a cluster that becomes a secondary calls its primary.
    pub primary_client: Arc<dyn PrimaryClient>,
    /// Where a secondary's primary is: announced to what dials it.
    pub primary_contact: watch::Sender<Option<PrimaryContact>>,
    /// Status and texts that a client would be given: for secondaries, whose clients are given the same.
    pub refusal_status: fn(&Refused) -> (u16, Vec<String>),
    /// Settings.
    pub options: Options,
}

/// The rules of one node. Cheap to share as `Arc<Core>`.
pub struct Core {
    context: Arc<Context>,
    options: Options,
    upstream: Arc<dyn Upstream>,
    primary_reach: Arc<PrimaryReach>,
    refusal_status: fn(&Refused) -> (u16, Vec<String>),
    mounts: Arc<Mounts>,
    audit: Arc<AuditTable>,
    tokens: Arc<Tokens>,
    policies: Arc<Policies>,
    leases: Arc<Leases>,
    lockouts: Arc<lockout::Lockouts>,
    wrapping: Arc<Wrapping>,
    seal: Arc<Seal>,
    lifecycle: Arc<Lifecycle>,
    joins: Arc<Joins>,
    autopilot: Arc<Autopilot>,
    replication: Arc<Replication>,
    system_areas: Vec<Box<dyn SystemEngine>>,
    token_areas: Vec<Box<dyn SystemEngine>>,
    in_flight: sys::InFlight,
    settings: Settings,
    /// How far this cluster's shared state reaches; announced.
    applied: watch::Sender<WalIndex>,
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Core({:?})", self.standing())
    }
}

impl Core {
    /// A sealed node's core. Nothing runs until [`Self::run`].
    pub fn new(parts: Parts) -> Arc<Self> {
        let Parts {
            context,
            kinds,
            audit_kinds,
            upstream,
            me,
            identity,
            join_client,
            links,
            primary_client,
            primary_contact,
            refusal_status,
            options,
        } = parts;
        let system_ttls = SystemTtls { default: options.default_lease_ttl, max: options.max_lease_ttl };
        let mounts = Arc::new(Mounts::new(context.clone(), kinds, system_ttls, options.dev_kv));
        let tokens = Arc::new(Tokens::new(context.clone()));
        let policies = Arc::new(Policies::new(context.clone()));
        let leases = Arc::new(Leases::new(context.clone(), tokens.clone(), mounts.clone()));
        let wrapping = Arc::new(Wrapping::new(context.clone(), tokens.clone(), options.api_addr.clone()));
        let audit = Arc::new(AuditTable::new(context.clone(), audit_kinds));
        let first_rows: Arc<dyn FirstRows> = Arc::new(FirstRowsOfCore { mounts: mounts.clone(), tokens: tokens.clone() });
        let primary_reach = PrimaryReach::new(context.clone(), upstream.clone(), links.clone());
        let replication = Replication::new(ReplicationParts {
            context: context.clone(),
            links,
            primary_client,
            contact: primary_contact,
            first_rows: first_rows.clone(),
            api_addr: options.api_addr.clone(),
        });
        let seal = Seal::new(SealParts {
            context: context.clone(),
            me,
            identity,
            cluster_name: options.cluster_name.clone(),
            first_rows,
            join_client,
        });
        let lifecycle = Lifecycle::new(context.clone(), seal.clone());
        let joins = Joins::new(context.clone(), seal.clone());
        let autopilot = Autopilot::new(context.clone());
        let in_flight = sys::InFlight::default();

        let secret_table = sys::MountTable::new(MountClass::Secret, context.clone(), mounts.clone(), leases.clone());
        let auth_table = sys::MountTable::new(MountClass::Auth, context.clone(), mounts.clone(), leases.clone());
        let system_areas: Vec<Box<dyn SystemEngine>> = vec![
            Box::new(sys::InternalUi { mounts: mounts.clone(), policies: policies.clone() }),
            Box::new(sys::Remount(secret_table.clone())),
            Box::new(secret_table),
            Box::new(auth_table),
            Box::new(sys::AuditDevices { table: audit.clone(), entropy: context.entropy.clone() }),
            Box::new(PolicyEngine),
            Box::new(lockout::LockedUsersEngine),
            Box::new(CapabilitiesEngine::new(tokens.clone(), policies.clone())),
            Box::new(LeaseEngine::new(leases.clone())),
            Box::new(WrappingEngine::new(wrapping.clone(), policies.clone())),
            Box::new(sys::SealArea(seal.clone())),
            Box::new(sys::KeyringArea(context.clone())),
            Box::new(sys::Ha { context: context.clone(), lifecycle: lifecycle.clone() }),
            Box::new(sys::RaftArea { context: context.clone(), joins: joins.clone(), autopilot: autopilot.clone() }),
            Box::new(sys::ReplicationArea(replication.clone())),
            Box::new(sys::Tools(context.entropy.clone())),
            Box::new(sys::Metrics),
            Box::new(sys::Config(options.clone())),
            Box::new(in_flight.clone()),
            Box::new(sys::About { mounts: mounts.clone(), audit_kinds }),
        ];
        let token_areas: Vec<Box<dyn SystemEngine>> = vec![Box::new(TokenEngine::new(tokens.clone(), policies.clone(), mounts.clone()))];
        let applied = watch::Sender::new(context.store.positions().performance.wal);
        let settings = Settings::new(context.clone());
        Arc::new(Self {
            context,
            options,
            upstream,
            primary_reach,
            refusal_status,
            mounts,
            audit,
            tokens,
            policies,
            leases,
            lockouts: Arc::default(),
            wrapping,
            seal,
            lifecycle,
            joins,
            autopilot,
            replication,
            system_areas,
            token_areas,
            in_flight,
            settings,
            applied,
        })
    }

    /// Decides what runs on this node, and runs it, until `shutdown`; then hands leadership on.
    pub async fn run(self: Arc<Self>, shutdown: CancellationToken) {
        self.lifecycle.clone().run(self.active_parts(), shutdown).await;
    }

    /// What runs on the active node only, in the order in which it starts.
    fn active_parts(&self) -> Vec<Arc<dyn ActivePart>> {
        vec![
            Arc::new(active::MountsPart {
                context: self.context.clone(),
                mounts: self.mounts.clone(),
                leases: self.leases.clone(),
                sweep: std::sync::Mutex::default(),
            }),
            Arc::new(active::AuditPart(self.audit.clone())),
            Arc::new(self.leases.expirer()),
            self.lockouts.clone(),
            AutoRotate::new(self.context.clone()),
            Arc::new(Attempts(self.seal.clone())),
            Arc::new(self.autopilot.clone()),
            Arc::new(usage::UsagePart::new(self.context.clone())),
            Arc::new(ReplicationPart::new(self.replication.clone())),
        ]
    }

    /// How this node stands towards clients now.
    pub fn standing(&self) -> Standing {
        self.lifecycle.standing()
    }
    /// `sys/health`.
    pub fn health(&self) -> health::Health {
        health::Health::of(&self.context, &self.standing())
    }
    /// `sys/leader`.
    ///
    /// # Errors
    /// While sealed.
    pub fn leader(&self) -> Result<health::LeaderStatus, Sealed> {
        health::LeaderStatus::of(&self.context, &self.standing(), self.lifecycle.active_since())
    }
    /// Opens the files of audit devices anew, after they were moved away.
    pub async fn reopen_audit(&self) {
        self.audit.reopen().await;
    }

    /// How this node comes by its keys.
    pub fn seal(&self) -> &Arc<Seal> {
        &self.seal
    }
    /// Settings that are changed through the API.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }
    /// What runs on this node.
    pub fn lifecycle(&self) -> &Arc<Lifecycle> {
        &self.lifecycle
    }
    /// Takes nodes into the cluster.
    pub fn joins(&self) -> &Arc<Joins> {
        &self.joins
    }
    /// Roles between clusters.
    pub fn replication(&self) -> &Arc<Replication> {
        &self.replication
    }
    /// The mount table.
    pub fn mounts(&self) -> &Arc<Mounts> {
        &self.mounts
    }
    /// Store, log, clock, entropy, keys.
    pub fn context(&self) -> &Arc<Context> {
        &self.context
    }
    /// Whether a request with `token` may take one of its uses, as far as this node knows: it need not know one that is new.
    pub fn may_count_uses(&self, token: &Secret<String>) -> bool {
        let now = self.context.now();
        let found = self.context.begin().ok().and_then(|mut txn| self.tokens.find(&mut txn, token, now).ok());
        found.is_none_or(|found| found.entry.num_uses > 0)
    }
    /// How requests reach other nodes.
    pub fn upstream(&self) -> &Arc<dyn Upstream> {
        &self.upstream
    }
    /// Settings.
    pub fn options(&self) -> &Options {
        &self.options
    }
}

#[async_trait]
impl ServeSecondary for Core {
    fn admits(&self, secondary_id: &str, certificate: &str) -> Result<(), &'static str> {
        self.replication.admits(secondary_id, certificate)
    }
    async fn serve_call(&self, secondary_id: &str, call: PrimaryCall) -> Option<PrimaryReply> {
        self.serve_primary_call(secondary_id, call).await
    }
    async fn bootstrap(&self, secondary_id: &str) -> Result<BootstrapPackage, String> {
        self.context.raft.read_barrier().await.map_err(|error| error.to_string())?;
        self.replication.note_use(secondary_id).await.map_err(|error| error.to_string())?;
        self.replication.bootstrap(secondary_id)
    }
    fn told_addrs(&self) -> Option<Vec<String>> {
        self.replication.told_addrs()
    }
}

/// What a new cluster's first entry holds besides its keys.
struct FirstRowsOfCore {
    mounts: Arc<Mounts>,
    tokens: Arc<Tokens>,
}

impl FirstRows for FirstRowsOfCore {
    fn mounts(&self, txn: &mut Txn, _: Timestamp) -> Result<(), EngineError> {
        self.mounts.put_defaults(txn)
    }
    fn root_token(&self, txn: &mut Txn, now: Timestamp, id: Option<&Secret<String>>) -> Result<Secret<String>, EngineError> {
        Ok(self.tokens.create(txn, TokenSpec::root(id.cloned()), now)?.token)
    }
}
