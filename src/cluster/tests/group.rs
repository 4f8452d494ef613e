//! Three real nodes: Raft over this port, RocksDB below it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::cluster::testing::{Rig, authority, node};
use crate::cluster::{Dialer, Handle, Options, RaftTransport, Services, start};
use crate::crypto::cert::Authority;
use crate::machine::{Applied, Batch, Command, Op, Outcome};
use crate::raft::{self, Consensus, Member, Observer};
use crate::storage::{Physical, RocksOptions, RocksStore};
use crate::types::{Key, NodeId, SystemClock, Timestamp};

struct Node {
    member: Member,
    raft: Arc<raft::Raft>,
    store: Arc<RocksStore>,
    port: Handle,
    replaced: Arc<Replaced>,
    folder: TempDir,
}

/// Counts how often the whole state was replaced.
#[derive(Default)]
struct Replaced(AtomicU64);

impl Observer for Replaced {
    fn applied(&self, _: &Applied) {}
    fn replaced(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Node {
    async fn start(ours: &Authority, name: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(RocksStore::open(RocksOptions::new(folder.path().join("state"))).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let member = Member { name: name.into(), cluster_addr: listener.local_addr().unwrap().to_string(), api_addr: String::new() };
        let identity = watch::Sender::new(Some(node(ours, name))).subscribe();
        let dialer = Dialer::new(identity.clone());
        let mut options = raft::Options::new(NodeId::of_name(name), folder.path().join("raft"));
        options.snapshot_entries = 100;
        options.log_keep_entries = 10;
        let replaced = Arc::new(Replaced::default());
        let transport = Arc::new(RaftTransport::new(dialer.clone()));
        let raft = Arc::new(raft::start(options, store.clone(), transport, replaced.clone()).await.unwrap());
        let fakes = Rig::with(ours, None, Arc::new(SystemClock)).await.fakes;
        let services = Services {
            raft: raft.receiver(),
            requests: fakes.clone(),
            node: fakes.clone(),
            secondaries: fakes.clone(),
            links: fakes.clone(),
        };
        let options = Options {
            name: name.to_owned(),
            life: crate::crypto::cert::NODE_LIFE,
            standing: watch::Sender::new(crate::core::Standing::Sealed).subscribe(),
            listener,
            identity,
            dialer,
            status: raft.status(),
            clock: Arc::new(SystemClock),
        };
        let port = start(options, services).unwrap();
        Self { member, raft, store, port, replaced, folder }
    }

    fn id(&self) -> NodeId {
        NodeId::of_name(&self.member.name)
    }

    async fn write(&self, path: &str) {
        let op = Op::Put { key: Key::shared(path), value: Bytes::from(vec![7; 2000]) };
        let batch = Batch { ops: vec![op], at: Timestamp(1), ..Batch::default() };
        let outcome = self.raft.propose(&Command::Write(batch)).await.unwrap();
        assert!(matches!(outcome, Outcome::Committed(_)), "{outcome:?}");
    }

    async fn holds(&self, path: &str) {
        let key = Key::shared(path);
        wait_until(&format!("{} holds {path}", self.member.name), || self.store.reader().get(&key).unwrap().is_some()).await;
    }

    async fn stop(self) {
        self.raft.shutdown().await;
        self.port.shutdown().await;
    }
}

async fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = tokio::time::Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(40), "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_elect_replicate_send_snapshots_and_survive_their_leader() {
    let ours = authority();
    let a = Node::start(&ours, "a").await;
    a.raft.bootstrap(a.member.clone()).await.unwrap();
    // More than the log keeps: who joins now needs the snapshot.
    for n in 0..250 {
        a.write(&format!("k/{n}")).await;
    }
    let shelf = a.folder.path().join("raft/snapshots");
    wait_until("a snapshot is taken", || std::fs::read_dir(&shelf).is_ok_and(|mut taken| taken.next().is_some())).await;
    let b = Node::start(&ours, "b").await;
    let c = Node::start(&ours, "c").await;
    for node in [&b, &c] {
        a.raft.add_peer(node.id(), node.member.clone(), true).await.unwrap();
        node.holds("k/0").await;
        node.holds("k/249").await;
    }
    wait_until("the state came as a snapshot", || c.replaced.0.load(Ordering::SeqCst) > 0).await;
    wait_until("all three vote", || a.raft.status().borrow().peers.iter().filter(|peer| peer.is_voter).count() == 3).await;
    a.write("after").await;
    b.holds("after").await;
    c.holds("after").await;
    a.stop().await;
    let rest = [&b, &c];
    wait_until("another node leads", || rest.iter().any(|node| node.raft.status().borrow().is_leader)).await;
    let leader = if b.raft.status().borrow().is_leader { &b } else { &c };
    leader.raft.read_barrier().await.unwrap();
    leader.write("later").await;
    b.holds("later").await;
    c.holds("later").await;
    b.stop().await;
    c.stop().await;
}
