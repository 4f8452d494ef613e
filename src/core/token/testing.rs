//! For tests: tokens, policies, leases and wrapping on a core in memory, called through their APIs.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use serde_json::Value;

use super::{Identified, Limits, TokenEngine, Tokens};
use crate::barrier::Txn;
use crate::core::lease::{Lease, LeaseEngine, Leases, RevokeLease};
use crate::core::policy::{CapabilitiesEngine, Policies, PolicyEngine};
use crate::core::testing::Ground;
use crate::core::token::TokenSpec;
use crate::core::wrapping::{Wrapping, WrappingEngine};
use crate::core::{SystemEngine, WriteError};
use crate::engine::{Access, Body, Call, Caller, Connection, Data, EngineError, Mount, Operation, Reply, Request, find_route};
use crate::machine::Applied;
use crate::raft::Observer;
use crate::types::{ApiPath, Key, MountId, RequestId, Scope, Secret, Timestamp, Ttl};

/// Mounts that remember what was revoked, and may fail.
#[derive(Default)]
pub struct TestMounts {
    pub revoked: Mutex<Vec<String>>,
    pub fails: AtomicBool,
    pub tries: AtomicU32,
}

#[async_trait]
impl RevokeLease for TestMounts {
    async fn revoke(&self, lease: &Lease, txn: &mut Txn) -> Result<(), EngineError> {
        self.tries.fetch_add(1, Ordering::Relaxed);
        if self.fails.load(Ordering::Relaxed) {
            txn.put(Key::local("half/done"), Secret::new(vec![1]));
            return Err(EngineError::Internal("the database is away".to_owned()));
        }
        self.revoked.lock().unwrap().push(lease.id.clone());
        Ok(())
    }
    fn limits(&self, path: &str) -> Option<Limits> {
        (!path.starts_with("gone/")).then_some(Limits { default: Ttl(3600), max: Ttl(36_000) })
    }
}

struct Listener(Arc<Tokens>, Arc<Policies>, Arc<Leases>);

impl Observer for Listener {
    fn applied(&self, applied: &Applied) {
        let changed: Vec<Key> = applied.rows.iter().map(|row| row.key.clone()).collect();
        self.0.forget(&changed);
        self.1.forget(&changed);
        self.2.forget(&changed);
    }
    fn replaced(&self) {}
}

pub struct World {
    pub ground: Ground,
    pub mounts: Arc<TestMounts>,
    pub tokens: Arc<Tokens>,
    pub policies: Arc<Policies>,
    pub leases: Arc<Leases>,
    pub wrapping: Arc<Wrapping>,
    pub root: Secret<String>,
    areas: Vec<(&'static str, Box<dyn SystemEngine>)>,
    _listener: Arc<dyn Observer>,
}

impl World {
    pub async fn new() -> Self {
        let ground = Ground::new();
        let ctx = ground.context.clone();
        let mounts = Arc::new(TestMounts::default());
        let tokens = Arc::new(Tokens::new(ctx.clone()));
        let policies = Arc::new(Policies::new(ctx.clone()));
        let leases = Arc::new(Leases::new(ctx.clone(), tokens.clone(), mounts.clone()));
        let wrapping = Arc::new(Wrapping::new(ctx.clone(), tokens.clone(), "http://127.0.0.1:1".to_owned()));
        let listener: Arc<dyn Observer> = Arc::new(Listener(tokens.clone(), policies.clone(), leases.clone()));
        ground.raft.watch(Arc::downgrade(&listener));
        let areas: Vec<(&'static str, Box<dyn SystemEngine>)> = vec![
            ("auth/token/", Box::new(TokenEngine::new(tokens.clone(), policies.clone(), mounts.clone()))),
            ("sys/", Box::new(PolicyEngine)),
            ("sys/", Box::new(CapabilitiesEngine::new(tokens.clone(), policies.clone()))),
            ("sys/", Box::new(LeaseEngine::new(leases.clone()))),
            ("sys/", Box::new(WrappingEngine::new(wrapping.clone(), policies.clone()))),
        ];
        tokens.ensure().await.unwrap();
        let mut world = Self { ground, mounts, tokens, policies, leases, wrapping, root: Secret::default(), areas, _listener: listener };
        world.root = world.make(TokenSpec::root(None)).await;
        world
    }

    pub fn now(&self) -> Timestamp {
        self.ground.context.now()
    }

    pub fn mount(&self, path: &str) -> Mount {
        Mount {
            id: MountId::new("m"),
            path: path.to_owned(),
            accessor: "m_1".to_owned(),
            scope: Scope::Shared,
            options: BTreeMap::new(),
            default_ttl: Ttl(3600),
            max_ttl: Ttl(36_000),
            entropy: self.ground.entropy.clone(),
        }
    }

    /// One transaction, committed.
    pub async fn write<T>(&self, mut change: impl FnMut(&mut Txn) -> Result<T, EngineError> + Send) -> Result<T, WriteError> {
        self.ground.context.write(|txn| change(txn)).await
    }

    pub async fn make(&self, spec: TokenSpec) -> Secret<String> {
        self.write(|txn| self.tokens.create(txn, spec.clone(), self.now())).await.unwrap().token
    }

    /// The token, if it lives.
    pub fn find(&self, token: &Secret<String>) -> Option<Identified> {
        let mut txn = self.ground.context.begin().unwrap();
        self.tokens.identify(&mut txn, token, &Connection::default(), self.now()).ok()
    }

    /// One request, as the pipeline runs it.
    pub async fn call(&self, token: Option<&Secret<String>>, operation: Operation, path: &str, data: Value) -> Result<Reply, EngineError> {
        let data = match data {
            Value::Object(map) => Data(map),
            _ => Data::default(),
        };
        let request = Request {
            id: RequestId::new("r"),
            operation,
            path: ApiPath::parse(path).unwrap(),
            data,
            token: token.cloned(),
            wrap_ttl: None,
            headers: BTreeMap::new(),
            connection: Connection::default(),
        };
        for _ in 0..10 {
            let now = self.now();
            let mut txn = self.ground.context.begin().unwrap();
            let found = self.areas.iter().find_map(|(prefix, area)| {
                let below = path.strip_prefix(prefix)?;
                find_route(area.routes(), operation, below).ok().map(|(route, captures)| (*prefix, area, below, route, captures))
            });
            let (prefix, area, below, route, captures) = found.ok_or(EngineError::Unsupported)?;
            let mut caller = Caller::default();
            let identified = token.and_then(|token| self.tokens.identify(&mut txn, token, &request.connection, now).ok());
            if let Some(mut identified) = identified {
                caller = identified.caller();
                if route.access != Access::Anyone {
                    self.tokens.use_once(&mut txn, &mut identified, now)?;
                }
            }
            if route.access != Access::Anyone {
                let acl = self.policies.acl_for(&caller.policies)?;
                let decision = acl.decide(operation, path, &request.data, None);
                if !decision.is_allowed || route.access == Access::Sudo && !decision.is_sudo {
                    return Err(EngineError::Denied);
                }
            }
            let mount = self.mount(prefix);
            let call = Call { request: &request, operation, path: below, route, captures, caller: &caller, mount: &mount, now };
            let reply = area.handle(&call, &mut txn).await?;
            if self.ground.context.commit(txn, now).await.unwrap().is_some() {
                return Ok(reply);
            }
        }
        panic!("the request is in conflict again and again");
    }

    /// The `data` of a request that must succeed.
    pub async fn data(&self, token: &Secret<String>, operation: Operation, path: &str, data: Value) -> Value {
        match self.call(Some(token), operation, path, data).await.unwrap().body {
            Body::Data(map) => Value::Object(map),
            other => panic!("expected data, got {other:?}"),
        }
    }

    /// The token of a request that must make one.
    pub async fn token(&self, by: &Secret<String>, path: &str, data: Value) -> Secret<String> {
        match self.call(Some(by), Operation::Update, path, data).await.unwrap().body {
            Body::Auth(auth) => auth.client_token,
            other => panic!("expected a token, got {other:?}"),
        }
    }

    /// The text of a request that must be refused.
    pub async fn refused(&self, token: &Secret<String>, path: &str, data: Value) -> String {
        self.call(Some(token), Operation::Update, path, data).await.unwrap_err().to_string()
    }

    /// Sweeps until nothing is due.
    pub async fn sweep(&self) {
        for _ in 0..1000 {
            if self.leases.pass().await.unwrap() > std::time::Duration::ZERO {
                return;
            }
        }
        panic!("something is always due");
    }

    /// Paths of all rows whose path starts with `prefix`.
    pub fn rows(&self, prefix: &str) -> usize {
        self.ground.store.reader().list(&crate::types::Prefix::new(Scope::Local, prefix), None, 100_000).unwrap().len()
    }
}
