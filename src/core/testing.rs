//! A core in memory, for tests: a log of one node that applies at once, and nobody else.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};

use async_trait::async_trait;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::join::{JoinClient, JoinTarget};
use super::node_identity::NodeIdentity;
use super::replication::{Links, PrimaryClient};
use super::seal::{InitRequest, UnsealRequest};
use super::{
    Context, Core, ForwardError, Keys, Options, Parts, PrimaryCall, PrimaryReply, RawRequest, RawResponse, Refused, Response, RootKey,
    Standing, Upstream,
};
use crate::barrier::Keyring;
use crate::crypto::Entropy;
use crate::crypto::entropy::SeededEntropy;
use crate::engine::{Connection, Data, EngineError, Kind, Operation, Request};
use crate::machine::{Command, Outcome, Role, Stage};
use crate::raft::{CommitError, Consensus, Member, MembershipError, NotFresh, Observer, Peer, RaftStatus};
use crate::storage::{MemStore, Physical, PhysicalView};
use crate::types::{ApiPath, Clock, Index, NodeId, RequestId, Secret, Timestamp};

/// A log of one node: an entry is committed and applied when it is proposed.
pub struct OneNode {
    store: Arc<dyn Physical>,
    observer: OnceLock<Weak<dyn Observer>>,
    applying: Mutex<u64>,
    status: watch::Sender<RaftStatus>,
    /// The next entry is applied, but its proposer is told that the outcome is not known.
    pub loses_next_answer: AtomicBool,
    /// Entries that were proposed.
    pub proposed: AtomicU64,
    /// Peers that were to be removed.
    pub removed: Mutex<Vec<NodeId>>,
    /// Nobody is removed.
    pub keeps_peers: AtomicBool,
}

impl OneNode {
    /// A log over `store`.
    pub fn new(store: Arc<dyn Physical>) -> Arc<Self> {
        let me = Peer { id: NodeId(1), member: Member::default(), is_voter: true };
        let status = RaftStatus { id: NodeId(1), leader: Some(NodeId(1)), is_leader: true, peers: vec![me], ..RaftStatus::default() };
        Arc::new(Self {
            store,
            observer: OnceLock::new(),
            applying: Mutex::new(0),
            status: watch::Sender::new(status),
            loses_next_answer: AtomicBool::new(false),
            proposed: AtomicU64::new(0),
            removed: Mutex::default(),
            keeps_peers: AtomicBool::new(false),
        })
    }

    /// Tells `observer` of every entry from now on; it is not kept alive.
    pub fn watch(&self, observer: Weak<dyn Observer>) {
        let _ = self.observer.set(observer);
    }

    /// The group has this member too.
    pub fn seat(&self, peer: Peer) {
        self.status.send_modify(|status| status.peers.push(peer));
    }

    /// Gains or loses leadership.
    pub fn lead(&self, leads: bool) {
        self.status.send_modify(|status| {
            status.is_leader = leads;
            status.leader = leads.then_some(NodeId(1));
        });
    }

    /// Another node should lead.
    pub fn name_heir(&self, heir: Option<NodeId>) {
        self.status.send_modify(|status| status.heir = heir);
    }

    /// From now on this is another node of the group.
    pub fn call_it(&self, id: NodeId) {
        self.status.send_modify(|status| status.id = id);
    }

    /// Applies `command` as if it came from the log.
    pub fn apply(&self, command: &Command) -> Outcome {
        let mut index = self.applying.lock().unwrap();
        *index += 1;
        let view = PhysicalView(self.store.as_ref());
        let mut stage = Stage::new(&view);
        let outcome = stage.apply(Index(*index), command).unwrap().outcome.clone();
        let applied = stage.into_applied();
        self.store.commit(&applied, &Vec::new()).unwrap();
        if let Some(observer) = self.observer.get().and_then(Weak::upgrade) {
            applied.iter().for_each(|applied| observer.applied(applied));
        }
        outcome
    }
}

#[async_trait]
impl Consensus for OneNode {
    async fn propose(&self, command: &Command) -> Result<Outcome, CommitError> {
        // Lets other requests in between, as a real log would.
        tokio::task::yield_now().await;
        if !self.status.borrow().is_leader {
            return Err(CommitError::NotLeader { leader: None });
        }
        self.proposed.fetch_add(1, Ordering::Relaxed);
        let outcome = self.apply(command);
        if self.loses_next_answer.swap(false, Ordering::Relaxed) { Err(CommitError::Unknown) } else { Ok(outcome) }
    }
    async fn read_barrier(&self) -> Result<(), NotFresh> {
        if self.status.borrow().is_leader { Ok(()) } else { Err(NotFresh) }
    }
    fn status(&self) -> watch::Receiver<RaftStatus> {
        self.status.subscribe()
    }
    async fn bootstrap(&self, _: Member) -> Result<(), MembershipError> {
        // It takes its time, in which others run.
        tokio::task::yield_now().await;
        Ok(())
    }
    async fn add_peer(&self, _: NodeId, _: Member, _: bool) -> Result<(), MembershipError> {
        Err(MembershipError::Busy("one node".to_owned()))
    }
    async fn remove_peer(&self, id: NodeId) -> Result<(), MembershipError> {
        if self.keeps_peers.load(Ordering::Relaxed) {
            return Err(MembershipError::Busy("told to keep it".to_owned()));
        }
        self.removed.lock().unwrap().push(id);
        Err(MembershipError::Unknown)
    }
    async fn hand_over(&self) -> Result<(), MembershipError> {
        Err(MembershipError::Busy("one node".to_owned()))
    }
    async fn shutdown(&self) {}
}

/// A clock that stands until it is moved.
pub struct HandClock(AtomicU64);

impl HandClock {
    /// Moves it on.
    pub fn pass(&self, secs: u64) {
        self.0.fetch_add(secs * 1000, Ordering::Relaxed);
    }
}

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::Relaxed))
    }
}

/// Other nodes: there are none, unless a test says what they answer.
#[derive(Default)]
pub struct FakeUpstream {
    /// What the primary answers.
    pub primary: Mutex<Option<PrimaryReply>>,
    /// The primary refuses this cluster.
    pub is_revoked: AtomicBool,
    /// What the primary was asked.
    pub asked: Mutex<Vec<PrimaryCall>>,
    /// Another node is active: it takes requests, and dies before it answers.
    pub active_dies: AtomicBool,
}

#[async_trait]
impl Upstream for FakeUpstream {
    async fn to_active(&self, _: RawRequest) -> Result<RawResponse, ForwardError> {
        Err(if self.active_dies.load(Ordering::Relaxed) { ForwardError::Unknown("no answer".to_owned()) } else { ForwardError::NoActive })
    }
    async fn to_primary(&self, call: PrimaryCall) -> Result<PrimaryReply, ForwardError> {
        self.asked.lock().unwrap().push(call);
        if self.is_revoked.load(Ordering::Relaxed) {
            return Err(ForwardError::Refused("this secondary was revoked".to_owned()));
        }
        self.primary.lock().unwrap().clone().ok_or_else(|| ForwardError::Unreachable("no primary".to_owned()))
    }
    async fn find_primary(&self) -> Result<(), ForwardError> {
        let is_there = self.primary.lock().unwrap().is_some();
        is_there.then_some(()).ok_or_else(|| ForwardError::Unreachable("no primary".to_owned()))
    }
}

/// What a core in memory stands on.
pub struct Ground {
    /// Shared by all parts of a core; unsealed.
    pub context: Arc<Context>,
    /// Its log.
    pub raft: Arc<OneNode>,
    /// Its state.
    pub store: Arc<dyn Physical>,
    /// Its clock, which stands at 2026-01-01.
    pub clock: Arc<HandClock>,
    /// Its entropy, which repeats itself.
    pub entropy: Arc<dyn Entropy>,
}

#[allow(clippy::new_without_default, reason = "a test asks for it by name")]
impl Ground {
    /// An unsealed node, the only one of its cluster.
    pub fn new() -> Self {
        Self::seeded(7)
    }

    /// The same with other entropy: a cluster with other keys.
    pub fn seeded(seed: u64) -> Self {
        Self::over(Arc::new(MemStore::new()), seed)
    }

    /// The same over another store.
    pub fn over(store: Arc<dyn Physical>, seed: u64) -> Self {
        let raft = OneNode::new(store.clone());
        let start = Timestamp::parse_rfc3339("2026-01-01T00:00:00Z").unwrap();
        let clock = Arc::new(HandClock(AtomicU64::new(start.0)));
        let entropy: Arc<dyn Entropy> = Arc::new(SeededEntropy::new(seed));
        let context = Arc::new(Context::new(store.clone(), raft.clone(), clock.clone(), entropy.clone()));
        let root = RootKey::new(Secret::new(vec![7; 32])).unwrap();
        context.set_keys(Keys { root, keyring: Arc::new(Keyring::first(entropy.as_ref(), start)) });
        Self { context, raft, store, clock, entropy }
    }

    /// A node that was never initialized, and so has no keys.
    pub fn sealed() -> Self {
        let ground = Self::new();
        ground.context.drop_keys();
        ground
    }

    /// Changes the role of the cluster in replication.
    pub fn set_role(&self, role: Role) {
        let outcome = self.raft.apply(&Command::SetRole { role, batch: crate::machine::Batch::default() });
        assert!(matches!(outcome, Outcome::Committed(_)), "{outcome:?}");
    }
}

/// A core in memory, initialized, unsealed and active.
pub struct TestCore {
    /// The core.
    pub core: Arc<Core>,
    /// What it stands on.
    pub ground: Ground,
    /// Its other nodes.
    pub upstream: Arc<FakeUpstream>,
    /// The root token of its init.
    pub root: Secret<String>,
    shutdown: CancellationToken,
}

impl Drop for TestCore {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// Nobody to join through.
struct NoLeader;

#[async_trait]
impl JoinClient for NoLeader {
    async fn post(&self, _: &JoinTarget, _: &str, _: Value) -> Result<Value, String> {
        Err("there is no leader".to_owned())
    }
}

/// No streams.
pub struct NoLinks;

#[async_trait]
impl Links for NoLinks {
    fn start(&self) {}
    async fn stop(&self) {}
    fn look_again(&self) {}
    fn cut(&self, _: &str) {}
    fn describe(&self) -> serde_json::Map<String, Value> {
        serde_json::Map::new()
    }
    fn wholeness(&self) -> crate::core::replication::Wholeness {
        crate::core::replication::Wholeness::default()
    }
}

/// No primary to become a secondary of.
pub struct NoPrimary;

#[async_trait]
impl PrimaryClient for NoPrimary {
    async fn unwrap(&self, _: &JoinTarget, _: &Secret<String>, _: &Secret<String>) -> Result<Value, String> {
        Err("there is no primary".to_owned())
    }
    async fn bootstrap(&self, _: &[String], _: &crate::crypto::cert::Identity) -> Result<super::BootstrapPackage, String> {
        Err("there is no primary".to_owned())
    }
}

/// Statuses as far as tests of the core tell them apart.
fn refusal_status(refused: &Refused) -> (u16, Vec<String>) {
    let status = match refused {
        Refused::Denied | Refused::BadToken => 403,
        Refused::Engine(EngineError::Invalid(_)) => 400,
        Refused::NoRoute(_) => 404,
        _ => 500,
    };
    (status, vec![refused.to_string()])
}

/// A request without a token and without fields.
pub fn bare_request(operation: Operation, path: &str) -> Request {
    Request {
        id: RequestId::new(uuid::Uuid::new_v4().to_string()),
        operation,
        path: ApiPath::parse(path).unwrap(),
        data: Data::default(),
        token: None,
        wrap_ttl: None,
        headers: BTreeMap::new(),
        connection: Connection::default(),
    }
}

impl TestCore {
    /// With these kinds of engines, and the audit devices there are.
    pub async fn new(kinds: &'static [&'static Kind]) -> Self {
        Self::linked(kinds, 7, Arc::new(NoLinks), Arc::new(NoPrimary)).await
    }

    /// The same with other entropy, streams and primary.
    pub async fn linked(kinds: &'static [&'static Kind], seed: u64, links: Arc<dyn Links>, primary_client: Arc<dyn PrimaryClient>) -> Self {
        Self::on(Ground::seeded(seed), kinds, links, primary_client).await
    }

    /// The same on `ground`.
    pub async fn on(
        ground: Ground,
        kinds: &'static [&'static Kind],
        links: Arc<dyn Links>,
        primary_client: Arc<dyn PrimaryClient>,
    ) -> Self {
        ground.context.drop_keys();
        let upstream = Arc::new(FakeUpstream::default());
        let core = Core::new(Parts {
            context: ground.context.clone(),
            kinds,
            audit_kinds: crate::audit::ALL,
            upstream: upstream.clone(),
            me: Member { name: "node".to_owned(), ..Member::default() },
            identity: Arc::new(NodeIdentity::in_memory()),
            join_client: Arc::new(NoLeader),
            links,
            primary_client,
            primary_contact: watch::Sender::new(None),
            refusal_status,
            options: Options::default(),
        });
        let observer: Arc<dyn Observer> = core.clone();
        ground.raft.watch(Arc::downgrade(&observer));
        let shutdown = CancellationToken::new();
        tokio::spawn(core.clone().run(shutdown.clone()));
        let init = core.seal().init(InitRequest { secret_shares: 1, secret_threshold: 1, ..InitRequest::default() }).await.unwrap();
        core.seal().unseal(UnsealRequest { key: Some(init.keys[0].clone()), ..UnsealRequest::default() }).await.unwrap();
        let mut standing = core.lifecycle().follow_standing();
        let active = standing.wait_for(|standing| *standing == Standing::Active);
        tokio::time::timeout(std::time::Duration::from_secs(20), active).await.unwrap().unwrap();
        Self { core, ground, upstream, root: Secret::new(init.root_token), shutdown }
    }

    /// A request of the root token.
    pub fn request(&self, operation: Operation, path: &str, data: Value) -> Request {
        let data = match data {
            Value::Object(map) => Data(map),
            _ => Data::default(),
        };
        Request { data, token: Some(self.root.clone()), ..bare_request(operation, path) }
    }

    /// What a request of the root token ends in.
    pub async fn ask(&self, operation: Operation, path: &str, data: Value) -> Result<Response, Refused> {
        self.core.serve(self.request(operation, path, data)).await
    }

    /// The `data` of a request of the root token that must succeed.
    pub async fn data(&self, operation: Operation, path: &str, data: Value) -> Value {
        self.ask(operation, path, data).await.unwrap().data.map_or(Value::Null, Value::Object)
    }

    /// A token with these policies.
    pub async fn token(&self, policies: &[&str]) -> Secret<String> {
        let made = self.ask(Operation::Update, "auth/token/create", json!({ "policies": policies })).await.unwrap();
        made.auth.unwrap().client_token
    }

    /// What a request of `token` ends in.
    pub async fn ask_as(&self, token: &Secret<String>, operation: Operation, path: &str, data: Value) -> Result<Response, Refused> {
        self.core.serve(Request { token: Some(token.clone()), ..self.request(operation, path, data) }).await
    }
}
