//! Two clusters in one process, each a store in memory with a log of one node, linked by channels.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use parking::{Cuttable, channel, resets};
use tokio_util::sync::CancellationToken;

use super::link::*;
use super::*;
use crate::core::testing::OneNode;
use crate::machine::{Batch, Command, KeyUse, Op, Outcome};
use crate::raft::{Consensus, Member, Observer};
use crate::storage::MemStore;
use crate::types::{Generation, Position, Prefix, Scope, SetId, SystemClock, WalIndex};

mod parking {
    //! A channel that can be cut.

    use futures::StreamExt;
    use futures::stream::BoxStream;
    use tokio::sync::mpsc;
    use tokio_stream::wrappers::ReceiverStream;
    use tokio_util::sync::CancellationToken;

    use crate::replication::link::LinkError;

    pub type Cuttable<T> = BoxStream<'static, Result<T, LinkError>>;

    pub fn channel<T: Send + 'static>(cut: &CancellationToken) -> (mpsc::Sender<T>, Cuttable<T>) {
        let (out, rx) = mpsc::channel(2);
        let stream = ReceiverStream::new(rx).map(Ok).take_until(cut.clone().cancelled_owned());
        (out, stream.boxed())
    }

    /// Dropped, it resets the stream, as a connection does: what is under way either way is lost.
    pub fn resets<T: Send + 'static>(stream: Cuttable<T>, cut: &CancellationToken) -> Cuttable<T> {
        let reset = cut.clone().drop_guard();
        stream.inspect(move |_| _ = &reset).boxed()
    }
}

/// Leads to one cluster, until it is cut.
struct TestLink {
    to: Mutex<Option<Handle>>,
    cut: Mutex<CancellationToken>,
    connects: AtomicUsize,
    is_down: Mutex<bool>,
}

#[async_trait]
impl Link for TestLink {
    async fn connect(&self, addrs: &[String]) -> Result<Duplex<FromSecondary, FromPrimary>, LinkError> {
        assert!(!addrs.is_empty());
        if *self.is_down.lock().unwrap() {
            return Err(LinkError::Unreachable("down".to_owned()));
        }
        self.connects.fetch_add(1, Ordering::Relaxed);
        let cut = CancellationToken::new();
        *self.cut.lock().unwrap() = cut.clone();
        let (to_primary, from_secondary): (_, Cuttable<FromSecondary>) = channel(&cut);
        let (to_secondary, from_primary) = channel(&cut);
        let primary = self.to.lock().unwrap().clone().unwrap();
        tokio::spawn(async move { primary.accept("eu".to_owned(), Duplex { out: to_secondary, incoming: from_secondary }).await });
        // A secondary has something to commit before it speaks. The primary is heard first.
        tokio::time::sleep(Duration::from_millis(5)).await;
        Ok(Duplex { out: to_primary, incoming: resets(from_primary, &cut) })
    }
}

#[derive(Default)]
struct TestRecord {
    known: Mutex<Vec<String>>,
    /// What it tells its secondaries, if not the addresses of its nodes.
    told: Mutex<Option<Vec<String>>>,
}

#[async_trait]
impl PrimaryRecord for TestRecord {
    fn addrs(&self) -> Vec<String> {
        self.known.lock().unwrap().clone()
    }
    async fn learned(&self, addrs: Vec<String>) {
        *self.known.lock().unwrap() = addrs;
    }
    fn told(&self) -> Option<Vec<String>> {
        self.told.lock().unwrap().clone()
    }
}

struct Cluster {
    store: Arc<MemStore>,
    raft: Arc<OneNode>,
    feed: Arc<Feed>,
    link: Arc<TestLink>,
    record: Arc<TestRecord>,
    handle: Handle,
}

impl Cluster {
    fn new() -> Self {
        let store = Arc::new(MemStore::new());
        let raft = OneNode::new(store.clone());
        let feed = Feed::new(store.clone());
        let observer: Arc<dyn Observer> = feed.clone();
        raft.watch(Arc::downgrade(&observer));
        let link = Arc::new(TestLink {
            to: Mutex::new(None),
            cut: Mutex::new(CancellationToken::new()),
            connects: AtomicUsize::new(0),
            is_down: Mutex::new(false),
        });
        let record = Arc::new(TestRecord { known: Mutex::new(vec!["https://p:1".to_owned()]), ..TestRecord::default() });
        let parts = Parts {
            store: store.clone(),
            raft: raft.clone(),
            link: link.clone(),
            clock: Arc::new(SystemClock),
            primary: record.clone(),
            me: Member { name: "n".to_owned(), cluster_addr: "n:2".to_owned(), api_addr: "http://n:1".to_owned() },
            role_key: Key::node("role"),
            keys_first: Vec::new(),
            keep: Keep::default(),
        };
        let handle = Handle::new(parts, feed.clone());
        Self { store, raft, feed, link, record, handle }
    }

    fn propose(&self, command: &Command) -> Outcome {
        self.raft.apply(command)
    }

    fn write(&self, path: &str, value: &str) {
        let op = Op::Put { key: Key::shared(path), value: value.as_bytes().to_vec().into() };
        let batch = Batch { ops: vec![op], at: Timestamp(1), ..Batch::default() };
        let outcome = self.propose(&Command::Write(batch));
        assert!(matches!(outcome, Outcome::Committed(_)), "{outcome:?}");
    }

    fn set_role(&self, role: Role) {
        self.propose(&Command::SetRole { role, batch: Batch::default() });
    }

    fn rows(&self) -> Vec<(String, Vec<u8>)> {
        let reader = self.store.reader();
        let paths = reader.list(&Prefix::new(Scope::Shared, ""), None, usize::MAX).unwrap();
        paths.into_iter().map(|path| (path.to_string(), reader.get(&Key::shared(path)).unwrap().unwrap().value.to_vec())).collect()
    }

    fn at(&self) -> Position {
        self.store.positions().performance
    }

    /// Waits until this cluster's shared rows are those of `other`.
    #[track_caller]
    fn becomes(&self, other: &Self) -> impl Future<Output = ()> {
        let place = std::panic::Location::caller();
        let (mut mine, mut theirs) = (self.feed.position(), other.feed.position());
        async move {
            let equal = async {
                while self.at() != other.at() || matches!(self.store.role(), Role::Secondary { filling: true, .. }) {
                    tokio::select! {
                        _ = mine.changed() => {}
                        _ = theirs.changed() => {}
                        // A role alone may have changed.
                        () = tokio::time::sleep(Duration::from_millis(20)) => {}
                    }
                }
            };
            let shown = || format!("{place}: {:?} {:?}", self.at(), self.handle.describe(Timestamp(0)));
            tokio::time::timeout(Duration::from_secs(20), equal).await.unwrap_or_else(|_| panic!("{}", shown()));
            assert_eq!(self.rows(), other.rows());
            assert_eq!(self.store.reader().pages(Scope::Shared), other.store.reader().pages(Scope::Shared));
        }
    }
}

fn primary_role(generation: u64) -> Role {
    Role::Primary { set: SetId::new("set"), generation: Generation(generation), fenced_by: None }
}
fn secondary_role(generation: u64, filling: bool) -> Role {
    Role::Secondary { set: SetId::new("set"), generation: Generation(generation), filling }
}

/// A primary with some rows, and a secondary that has just adopted it.
fn pair() -> (Cluster, Cluster) {
    let (primary, secondary) = (Cluster::new(), Cluster::new());
    *secondary.link.to.lock().unwrap() = Some(primary.handle.clone());
    secondary.write("old", "gone after adoption");
    for n in 0..50 {
        primary.write(&format!("m/{n}"), "first");
    }
    let local = Op::Put { key: Key::local("l/0"), value: b"stays here".to_vec().into() };
    primary.propose(&Command::Write(Batch { ops: vec![local], ..Batch::default() }));
    primary.set_role(primary_role(1));
    let adopted = secondary.propose(&Command::Adopt { role: secondary_role(1, true), ops: Vec::new(), encrypted: KeyUse::default() });
    assert!(matches!(adopted, Outcome::Committed(_)));
    primary.handle.start();
    secondary.handle.start();
    (primary, secondary)
}

#[tokio::test]
async fn a_secondary_is_filled_and_then_streams() {
    let (primary, secondary) = pair();
    secondary.becomes(&primary).await;
    for n in 0..50 {
        primary.write(&format!("m/{n}"), "second");
    }
    secondary.becomes(&primary).await;
    assert_eq!(secondary.store.role(), secondary_role(1, false));
    assert_eq!(secondary.link.connects.load(Ordering::Relaxed), 1);
    // Its own records reach as far, so that it can be promoted.
    assert_eq!(secondary.store.records_kept().last, primary.store.records_kept().last);
}

#[tokio::test]
async fn a_cut_link_resumes_where_it_was() {
    let (primary, secondary) = pair();
    secondary.becomes(&primary).await;
    *secondary.link.is_down.lock().unwrap() = true;
    secondary.link.cut.lock().unwrap().cancel();
    for n in 0..20 {
        primary.write(&format!("n/{n}"), "while away");
    }
    let records_before = secondary.store.records_kept().first;
    *secondary.link.is_down.lock().unwrap() = false;
    secondary.becomes(&primary).await;
    assert!(secondary.link.connects.load(Ordering::Relaxed) > 1);
    // It streamed: a comparison would have forgotten the records.
    assert!(records_before.0 == 0 || secondary.store.records_kept().first == records_before);
    assert_eq!(secondary.store.records_kept().last, primary.at().wal);
}

#[tokio::test]
async fn a_secondary_that_was_away_too_long_fetches_what_differs() {
    let (primary, secondary) = pair();
    secondary.becomes(&primary).await;
    secondary.handle.stop().await;
    primary.write("m/3", "changed");
    primary.propose(&Command::Write(Batch { ops: vec![Op::Delete { key: Key::shared("m/4") }], ..Batch::default() }));
    primary.store.trim_records(primary.at().wal).unwrap();
    primary.write("m/5", "changed");
    secondary.handle.start();
    secondary.becomes(&primary).await;
    assert_eq!(secondary.store.records_kept().last, WalIndex(0), "it compared");
}

#[tokio::test]
async fn a_history_that_parted_is_overwritten_by_the_new_primary() {
    let (old, new) = pair();
    new.becomes(&old).await;
    new.handle.stop().await;
    old.write("m/1", "never shipped");
    old.write("tail", "never shipped");
    // The secondary is promoted, the old primary demoted and pointed to it.
    old.handle.stop().await;
    new.set_role(primary_role(2));
    new.write("m/2", "after promotion");
    old.set_role(secondary_role(1, false));
    *old.link.to.lock().unwrap() = Some(new.handle.clone());
    new.handle.start();
    old.handle.start();
    old.becomes(&new).await;
    assert!(old.rows().iter().all(|(path, _)| path != "tail"));
    assert_eq!(old.store.role().generation(), Generation(2));
}

#[tokio::test]
async fn a_cluster_that_was_demoted_ships_what_its_secondary_lacks_until_it_follows_another() {
    let (old, new) = pair();
    new.becomes(&old).await;
    *new.link.is_down.lock().unwrap() = true;
    new.link.cut.lock().unwrap().cancel();
    old.write("tail", "acknowledged while the link was down");
    old.record.known.lock().unwrap().clear();
    old.set_role(secondary_role(1, false));
    *new.link.is_down.lock().unwrap() = false;
    new.becomes(&old).await;
    assert_eq!(old.handle.describe(Timestamp(0))["secondaries"][0]["lag_records"], 0);

    *old.record.known.lock().unwrap() = vec!["https://other:1".to_owned()];
    *old.link.is_down.lock().unwrap() = true;
    old.handle.look_again();
    let cut = async {
        while new.handle.last_whole(Timestamp(0)).0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), cut).await.expect("its stream ends");
    assert!(old.handle.describe(Timestamp(0)).get("secondaries").is_none());
}

#[tokio::test]
async fn a_primary_that_meets_a_later_generation_is_fenced() {
    let (stale, newer) = pair();
    newer.becomes(&stale).await;
    newer.handle.stop().await;
    newer.set_role(secondary_role(5, false));
    newer.handle.start();
    let mut roles = stale.feed.roles();
    let fenced = roles.wait_for(|_| matches!(stale.store.role(), Role::Primary { fenced_by: Some(Generation(5)), .. }));
    tokio::time::timeout(Duration::from_secs(10), fenced).await.unwrap().unwrap();
    let op = Op::Put { key: Key::shared("m"), value: Vec::new().into() };
    let refused = stale.propose(&Command::Write(Batch { ops: vec![op], ..Batch::default() }));
    assert_eq!(refused, Outcome::Refused(crate::machine::Refusal::Fenced(Generation(5))));
}

#[tokio::test]
async fn the_primary_may_write_during_a_comparison() {
    let (primary, secondary) = pair();
    let primary = Arc::new(primary);
    let writer = {
        let primary = primary.clone();
        tokio::spawn(async move {
            for n in 0..400 {
                primary.write(&format!("m/{}", n % 60), &format!("{n}"));
                tokio::task::yield_now().await;
            }
        })
    };
    writer.await.unwrap();
    secondary.becomes(&primary).await;
}

#[tokio::test]
async fn a_new_link_compares_nothing_before_an_entry_of_its_own_is_committed() {
    let (primary, secondary) = pair();
    secondary.becomes(&primary).await;
    let before = secondary.raft.proposed.load(Ordering::Relaxed);
    // What the last link proposed may still be on its way while nothing can be committed.
    secondary.raft.lead(false);
    let connects = secondary.link.connects.load(Ordering::Relaxed);
    secondary.link.cut.lock().unwrap().cancel();
    let again = async {
        while secondary.link.connects.load(Ordering::Relaxed) < connects + 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), again).await.expect("it tries again");
    assert_ne!(secondary.handle.describe(Timestamp(0))["state"], "stream-wals");
    secondary.raft.lead(true);
    let streams = async {
        while secondary.handle.describe(Timestamp(0))["state"] != "stream-wals" {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), streams).await.expect("it streams");
    assert_eq!(secondary.raft.proposed.load(Ordering::Relaxed), before + 1);
}

#[tokio::test]
async fn a_link_cut_again_and_again_still_ends_equal() {
    let (primary, secondary) = pair();
    for round in 0..12 {
        primary.write(&format!("m/{round}"), "again");
        tokio::time::sleep(Duration::from_millis(7 * round)).await;
        secondary.link.cut.lock().unwrap().cancel();
    }
    secondary.becomes(&primary).await;
}

#[tokio::test]
async fn an_unknown_outcome_is_looked_up_and_not_repeated() {
    let (primary, secondary) = pair();
    secondary.becomes(&primary).await;
    secondary.raft.loses_next_answer.store(true, Ordering::Relaxed);
    primary.write("m/1", "once");
    secondary.becomes(&primary).await;
    primary.write("m/1", "twice");
    secondary.becomes(&primary).await;
    assert!(secondary.link.connects.load(Ordering::Relaxed) >= 2);
}

#[tokio::test]
async fn both_sides_know_each_other_and_the_lag() {
    let (primary, secondary) = pair();
    secondary.becomes(&primary).await;
    let known = async {
        loop {
            let shown = Value::Object(primary.handle.describe(SystemClock.now()));
            let back = Value::Object(secondary.handle.describe(SystemClock.now()));
            let peer = &shown["secondaries"][0];
            let is_known = peer["lag_seconds"] == 0.0 && peer["state"] == "stream-wals" && peer["cluster_address"] == "https://n:2";
            if is_known && back["primaries"][0]["lag_records"] == 0 && back["state"] == "stream-wals" && back["connection_state"] == "ready"
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), known).await.unwrap();
    assert_eq!(secondary.handle.catching_up(), (false, 0));
    // One node of the primary has an empty address in this test: nothing better than what is known.
    assert!(!secondary.record.addrs().is_empty());
    primary.handle.cut("eu");
    assert_eq!(Value::Object(primary.handle.describe(SystemClock.now()))["secondaries"], serde_json::json!([]));
}

/// As many as before, each under another address.
#[tokio::test]
async fn a_primary_whose_nodes_were_replaced_is_known_by_the_new_ones() {
    let (primary, secondary) = pair();
    let before = secondary.record.addrs();
    let now: Vec<String> = before.iter().map(|addr| format!("{addr}9")).collect();
    *primary.record.told.lock().unwrap() = Some(now.clone());
    let known = async {
        while secondary.record.addrs() != now {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), known).await.unwrap();
}

#[tokio::test]
async fn a_node_that_is_not_active_serves_no_streams() {
    let (primary, secondary) = pair();
    secondary.becomes(&primary).await;
    primary.handle.stop().await;
    let status = primary.raft.status();
    assert!(status.borrow().is_leader);
    primary.write("m/1", "not shipped");
    let cut = CancellationToken::new();
    let (_out, incoming) = channel(&cut);
    let (out, mut back): (_, Cuttable<FromPrimary>) = channel(&cut);
    primary.handle.accept("eu".to_owned(), Duplex { out, incoming }).await;
    assert!(back.next().await.is_none());
}

/// A primary that serves, and nobody yet.
fn serving() -> Cluster {
    let primary = Cluster::new();
    primary.set_role(primary_role(1));
    primary.handle.start();
    primary
}

/// A stream of the secondary `eu` that says nothing, under way; and its other end.
async fn opened(primary: &Cluster) -> (BoxFuture<'_, ()>, impl Sized + use<>) {
    let cut = CancellationToken::new();
    let ((out, rx), (say, incoming)) = (channel(&cut), channel(&cut));
    let mut stream = primary.handle.accept("eu".to_owned(), Duplex { out, incoming }).boxed();
    assert!(futures::poll!(&mut stream).is_pending());
    (stream, (rx, say))
}

/// How that secondary's connection stands.
fn stands(primary: &Cluster) -> Value {
    primary.handle.describe(Timestamp(0))["secondaries"][0]["connection_status"].clone()
}

#[tokio::test]
async fn a_stream_that_is_dropped_half_way_is_no_connection() {
    let primary = serving();
    let (stream, _other_end) = opened(&primary).await;
    assert_eq!(stands(&primary), "connected");
    drop(stream);
    assert_eq!(stands(&primary), "disconnected");
}

#[tokio::test]
async fn a_stream_that_was_replaced_leaves_its_successor_alone() {
    let primary = serving();
    let (old, _old_end) = opened(&primary).await;
    let (new, _new_end) = opened(&primary).await;
    drop(old);
    assert_eq!(stands(&primary), "connected");
    // It can still be found, and ended.
    primary.handle.cut("eu");
    tokio::time::timeout(Duration::from_secs(10), new).await.unwrap();
}
