//! Certificates that come to their end while nodes run, and while a node is down: whole nodes in this process, whose certificates are
//! good for seconds. Nothing but this test can ask for that.

use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use super::config::{Config, Listener, Storage};
use super::wiring::Node;
use crate::core::Standing;
use crate::core::join::JoinTarget;
use crate::core::node_identity::NodeIdentity;
use crate::core::seal::{InitRequest, UnsealRequest};
use crate::types::{Clock, SystemClock, Timestamp, Ttl};

const LIFE: Ttl = Ttl(8);
const LONG: Duration = Duration::from_secs(120);

fn aging(identity: NodeIdentity) -> NodeIdentity {
    identity.aging(LIFE)
}

/// Three nodes: ports that are free now.
fn configs(folder: &Path) -> Vec<Config> {
    let free: Vec<TcpListener> = (0..6).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    let addresses: Vec<String> = free.iter().map(|listener| listener.local_addr().unwrap().to_string()).collect();
    let join = JoinTarget { leader_api_addr: format!("http://{}", addresses[0]), ..JoinTarget::default() };
    (0..3)
        .map(|n| Config {
            listeners: vec![Listener {
                address: addresses[2 * n].clone(),
                cluster_address: Some(addresses[2 * n + 1].clone()),
                ..Listener::default()
            }],
            storage: Some(Storage {
                path: folder.join(n.to_string()),
                node_id: Some(format!("n{n}")),
                retry_join: if n == 0 { Vec::new() } else { vec![join.clone()] },
                performance_multiplier: 1,
                snapshot_threshold: None,
                trailing_logs: None,
                joins_without_vote: false,
            }),
            ..Config::default()
        })
        .collect()
}

/// When this node's certificate ends.
fn end(node: &Node) -> Timestamp {
    node.core.seal().identity().current().unwrap().describe().unwrap().not_after
}

async fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let waited = tokio::time::timeout(LONG, async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("waited in vain until {what}"));
}

async fn unseal(node: &Node, key: &str) {
    let deadline = tokio::time::Instant::now() + LONG;
    while node.core.context().is_sealed() {
        assert!(tokio::time::Instant::now() < deadline, "it stays sealed");
        let _ = node.core.seal().unseal(UnsealRequest { key: Some(key.to_owned()), ..UnsealRequest::default() }).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Whether a node has all that is committed, and knows who is active.
fn follows(node: &Node, nodes: &[&Node]) -> bool {
    let committed = nodes.iter().map(|node| node.core.context().store.positions().dr).max();
    matches!(node.core.standing(), Standing::Active | Standing::Standby { active: Some(_) })
        && Some(node.core.context().store.positions().dr) == committed
}

/// A write on whichever node is active.
async fn write(nodes: &[&Node], name: &str) {
    let active = nodes.iter().find(|node| node.core.standing() == Standing::Active).expect("a node is active");
    let written = active.core.context().write(|txn| {
        txn.put(crate::types::Key::local(format!("test/{name}")), crate::types::Secret::new(vec![1]));
        Ok(())
    });
    written.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_renew_their_certificates_in_time_and_come_back_after_these_expired() {
    let folder = tempfile::tempdir().unwrap();
    let configs = configs(folder.path());
    let (a, b) = (Node::start_as(&configs[0], None, aging).await.unwrap(), Node::start_as(&configs[1], None, aging).await.unwrap());
    let c = Node::start_as(&configs[2], None, aging).await.unwrap();
    let init = a.core.seal().init(InitRequest { secret_shares: 1, secret_threshold: 1, ..InitRequest::default() }).await.unwrap();
    for node in [&a, &b, &c] {
        unseal(node, &init.keys[0]).await;
    }
    let all = [&a, &b, &c];
    wait_until("all follow", || all.iter().all(|node| follows(node, &all))).await;

    // Each certificate is followed by another before its end.
    let ends = all.map(end);
    wait_until("all are renewed", || all.iter().zip(ends).all(|(node, before)| end(node) > before)).await;
    for (node, before) in all.into_iter().zip(ends) {
        let issued = Timestamp(end(node).0 - LIFE.0 * 1000);
        assert!(issued < before, "renewed at {}, which is after {}", issued.rfc3339(), before.rfc3339());
    }

    // One is away for longer than its certificate is good.
    let until = end(&c);
    c.stop().await;
    wait_until("it has expired", || SystemClock.now() > until).await;
    let two = [&a, &b];
    wait_until("one of the others is active", || two.iter().any(|node| node.core.standing() == Standing::Active)).await;
    write(&two, "meanwhile").await;
    let c = Node::start_as(&configs[2], None, aging).await.unwrap();
    assert_eq!(end(&c), until, "sealed, it has what it had");
    unseal(&c, &init.keys[0]).await;
    let all = [&a, &b, &c];
    wait_until("it follows again", || follows(&c, &all)).await;
    assert!(end(&c) > until);
    for node in [a, b, c] {
        node.stop().await;
    }
}
