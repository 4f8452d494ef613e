//! Runs one engine on a memory store, without a core: for tests of engines.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::{Body, Call, Caller, Connection, Data, Engine, EngineError, Kind, Mount, Operation, Reply, Request, find_route};
use crate::barrier::{Keyring, Txn};
use crate::crypto::Entropy;
use crate::crypto::entropy::SeededEntropy;
use crate::machine::{Command, Outcome, Stage};
use crate::storage::{MemStore, Physical, PhysicalView};
use crate::types::{ApiPath, Index, MountId, RequestId, Scope, Timestamp, Ttl};

/// An engine mounted at `test/` on a store in memory.
pub struct Harness {
    /// The engine.
    pub engine: Arc<dyn Engine>,
    /// Its mount.
    pub mount: Mount,
    /// Who calls.
    pub caller: Caller,
    /// The time of the next call.
    pub now: Timestamp,
    store: MemStore,
    keyring: Arc<Keyring>,
    entropy: Arc<dyn Entropy>,
    index: u64,
}

impl Harness {
    /// Mounts `kind` with `options`.
    pub fn new(kind: &Kind, options: &[(&str, &str)]) -> Self {
        let entropy: Arc<dyn Entropy> = Arc::new(SeededEntropy::new(11));
        let options: BTreeMap<String, String> = options.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let mount = Mount {
            id: MountId::new("mount-id"),
            path: "test/".to_owned(),
            accessor: "test_1".to_owned(),
            scope: Scope::Shared,
            options,
            default_ttl: Ttl(3600),
            max_ttl: Ttl(36_000),
            entropy: entropy.clone(),
        };
        let now = Timestamp::parse_rfc3339("2026-01-01T00:00:00Z").expect("a literal");
        let keyring = Arc::new(Keyring::first(entropy.as_ref(), now));
        Self {
            engine: (kind.open)(mount.clone()),
            mount,
            caller: Caller::default(),
            now,
            store: MemStore::new(),
            keyring,
            entropy,
            index: 0,
        }
    }

    /// Makes one call, and commits what it wrote.
    ///
    /// # Errors
    /// The engine's.
    pub async fn call(&mut self, operation: Operation, path: &str, data: Value) -> Result<Reply, EngineError> {
        let data = match data {
            Value::Object(map) => Data(map),
            Value::Null => Data::default(),
            _ => panic!("tests pass objects"),
        };
        let request = Request {
            id: RequestId::new("r"),
            operation,
            path: ApiPath::parse(&format!("test/{path}")).expect("tests use canonical paths"),
            data,
            token: None,
            wrap_ttl: None,
            headers: BTreeMap::new(),
            connection: Connection::default(),
        };
        let (route, captures) = find_route(self.engine.routes(), operation, path).map_err(|_| EngineError::Unsupported)?;
        let mut call =
            Call { request: &request, operation, path, route, captures, caller: &self.caller, mount: &self.mount, now: self.now };
        let mut txn = Txn::new(self.store.reader(), self.keyring.clone(), self.entropy.clone());
        if operation == Operation::Update
            && self.engine.exists(&call, &mut txn.view(&self.mount.id, self.mount.scope, &[])).await? == Some(false)
        {
            call.operation = Operation::Create;
        }
        let reply = self.engine.handle(&call, &mut txn.view(&self.mount.id, self.mount.scope, &[])).await?;
        if !txn.is_read_only() {
            self.index += 1;
            let command = Command::Write(txn.into_batch(self.now));
            let view = PhysicalView(&self.store);
            let mut stage = Stage::new(&view);
            let outcome = stage.apply(Index(self.index), &command).expect("memory can be read").outcome.clone();
            assert!(matches!(outcome, Outcome::Committed(_)), "{outcome:?}");
            let applied = stage.into_applied();
            self.store.commit(&applied, &Vec::new()).expect("memory can be written");
        }
        Ok(reply)
    }

    /// The `data` of a call that must succeed with some.
    pub async fn data(&mut self, operation: Operation, path: &str, data: Value) -> Value {
        match self.call(operation, path, data).await.expect("the call succeeds").body {
            Body::Data(map) => Value::Object(map),
            other => panic!("expected data, got {other:?}"),
        }
    }
}
