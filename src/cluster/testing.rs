//! Shared set-up of this folder's tests: real ports on loopback, with services that record what they are asked.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

use super::{Dialer, Handle, Options, Services, start};
use crate::core::{BootstrapPackage, PrimaryCall, PrimaryReply, RawRequest, RawResponse, Serve, ServeNode, ServeSecondary, Standing};
use crate::crypto::cert::{Authority, Identity, NODE_LIFE, Peer, SECONDARY_LIFE};
use crate::raft::transport::{Call, Receiver};
use crate::raft::{self, Member, RaftStatus};
use crate::replication::link::{Accept, Duplex, FromPrimary, FromSecondary};
use crate::types::{Clock, Generation, NodeId, Position, Secret, SetId, SystemClock, Timestamp, Ttl, WalIndex};

/// A new authority, from now on.
pub fn authority() -> Authority {
    Authority::create("test", SystemClock.now()).unwrap()
}

/// An identity of the node `name`, good now.
pub fn node(authority: &Authority, name: &str) -> Arc<Identity> {
    Arc::new(authority.issue(&Peer::Node(name.to_owned()), SystemClock.now(), NODE_LIFE).unwrap())
}

/// An identity of the secondary `id`, good now.
pub fn secondary(authority: &Authority, id: &str) -> Arc<Identity> {
    Arc::new(authority.issue(&Peer::Secondary(id.to_owned()), SystemClock.now(), SECONDARY_LIFE).unwrap())
}

/// A dialler with an identity that does not change.
pub fn dialer(identity: &Arc<Identity>) -> Dialer {
    Dialer::new(watch::Sender::new(Some(identity.clone())).subscribe())
}

/// What the services of one port say and have heard.
pub struct Fakes {
    pub authority: Authority,
    pub folder: tempfile::TempDir,
    pub is_active: AtomicBool,
    pub admits: AtomicBool,
    pub hangs: AtomicBool,
    pub heard: Mutex<Vec<String>>,
    /// What secondaries may be told.
    pub told: Mutex<Option<Vec<String>>>,
    pub kept: mpsc::UnboundedSender<Identity>,
    pub links: mpsc::UnboundedSender<(String, Duplex<FromPrimary, FromSecondary>)>,
}

impl Fakes {
    fn hear(&self, what: impl Into<String>) {
        self.heard.lock().unwrap().push(what.into());
    }
}

/// A running port and the means to look behind it.
pub struct Rig {
    pub handle: Handle,
    pub addr: String,
    pub fakes: Arc<Fakes>,
    pub identity: watch::Sender<Option<Arc<Identity>>>,
    pub status: watch::Sender<RaftStatus>,
    pub standing: watch::Sender<Standing>,
    pub kept: mpsc::UnboundedReceiver<Identity>,
    pub links: mpsc::UnboundedReceiver<(String, Duplex<FromPrimary, FromSecondary>)>,
}

impl Rig {
    /// An active node called `name`, of a cluster that has this node alone.
    pub async fn active(authority: &Authority, name: &str) -> Self {
        let rig = Self::with(authority, Some(node(authority, name)), Arc::new(SystemClock)).await;
        rig.fakes.is_active.store(true, Ordering::SeqCst);
        rig.status.send_replace(status(name, true, &[rig.member(name)]));
        rig
    }

    pub async fn with(authority: &Authority, identity: Option<Arc<Identity>>, clock: Arc<dyn Clock>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (kept_tx, kept) = mpsc::unbounded_channel();
        let (links_tx, links) = mpsc::unbounded_channel();
        let fakes = Arc::new(Fakes {
            authority: authority.clone(),
            folder: tempfile::tempdir().unwrap(),
            is_active: AtomicBool::new(false),
            admits: AtomicBool::new(true),
            hangs: AtomicBool::new(false),
            heard: Mutex::default(),
            told: Mutex::default(),
            kept: kept_tx,
            links: links_tx,
        });
        let identity = watch::Sender::new(identity);
        let status = watch::Sender::new(RaftStatus::default());
        let services = Services {
            raft: fakes.clone(),
            requests: fakes.clone(),
            node: fakes.clone(),
            secondaries: fakes.clone(),
            links: fakes.clone(),
        };
        let standing = watch::Sender::new(Standing::Sealed);
        let options = Options {
            name: "rig".to_owned(),
            life: NODE_LIFE,
            standing: standing.subscribe(),
            listener,
            identity: identity.subscribe(),
            dialer: Dialer::new(identity.subscribe()),
            status: status.subscribe(),
            clock,
        };
        let handle = start(options, services).unwrap();
        let addr = handle.local_addr().to_string();
        Self { handle, addr, fakes, identity, status, standing, kept, links }
    }

    /// This port as a member of a group.
    pub fn member(&self, name: &str) -> Member {
        Member { name: name.to_owned(), cluster_addr: self.addr.clone(), api_addr: String::new() }
    }
}

/// What `me` knows of a group of `members` that the first of them leads.
pub fn status(me: &str, is_leader: bool, members: &[Member]) -> RaftStatus {
    RaftStatus {
        id: NodeId::of_name(me),
        leader: members.first().map(|member| NodeId::of_name(&member.name)),
        is_leader,
        peers: members
            .iter()
            .map(|member| raft::Peer { id: NodeId::of_name(&member.name), member: member.clone(), is_voter: true })
            .collect(),
        ..RaftStatus::default()
    }
}

#[async_trait]
impl Receiver for Fakes {
    async fn call(&self, call: Call, message: Bytes) -> Result<Bytes, String> {
        Ok([format!("{call:?} ").as_bytes(), &message].concat().into())
    }
    async fn append(&self, messages: BoxStream<'static, Bytes>) -> Result<BoxStream<'static, Result<Bytes, String>>, String> {
        Ok(messages.map(|message| if message == "bad" { Err("refused".to_owned()) } else { Ok(message) }).boxed())
    }
    fn broke(&self) {
        self.hear("broke");
    }
    async fn stage(&self) -> Result<PathBuf, String> {
        let stage = self.folder.path().join("stage");
        std::fs::create_dir(&stage).map_err(|_| "a snapshot is being installed".to_owned())?;
        Ok(stage)
    }
    async fn install(&self, head: Bytes, folder: PathBuf) -> Result<Bytes, String> {
        std::fs::rename(folder, self.folder.path().join("installed")).map_err(|error| error.to_string())?;
        Ok(head)
    }
}

#[async_trait]
impl Serve for Fakes {
    async fn serve(&self, request: RawRequest) -> RawResponse {
        self.hear(format!("{} {}", request.method, request.uri));
        if self.hangs.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        RawResponse { status: 207, headers: request.headers, body: request.body }
    }
}

#[async_trait]
impl ServeNode for Fakes {
    fn is_active(&self) -> bool {
        self.is_active.load(Ordering::SeqCst)
    }
    async fn issue(&self, name: &str) -> Result<Identity, String> {
        self.hear(format!("issue {name}"));
        let later = Timestamp(SystemClock.now().0 + 1000);
        self.authority.issue(&Peer::Node(name.to_owned()), later, NODE_LIFE).map_err(|error| error.to_string())
    }
    async fn keep(&self, identity: Identity) -> Result<(), String> {
        self.kept.send(identity).map_err(|error| error.to_string())
    }
}

#[async_trait]
impl ServeSecondary for Fakes {
    fn admits(&self, _: &str, certificate: &str) -> Result<(), &'static str> {
        let admits = certificate.len() == 64 && self.admits.load(Ordering::SeqCst);
        admits.then_some(()).ok_or("this secondary was revoked")
    }
    async fn serve_call(&self, secondary_id: &str, call: PrimaryCall) -> Option<PrimaryReply> {
        Some(PrimaryReply {
            status: 200,
            errors: vec![secondary_id.to_owned()],
            data: Some(call.data),
            warnings: call.policies,
            position: Position { wal: WalIndex(7), ..Position::default() },
        })
    }
    async fn bootstrap(&self, secondary_id: &str) -> Result<BootstrapPackage, String> {
        Ok(BootstrapPackage {
            set: SetId::new(secondary_id),
            generation: Generation(3),
            root_key: Secret::new(vec![1, 2, 3]),
            raw_rows: vec![("keyring".to_owned(), Bytes::from_static(b"\0raw"))],
            cluster_addrs: vec!["a:1".to_owned()],
            dev_root_token: None,
        })
    }
    fn told_addrs(&self) -> Option<Vec<String>> {
        self.told.lock().unwrap().clone()
    }
}

#[async_trait]
impl Accept for Fakes {
    async fn accept(&self, secondary_id: String, stream: Duplex<FromPrimary, FromSecondary>) {
        let _ = self.links.send((secondary_id, stream));
        std::future::pending::<()>().await;
    }
}

/// A clock that stands still.
pub struct At(pub Timestamp);

impl Clock for At {
    fn now(&self) -> Timestamp {
        self.0
    }
}

/// An identity of a node whose life is over.
pub fn expired(authority: &Authority, name: &str) -> Arc<Identity> {
    let long_ago = Timestamp(SystemClock.now().0 - 10 * 24 * 3600 * 1000);
    Arc::new(authority.issue(&Peer::Node(name.to_owned()), long_ago, Ttl(3600)).unwrap())
}
