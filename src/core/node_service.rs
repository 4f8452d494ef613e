//! What this node answers the other nodes of its cluster, and how its own renewed certificate is kept.
//!
//! Not here: when to renew (`cluster`), the certificate of a node that joins (`join`).

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::watch;

use super::node_identity::NodeIdentity;
use super::{Context, ServeNode, Standing, keys};
use crate::crypto::cert::{Authority, Identity, Peer};
use crate::pool::off_thread;

/// [`ServeNode`] of a real node.
#[derive(Debug)]
pub struct NodeService {
    ctx: Arc<Context>,
    identity: Arc<NodeIdentity>,
    standing: watch::Receiver<Standing>,
}

impl NodeService {
    /// Answers as `standing` lets it, which the lifecycle announces.
    pub fn new(ctx: Arc<Context>, identity: Arc<NodeIdentity>, standing: watch::Receiver<Standing>) -> Self {
        Self { ctx, identity, standing }
    }
}

#[async_trait]
impl ServeNode for NodeService {
    fn is_active(&self) -> bool {
        *self.standing.borrow() == Standing::Active
    }

    async fn issue(&self, name: &str) -> Result<Identity, String> {
        let row = {
            let mut txn = self.ctx.begin().map_err(|error| error.to_string())?;
            txn.get(&keys::cluster_ca()).map_err(|error| error.to_string())?
        };
        let row = row.ok_or("this cluster has no authority")?;
        let authority: Authority = serde_json::from_slice(row.expose()).map_err(|error| error.to_string())?;
        let peer = Peer::Node(name.to_owned());
        authority.issue(&peer, self.ctx.now(), self.identity.life()).map_err(|error| error.to_string())
    }

    async fn keep(&self, identity: Identity) -> Result<(), String> {
        let keeper = self.identity.clone();
        let kept = off_thread(move || keeper.store(identity)).await;
        kept.map_err(|_| "storing the identity failed".to_owned())?.map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::testing::Ground;
    use crate::types::Secret;

    #[tokio::test]
    async fn an_unsealed_node_issues_certificates_and_a_sealed_one_does_not() {
        let ground = Ground::new();
        let now = ground.context.now();
        let authority = Authority::create("c", now).unwrap();
        let stored = serde_json::to_vec(&authority).unwrap();
        let write = ground.context.write(|txn| {
            txn.put(keys::cluster_ca(), Secret::new(stored.clone()));
            Ok(())
        });
        write.await.unwrap();
        let (standing, identity) = (watch::Sender::new(Standing::Sealed), Arc::new(NodeIdentity::in_memory()));
        let service = NodeService::new(ground.context.clone(), identity.clone(), standing.subscribe());
        assert!(!service.is_active());
        standing.send_replace(Standing::Active);
        assert!(service.is_active());
        let issued = service.issue("b").await.unwrap();
        assert_eq!(issued.describe().unwrap().peer, Peer::Node("b".to_owned()));
        service.keep(issued.clone()).await.unwrap();
        assert_eq!(*identity.current().unwrap(), issued);
        ground.context.drop_keys();
        assert!(service.issue("b").await.is_err());
    }
}
