//! What runs when, on a node in memory.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::core::seal::testing::Node;
use crate::raft::{Member, Peer};
use crate::types::NodeId;

struct Part(&'static str, Arc<Mutex<Vec<String>>>);

#[async_trait]
impl ActivePart for Part {
    fn name(&self) -> &'static str {
        self.0
    }
    async fn start(&self) -> Result<(), StartError> {
        self.1.lock().unwrap().push(format!("start {}", self.0));
        Ok(())
    }
    async fn stop(&self) {
        self.1.lock().unwrap().push(format!("stop {}", self.0));
    }
}

#[tokio::test]
async fn parts_start_in_order_on_the_active_node_and_stop_in_reverse() {
    let node = Node::new(&Arc::default(), "a");
    let lifecycle = Lifecycle::new(node.ctx.clone(), node.seal.clone());
    let log = Arc::new(Mutex::new(Vec::new()));
    let parts: Vec<Arc<dyn ActivePart>> = vec![Arc::new(Part("a", log.clone())), Arc::new(Part("b", log.clone()))];
    let shutdown = CancellationToken::new();
    let task = tokio::spawn(lifecycle.clone().run(parts, shutdown.clone()));
    let mut standing = lifecycle.follow_standing();

    let keys = node.init(1, 1).await.keys;
    standing.wait_for(|standing| *standing == Standing::Sealed).await.unwrap();
    node.unseal_all(&keys).await;
    standing.wait_for(|standing| *standing == Standing::Active).await.unwrap();
    assert!(lifecycle.active_since().is_some());
    node.raft.lead(false);
    standing.wait_for(|standing| matches!(standing, Standing::Standby { .. })).await.unwrap();
    assert!(lifecycle.active_since().is_none());
    node.raft.lead(true);
    standing.wait_for(|standing| *standing == Standing::Active).await.unwrap();
    node.seal.seal();
    standing.wait_for(|standing| *standing == Standing::Sealed).await.unwrap();
    node.unseal_all(&keys).await;
    standing.wait_for(|standing| *standing == Standing::Active).await.unwrap();
    shutdown.cancel();
    task.await.unwrap();
    let run = ["start a", "start b", "stop b", "stop a"];
    assert_eq!(*log.lock().unwrap(), run.repeat(3));
}

#[tokio::test]
async fn a_leader_that_another_should_follow_steps_down() {
    let node = Node::new(&Arc::default(), "a");
    let lifecycle = Lifecycle::new(node.ctx.clone(), node.seal.clone());
    let task = tokio::spawn(lifecycle.clone().run(Vec::new(), CancellationToken::new()));
    let mut standing = lifecycle.follow_standing();
    let keys = node.init(1, 1).await.keys;
    node.unseal_all(&keys).await;
    standing.wait_for(|standing| *standing == Standing::Active).await.unwrap();
    // Nobody else could lead: it stays.
    node.raft.name_heir(Some(NodeId(2)));
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    assert_eq!(*standing.borrow_and_update(), Standing::Active);
    node.raft.seat(Peer { id: NodeId(2), member: Member::default(), is_voter: true });
    standing.wait_for(|standing| matches!(standing, Standing::Standby { .. })).await.unwrap();
    task.abort();
}

#[tokio::test]
async fn an_initialized_node_says_so_from_its_first_moment() {
    let node = Node::new(&Arc::default(), "a");
    let standing = || Lifecycle::new(node.ctx.clone(), node.seal.clone()).standing();
    assert_eq!(standing(), Standing::Uninitialized);
    node.init(1, 1).await;
    assert_eq!(standing(), Standing::Sealed);
}
