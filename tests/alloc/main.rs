//! Gates on allocations: what one request takes from the allocator, from `Core::serve` down, over the store on disk.
//!
//! A binary of its own, because its allocator counts. `COFFER_ALLOC_SITES=1` prints where the allocations come from.

#![allow(clippy::unwrap_used, reason = "tests")]

mod core;
mod counting;

// Named as in the crate: the test core is compiled from its source.
use coffer::{audit, barrier, crypto, engine, engines, machine, raft, storage, types};

use std::sync::Arc;

use serde_json::{Value, json};

use crate::core::testing::{Ground, NoLinks, NoPrimary, TestCore};
use counting::{Taken, taken, trace};
use engine::Operation;
use storage::{RocksOptions, RocksStore};
use types::Secret;

/// Each request is measured so often; the least counts, because the node's own tasks run on the same thread now and then.
const TIMES: usize = 20;

struct Bench {
    test: TestCore,
    /// May read and write secrets, by a policy.
    token: Secret<String>,
}

impl Bench {
    async fn one(&self, operation: Operation, path: &str, data: &Value) -> Taken {
        let request = engine::Request { token: Some(self.token.clone()), ..self.test.request(operation, path, data.clone()) };
        let before = taken();
        let served = self.test.core.serve(request).await;
        let after = taken();
        served.unwrap();
        Taken { allocations: after.allocations - before.allocations, bytes: after.bytes - before.bytes }
    }

    /// Measures and prints; says what is above its gate.
    async fn check(&self, name: &str, operation: Operation, path: impl Fn(usize) -> String, data: Value, gate: Taken) -> Option<String> {
        let mut least = self.one(operation, &path(0), &data).await;
        for n in 1..TIMES {
            least = least.min(self.one(operation, &path(n), &data).await);
        }
        println!("{name}: {} allocations, {} bytes (gates: {}, {})", least.allocations, least.bytes, gate.allocations, gate.bytes);
        if std::env::var_os("COFFER_ALLOC_SITES").is_some() {
            trace(true);
            self.one(operation, &path(TIMES), &data).await;
            trace(false);
        }
        let is_above = least.allocations > gate.allocations || least.bytes > gate.bytes;
        is_above.then(|| format!("{name}: {least:?}, more than {gate:?}"))
    }
}

#[tokio::test]
async fn hot_requests_allocate_no_more_than_they_did() {
    let folder = tempfile::tempdir().unwrap();
    let store = RocksStore::open(RocksOptions::new(folder.path().join("state"))).unwrap();
    let ground = Ground::over(Arc::new(store), 7);
    let test = TestCore::on(ground, engines::ALL, Arc::new(NoLinks), Arc::new(NoPrimary)).await;
    test.ask(Operation::Update, "sys/mounts/secret", json!({"type": "kv", "options": {"version": "2"}})).await.unwrap();
    let rules = "path \"secret/*\" { capabilities = [\"create\", \"read\", \"update\"] }";
    test.ask(Operation::Update, "sys/policies/acl/app", json!({ "policy": rules })).await.unwrap();
    let token = test.token(&["app"]).await;
    let value = json!({"data": {"v": "x".repeat(256)}});
    for n in 0..=TIMES {
        test.ask(Operation::Update, &format!("secret/data/app/read{n}"), value.clone()).await.unwrap();
    }
    let bench = Bench { test, token };
    let gate = |allocations, bytes| Taken { allocations, bytes };
    let wrong = [
        bench.check("kv read", Operation::Read, |n| format!("secret/data/app/read{n}"), Value::Null, gate(62, 7_400)).await,
        bench.check("kv write", Operation::Update, |n| format!("secret/data/app/write{n}"), value, gate(119, 23_500)).await,
        bench.check("token lookup", Operation::Read, |_| "auth/token/lookup-self".to_owned(), Value::Null, gate(89, 13_400)).await,
    ];
    let wrong: Vec<String> = wrong.into_iter().flatten().collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
