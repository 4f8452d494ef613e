//! A group in one process: nodes over a network in memory, which can be cut, for tests.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use tempfile::TempDir;

use super::adapter::stored_state;
use super::transport::{Call, Receiver, Transport, TransportError};
use super::{Consensus, Member, Observer, Options, Raft, start};
use crate::machine::{Applied, Batch, Command, Op, Outcome, PageSum};
use crate::storage::{MemStore, Physical, RocksOptions, RocksStore};
use crate::types::{Key, NodeId, Scope};

/// Who can be reached.
#[derive(Default)]
pub struct Wires {
    receivers: HashMap<NodeId, Arc<dyn Receiver>>,
    down: HashSet<NodeId>,
    slow: HashSet<NodeId>,
}

/// How long a message from or to a slow node takes.
const SLOW: Duration = Duration::from_millis(40);

/// The network, as one node sees it.
#[derive(Clone)]
pub struct MemTransport {
    me: NodeId,
    wires: Arc<Mutex<Wires>>,
}

impl MemTransport {
    pub fn new(me: NodeId, wires: Arc<Mutex<Wires>>) -> Self {
        Self { me, wires }
    }

    fn is_cut(&self, to: NodeId) -> bool {
        let wires = self.wires.lock().unwrap();
        wires.down.contains(&to) || wires.down.contains(&self.me)
    }

    async fn travel(&self, to: NodeId) {
        let is_slow = {
            let wires = self.wires.lock().unwrap();
            wires.slow.contains(&to) || wires.slow.contains(&self.me)
        };
        if is_slow {
            tokio::time::sleep(SLOW).await;
        }
    }

    fn reach(&self, to: NodeId) -> Result<Arc<dyn Receiver>, TransportError> {
        let receiver = self.wires.lock().unwrap().receivers.get(&to).cloned();
        receiver.filter(|_| !self.is_cut(to)).ok_or_else(|| TransportError::Unreachable("it is down".to_owned()))
    }
}

#[async_trait]
impl Transport for MemTransport {
    async fn call(&self, to: NodeId, _: &Member, call: Call, message: Bytes) -> Result<Bytes, TransportError> {
        let receiver = self.reach(to)?;
        self.travel(to).await;
        receiver.call(call, message).await.map_err(TransportError::Broken)
    }

    async fn append(
        &self,
        to: NodeId,
        _: &Member,
        messages: BoxStream<'static, Bytes>,
    ) -> Result<BoxStream<'static, Result<Bytes, TransportError>>, TransportError> {
        let there = self.clone();
        let on_its_way = self.clone();
        let messages = messages.take_while(move |_| std::future::ready(!there.is_cut(to))).then(move |message| {
            let line = on_its_way.clone();
            async move {
                line.travel(to).await;
                message
            }
        });
        let answers = self.reach(to)?.append(messages.boxed()).await.map_err(TransportError::Broken)?;
        let back = self.clone();
        let answers = answers.map(move |answer| match answer {
            _ if back.is_cut(to) => Err(TransportError::Broken("it was cut".to_owned())),
            answer => answer.map_err(TransportError::Broken),
        });
        Ok(answers.boxed())
    }

    async fn snapshot(&self, to: NodeId, _: &Member, head: Bytes, folder: PathBuf) -> Result<Bytes, TransportError> {
        let receiver = self.reach(to)?;
        let staged = receiver.stage().await.map_err(TransportError::Unreachable)?;
        for file in std::fs::read_dir(&folder).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), staged.join(file.file_name())).unwrap();
        }
        receiver.install(head, staged).await.map_err(TransportError::Unreachable)
    }
}

/// Where a node's state lies.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Memory,
    Disk,
}

/// Holds the apply loop up while it is told to: behind the first entry that is applied then.
#[derive(Default)]
pub struct Held(pub AtomicBool);

impl Observer for Held {
    fn applied(&self, _: &Applied) {
        // Not for ever: a test that failed is to end.
        for _ in (0..20_000).take_while(|_| self.0.load(Ordering::Acquire)) {
            tokio::task::block_in_place(|| std::thread::sleep(Duration::from_millis(1)));
        }
    }
    fn replaced(&self) {}
}

/// One node: its folder stays when it stops.
pub struct Node {
    pub held: Arc<Held>,
    pub id: NodeId,
    pub folder: TempDir,
    pub store: Arc<dyn Physical>,
    pub raft: Option<Raft>,
    place: Place,
}

/// A group of nodes.
pub struct Group {
    pub wires: Arc<Mutex<Wires>>,
    pub nodes: Vec<Node>,
    pub tune: fn(&mut Options),
}

pub fn member(id: NodeId) -> Member {
    Member { name: format!("node-{}", id.0), cluster_addr: String::new(), api_addr: String::new() }
}

pub fn options(id: NodeId, folder: &Path) -> Options {
    Options {
        heartbeat_interval: Duration::from_millis(50),
        election_timeout: (Duration::from_millis(300), Duration::from_millis(600)),
        ..Options::new(id, folder.join("raft"))
    }
}

impl Node {
    fn open_store(place: Place, folder: &Path) -> Arc<dyn Physical> {
        match place {
            Place::Memory => Arc::new(MemStore::new()),
            Place::Disk => Arc::new(RocksStore::open(RocksOptions::new(folder.join("state"))).unwrap()),
        }
    }

    pub fn raft(&self) -> &Raft {
        self.raft.as_ref().unwrap()
    }

    /// The sums of all pages: equal states have equal ones.
    pub fn sums(&self) -> Vec<PageSum> {
        let reader = self.store.reader();
        [Scope::Shared, Scope::Local].iter().flat_map(|scope| reader.pages(*scope).to_vec()).collect()
    }

    pub fn has(&self, path: &str) -> bool {
        self.store.get(&Key::new(Scope::Local, path)).unwrap().is_some()
    }
}

impl Group {
    /// Three nodes; the first has begun the group and the others have joined and vote.
    pub async fn of_three(place: Place, tune: fn(&mut Options)) -> Self {
        let mut group = Self { wires: Arc::default(), nodes: Vec::new(), tune };
        for number in 1..=3 {
            group.add_node(NodeId(number), place).await;
        }
        group.nodes[0].raft().bootstrap(member(NodeId(1))).await.unwrap();
        for number in 2..=3 {
            group.nodes[0].raft().add_peer(NodeId(number), member(NodeId(number)), true).await.unwrap();
        }
        for node in &group.nodes {
            wait_until(node, |status| status.peers.iter().filter(|peer| peer.is_voter).count() == 3).await;
        }
        group
    }

    pub async fn add_node(&mut self, id: NodeId, place: Place) {
        let folder = tempfile::tempdir().unwrap();
        let store = Node::open_store(place, folder.path());
        self.nodes.push(Node { held: Arc::default(), id, folder, store, raft: None, place });
        let at = self.nodes.len() - 1;
        self.start(at).await;
    }

    /// Starts a node on what its folder holds.
    pub async fn start(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        let mut options = options(node.id, node.folder.path());
        (self.tune)(&mut options);
        let transport = Arc::new(MemTransport { me: node.id, wires: self.wires.clone() });
        let raft = start(options, node.store.clone(), transport, node.held.clone()).await.unwrap();
        self.wires.lock().unwrap().receivers.insert(node.id, raft.receiver());
        node.raft = Some(raft);
    }

    /// Stops a node cleanly.
    pub async fn stop(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        self.wires.lock().unwrap().receivers.remove(&node.id);
        node.raft.take().unwrap().shutdown().await;
    }

    /// Ends a node as if its machine had died: the log loses what was not written, a state in memory is lost whole.
    pub async fn crash(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        self.wires.lock().unwrap().receivers.remove(&node.id);
        node.raft.take().unwrap().crash().await;
        if node.place == Place::Memory {
            node.store = Arc::new(MemStore::new());
        }
    }

    pub fn cut(&self, at: usize, is_cut: bool) {
        let mut wires = self.wires.lock().unwrap();
        if is_cut {
            wires.down.insert(self.nodes[at].id)
        } else {
            wires.down.remove(&self.nodes[at].id)
        };
    }

    /// Makes all lines of a node slow.
    pub fn slow_down(&self, at: usize) {
        self.wires.lock().unwrap().slow.insert(self.nodes[at].id);
    }

    /// The node that all running nodes hold for the leader, once they agree; not `but`.
    pub async fn leader(&self, but: Option<usize>) -> usize {
        let found = async {
            loop {
                let running = || self.nodes.iter().enumerate().filter(|(at, node)| Some(*at) != but && node.raft.is_some());
                let leads = running().find(|(_, node)| node.raft().status().borrow().is_leader);
                if let Some((at, _)) = leads
                    && running().all(|(_, node)| node.raft().status().borrow().leader == Some(self.nodes[at].id))
                {
                    return at;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), found).await.expect("a leader is elected")
    }

    /// Waits until all running nodes have applied the same entries, and checks that their states are the same.
    pub async fn check_same(&self) {
        let same = async {
            loop {
                let running: Vec<&Node> = self.nodes.iter().filter(|node| node.raft.is_some()).collect();
                // What the states say themselves: the status may lag behind an answer.
                let applied: Vec<_> = running.iter().map(|node| stored_state(&*node.store).unwrap().0).collect();
                if applied.windows(2).all(|pair| pair[0] == pair[1]) {
                    return running.iter().map(|node| node.sums()).collect::<Vec<_>>();
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let sums = tokio::time::timeout(Duration::from_secs(20), same).await.expect("all nodes catch up");
        assert!(sums.windows(2).all(|pair| pair[0] == pair[1]), "states differ");
    }
}

pub async fn wait_until(node: &Node, is_so: impl FnMut(&super::RaftStatus) -> bool) {
    wait_for(node.raft(), is_so).await;
}

pub async fn wait_for(raft: &Raft, is_so: impl FnMut(&super::RaftStatus) -> bool) {
    let mut status = raft.status();
    let waited = tokio::time::timeout(Duration::from_secs(20), status.wait_for(is_so)).await;
    if waited.is_err() {
        panic!("waited in vain; status is {:?}", *raft.status().borrow());
    }
}

/// A command that writes one row.
pub fn put(path: &str, value: &str) -> Command {
    let op = Op::Put { key: Key::new(Scope::Local, path), value: Bytes::copy_from_slice(value.as_bytes()) };
    Command::Write(Batch { ops: vec![op], ..Batch::default() })
}

pub async fn write(node: &Node, path: &str) {
    let outcome = node.raft().propose(&put(path, path)).await.unwrap();
    assert!(matches!(outcome, Outcome::Committed(_)));
}
