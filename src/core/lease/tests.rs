//! Promises of leases, through the API.

use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::json;

use super::{NewLease, Registered};
use crate::core::lifecycle::ActivePart as _;
use crate::core::token::testing::World;
use crate::engine::LeaseSpec;
use crate::engine::Operation::{List, Read, Update};
use crate::types::{Secret, Ttl};

async fn lease(world: &World, token: &Secret<String>, path: &str, ttl: u64) -> Registered {
    let spec = LeaseSpec { ttl: Ttl(ttl), renewable: true, ..LeaseSpec::default() };
    let mount = world.mount("db/");
    world
        .write(|txn| {
            let token = world.tokens.find(txn, token, world.now())?;
            world.leases.register(txn, NewLease { path, mount: &mount, spec: &spec, token: &token }, world.now())
        })
        .await
        .unwrap()
}

#[tokio::test]
async fn a_lease_is_renewed_and_ends() {
    let world = World::new().await;
    let root = &world.root;
    let made = lease(&world, root, "db/creds/a", 100).await;
    assert!(made.id.starts_with("db/creds/a/"));
    assert_eq!(made.ttl, Ttl(100));
    let shown = world.data(root, Update, "sys/leases/lookup", json!({"lease_id": made.id})).await;
    assert_eq!((&shown["ttl"], &shown["renewable"], &shown["last_renewal"]), (&json!(100), &json!(true), &json!(null)));
    assert_eq!(world.data(root, List, "sys/leases/lookup/db/", json!({})).await["keys"], json!(["creds/"]));
    world.ground.clock.pass(90);
    world.sweep().await;
    world.call(Some(root), Update, "sys/leases/renew", json!({"lease_id": made.id, "increment": 50})).await.unwrap();
    world.ground.clock.pass(40);
    world.sweep().await;
    assert!(world.mounts.revoked.lock().unwrap().is_empty());
    world.ground.clock.pass(10);
    assert_eq!(world.refused(root, "sys/leases/renew", json!({"lease_id": made.id})).await, "lease expired");
    world.sweep().await;
    assert_eq!(world.mounts.revoked.lock().unwrap().as_slice(), std::slice::from_ref(&made.id));
    assert_eq!(world.rows("sys/lease/"), 0);
    assert_eq!(world.refused(root, "sys/leases/renew", json!({"lease_id": made.id})).await, "lease not found");
    assert_eq!(world.refused(root, "sys/leases/lookup", json!({"lease_id": made.id})).await, "invalid lease");
    assert_eq!(world.refused(root, "sys/leases/lookup", json!({})).await, "lease_id must be specified");
}

#[tokio::test]
async fn a_node_that_is_active_again_ends_what_comes_due() {
    let world = World::new().await;
    let expirer = world.leases.expirer();
    for times in 1..=2 {
        lease(&world, &world.root, "db/creds/a", 10).await;
        assert!(expirer.start().await.is_ok());
        world.ground.clock.pass(10);
        let ended = async {
            while world.mounts.revoked.lock().unwrap().len() < times {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), ended).await.unwrap();
        expirer.stop().await;
    }
}

#[tokio::test]
async fn leases_end_with_their_token() {
    let world = World::new().await;
    let token = world.token(&world.root, "auth/token/create", json!({"policies": ["a"]})).await;
    let one = lease(&world, &token, "db/creds/a", 1000).await;
    let two = lease(&world, &world.root, "db/creds/a", 1000).await;
    world.call(Some(&world.root), Update, "auth/token/revoke", json!({"token": token.expose()})).await.unwrap();
    world.sweep().await;
    assert_eq!(*world.mounts.revoked.lock().unwrap(), [one.id]);
    assert!(world.call(Some(&world.root), Update, "sys/leases/lookup", json!({"lease_id": two.id})).await.is_ok());
}

#[tokio::test]
async fn a_batch_token_outlives_none_of_its_leases() {
    let world = World::new().await;
    let batch = world.token(&world.root, "auth/token/create", json!({"policies": ["a"], "type": "batch", "ttl": 60})).await;
    let made = lease(&world, &batch, "db/creds/a", 1000).await;
    assert_eq!((made.ttl, made.renewable), (Ttl(60), false));
}

#[tokio::test]
async fn prefixes_are_revoked_whole_tokens_too() {
    let world = World::new().await;
    let root = &world.root;
    for n in 0..120 {
        lease(&world, root, &format!("db/creds/{n}"), 1000).await;
    }
    lease(&world, root, "dbx/creds/a", 1000).await;
    let token = world.token(root, "auth/token/create", json!({"policies": ["a"]})).await;
    world.call(Some(root), Update, "sys/leases/revoke-prefix/db", json!({})).await.unwrap();
    assert_eq!(world.mounts.revoked.lock().unwrap().len(), 120);
    assert!(world.find(&token).is_some());
    world.call(Some(root), Update, "sys/revoke-prefix/auth/token/", json!({})).await.unwrap();
    assert!(world.find(&token).is_none());
    assert!(world.find(root).is_some(), "a root token without an end has no lease");
    assert_eq!(world.data(root, List, "sys/leases/lookup/", json!({})).await["keys"], json!(["dbx/"]));
}

#[tokio::test]
async fn a_failing_revocation_is_tried_again_and_then_given_up() {
    let world = World::new().await;
    let root = &world.root;
    let made = lease(&world, root, "db/creds/a", 10).await;
    world.mounts.fails.store(true, Ordering::Relaxed);
    assert!(world.refused(root, "sys/leases/revoke", json!({"lease_id": made.id})).await.contains("database"));
    world.mounts.tries.store(0, Ordering::Relaxed);
    world.ground.clock.pass(10);
    world.sweep().await;
    assert_eq!(world.mounts.tries.load(Ordering::Relaxed), 1, "not again before its time");
    for _ in 0..20 {
        world.ground.clock.pass(1000);
        world.sweep().await;
    }
    assert_eq!(world.mounts.tries.load(Ordering::Relaxed), 6);
    assert_eq!(world.rows("half/"), 0, "what a failed revocation wrote is not committed");
    let listed = world.data(root, Read, "sys/leases", json!({"type": "irrevocable"})).await;
    assert_eq!(listed["leases"][0]["lease_id"], json!(made.id));
    let counted = world.data(root, Read, "sys/leases/count", json!({"type": "irrevocable"})).await;
    assert_eq!(counted["counts"], json!({"m_1": 1}));
    world.call(Some(root), Update, "sys/leases/revoke-force/db", json!({})).await.unwrap();
    assert_eq!(world.rows("sys/lease/"), 0);
}
