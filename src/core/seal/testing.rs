//! Nodes in memory with a seal, for tests of seal, join and lifecycle.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use serde_json::{Value, json};

use super::super::join::{JoinAnswer, JoinClient, JoinTarget, Joins};
use super::super::node_identity::NodeIdentity;
use super::super::testing::OneNode;
use super::super::{Context, keys};
use super::{FirstRows, InitAnswer, InitRequest, Seal, SealError, SealParts, SealStatus, UnsealRequest};
use crate::barrier::Txn;
use crate::crypto::entropy::{OsEntropy, random_base62};
use crate::engine::EngineError;
use crate::machine::{Applied, Batch, Command, Op};
use crate::raft::{Member, Observer, Peer};
use crate::storage::{MemStore, Physical};
use crate::types::{Clock, Key, NodeId, Prefix, Scope, Secret, SystemClock, Timestamp};

/// Writes each root token as a row of its own.
struct Rows;

pub fn token_row(token: &str) -> Key {
    Key::local(format!("test/token/{token}"))
}

impl FirstRows for Rows {
    fn mounts(&self, txn: &mut Txn, _: Timestamp) -> Result<(), EngineError> {
        txn.put(Key::shared("test/mounts"), Secret::new(b"mounts".to_vec()));
        Ok(())
    }
    fn root_token(&self, txn: &mut Txn, _: Timestamp, id: Option<&Secret<String>>) -> Result<Secret<String>, EngineError> {
        let token = id.map_or_else(|| format!("hvs.{}", random_base62(&OsEntropy, 24)), |id| id.expose().clone());
        txn.put(token_row(&token), Secret::new(b"root".to_vec()));
        Ok(Secret::new(token))
    }
}

/// A node's log and state.
type Reached = (Arc<OneNode>, Arc<MemStore>);

/// Reaches nodes by name, in memory. Once a node has answered right, the leader's state is copied to it.
#[derive(Default)]
pub struct Net {
    /// So many leaders are lost before they have added the node that answered right.
    pub loses: AtomicU32,
    leaders: Mutex<HashMap<String, Arc<Joins>>>,
    joiners: Mutex<HashMap<String, Reached>>,
}

#[async_trait]
impl JoinClient for Net {
    async fn post(&self, target: &JoinTarget, path: &str, body: Value) -> Result<Value, String> {
        let joins = self.leaders.lock().unwrap().get(&target.leader_api_addr).cloned().ok_or("connection refused")?;
        let text = |field: &str| body[field].as_str().unwrap_or_default().to_owned();
        let name = text("server_id");
        let answer = if path.ends_with("challenge") {
            joins.challenge(&name)
        } else {
            let member = Member { name: name.clone(), cluster_addr: text("cluster_addr"), api_addr: text("api_addr") };
            joins.answer(&name, &text("answer"), member, true, Clock::now(&SystemClock)).await
        };
        let answer = answer.map_err(|error| error.to_string())?;
        if path.ends_with("answer") {
            // It sends its state, and is lost before others know of that node.
            self.send_state(&target.leader_api_addr, &name);
            let is_lost = self.loses.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok();
            if !is_lost {
                self.seat(&name);
            }
        }
        Ok(json!({ "data": answer }))
    }
}

impl Net {
    /// Copies one node's state to another.
    pub fn send_state(&self, from: &str, to: &str) {
        let (from, to) = {
            let joiners = self.joiners.lock().unwrap();
            (joiners[from].1.clone(), joiners[to].0.clone())
        };
        copy(&from, &to);
    }

    /// The group that `name` joined knows it.
    fn seat(&self, name: &str) {
        let joiner = self.joiners.lock().unwrap()[name].0.clone();
        let member = Member { name: name.to_owned(), ..Member::default() };
        joiner.seat(Peer { id: NodeId::of_name(name), member, is_voter: false });
    }
}

fn copy(from: &MemStore, to: &OneNode) {
    let reader = from.reader();
    let mut ops = Vec::new();
    for scope in Scope::ALL {
        for path in reader.list(&Prefix::new(scope, ""), None, usize::MAX).unwrap() {
            let key = Key::new(scope, path);
            let value = reader.get(&key).unwrap().unwrap().value;
            ops.push(Op::Put { key, value });
        }
    }
    to.apply(&Command::Write(Batch { ops, ..Batch::default() }));
    // As a follower: its state came from another node.
    to.lead(false);
}

/// One node.
pub struct Node {
    pub seal: Arc<Seal>,
    pub ctx: Arc<Context>,
    pub raft: Arc<OneNode>,
    pub joins: Arc<Joins>,
    _observer: Arc<dyn Observer>,
}

struct Watch(Arc<Seal>);

impl Observer for Watch {
    fn applied(&self, applied: &Applied) {
        let keys: Vec<Key> = applied.rows.iter().map(|row| row.key.clone()).collect();
        self.0.forget(&keys);
    }
    fn replaced(&self) {
        self.0.forget_all();
    }
}

impl Node {
    /// A node that knows nothing.
    pub fn new(net: &Arc<Net>, name: &str) -> Self {
        let store = Arc::new(MemStore::new());
        let raft = OneNode::new(store.clone());
        let ctx = Arc::new(Context::new(store.clone(), raft.clone(), Arc::new(SystemClock), Arc::new(OsEntropy)));
        let seal = Seal::new(SealParts {
            context: ctx.clone(),
            me: Member { name: name.into(), cluster_addr: format!("{name}:8201"), api_addr: name.into() },
            identity: Arc::new(NodeIdentity::in_memory()),
            cluster_name: Some("test".into()),
            first_rows: Arc::new(Rows),
            join_client: net.clone(),
        });
        let observer: Arc<dyn Observer> = Arc::new(Watch(seal.clone()));
        raft.watch(Arc::downgrade(&observer));
        let joins = Joins::new(ctx.clone(), seal.clone());
        net.leaders.lock().unwrap().insert(name.to_owned(), joins.clone());
        net.joiners.lock().unwrap().insert(name.to_owned(), (raft.clone(), store));
        Self { seal, ctx, raft, joins, _observer: observer }
    }

    pub async fn init(&self, shares: i64, threshold: i64) -> InitAnswer {
        let request = InitRequest { secret_shares: shares, secret_threshold: threshold, ..InitRequest::default() };
        self.seal.init(request).await.unwrap()
    }

    /// Finds the cluster to join through `addr`.
    pub async fn find(&self, addr: &str) -> Result<JoinAnswer, SealError> {
        self.seal.join(serde_json::from_value(json!({ "leader_api_addr": addr })).unwrap()).await
    }

    pub async fn unseal(&self, key: &str) -> Result<SealStatus, String> {
        let request = UnsealRequest { key: Some(key.to_owned()), ..UnsealRequest::default() };
        self.seal.unseal(request).await.map_err(|error| error.to_string())
    }

    pub async fn unseal_all(&self, keys: &[String]) {
        for key in keys {
            self.unseal(key).await.unwrap();
        }
        assert!(!self.ctx.is_sealed());
    }

    pub fn has(&self, key: &Key) -> bool {
        self.ctx.store.get(key).unwrap().is_some()
    }

    /// The number of the newest key.
    pub fn term(&self) -> u32 {
        self.ctx.keys().unwrap().keyring.info().term.0
    }

    pub fn can_read(&self) -> bool {
        self.ctx.begin().is_ok_and(|mut txn| txn.get(&keys::cluster_identity()).is_ok_and(|row| row.is_some()))
    }
}
