//! What every node is made of, whatever lies under it: a server puts it on disks and sockets, the simulator on its own.
//!
//! Not here: configuration, listeners, what is chosen for a server (`wiring`).

use std::sync::{Arc, LazyLock};

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::replication::{Both, Remembered, Streams};
use crate::core::join::JoinClient;
use crate::core::node_identity::NodeIdentity;
use crate::core::replication::PrimaryClient;
use crate::core::{Context, Core, CoreObserver, NodeService, PrimaryContact, Upstream};
use crate::crypto::Entropy;
use crate::engine::Kind;
use crate::http::{self, Api};
use crate::raft::transport::Transport;
use crate::raft::{Consensus, RaftStatus, StartError};
use crate::replication::link::Link;
use crate::replication::{Feed, Keep};
use crate::storage::Physical;
use crate::types::Clock;
use crate::{audit, auth, core, engines, raft, replication};

/// What lies under a node and around it.
pub struct Ground {
    /// Where its state lies.
    pub store: Arc<dyn Physical>,
    /// How it takes part in its Raft group, and where the log lies.
    pub raft: raft::Options,
    /// How it reaches the group's other nodes.
    pub transport: Arc<dyn Transport>,
    /// How a secondary's streams reach its primary.
    pub link: Arc<dyn Link>,
    /// How requests reach other nodes, given what the node knows of its group.
    pub upstream: Box<dyn FnOnce(watch::Receiver<RaftStatus>) -> Arc<dyn Upstream> + Send>,
    /// Where its primary is: announced to `link` and `upstream`.
    pub contact: watch::Sender<Option<PrimaryContact>>,
    /// Wall time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// This node, as others see it.
    pub me: raft::Member,
    /// What it proves itself with.
    pub identity: Arc<NodeIdentity>,
    /// How it calls a leader that it joins.
    pub join_client: Arc<dyn JoinClient>,
    /// How it calls a primary that it follows.
    pub primary_client: Arc<dyn PrimaryClient>,
    /// How long records are kept for secondaries.
    pub keep: Keep,
    /// Settings of the rules.
    pub options: core::Options,
    /// Settings of the API.
    pub api: http::Options,
}

/// A node whose Raft runs and whose doors are not there yet.
pub struct Assembly {
    /// Its part in the Raft group.
    pub raft: Arc<raft::Raft>,
    /// The rules.
    pub core: Arc<Core>,
    /// The API in front of them.
    pub api: Api,
    /// The streams of replication.
    pub streams: replication::Handle,
    /// What it answers other nodes.
    pub node: Arc<NodeService>,
}

impl Assembly {
    /// Starts Raft and builds the rules on it; nothing else runs yet.
    ///
    /// # Errors
    /// If Raft does not start.
    pub async fn start(ground: Ground) -> Result<Self, StartError> {
        let Ground {
            store,
            raft: raft_options,
            transport,
            link,
            upstream,
            contact,
            clock,
            entropy,
            me,
            identity,
            join_client,
            primary_client,
            keep,
            options,
            api,
        } = ground;
        let observer = CoreObserver::new();
        let feed = Feed::new(store.clone());
        let both = Arc::new(Both { core: observer.clone(), feed: feed.clone() });
        let raft = Arc::new(raft::start(raft_options, store.clone(), transport, both).await?);
        let remembered = Arc::new(Remembered::default());
        let streams = replication::Handle::new(
            replication::Parts {
                store: store.clone(),
                raft: raft.clone(),
                link,
                clock: clock.clone(),
                primary: remembered.clone(),
                me: me.clone(),
                role_key: core::keys::replication_role(),
                keys_first: vec![core::keys::keyring(), core::keys::root_key(), core::keys::seal_config(), core::keys::join_key()],
                keep,
            },
            feed,
        );
        let context = Arc::new(Context::new(store, raft.clone(), clock.clone(), entropy));
        let core = Core::new(core::Parts {
            context: context.clone(),
            kinds: kinds(),
            audit_kinds: audit::ALL,
            upstream: upstream(raft.status()),
            refusal_status: http::refusal,
            options,
            me,
            identity: identity.clone(),
            join_client,
            links: Arc::new(Streams { handle: streams.clone(), clock }),
            primary_client,
            primary_contact: contact,
        });
        remembered.attach(&core);
        observer.attach(&core);
        let api = Api::new(core.clone(), api);
        let node = Arc::new(NodeService::new(context, identity, core.lifecycle().follow_standing()));
        Ok(Self { raft, core, api, streams, node })
    }

    /// What runs on a node until `stop`, by name, in the order in which it starts.
    pub fn tasks(&self, stop: &CancellationToken) -> [(&'static str, BoxFuture<'static, ()>); 2] {
        let (upkeep, until) = (self.streams.clone(), stop.clone());
        [
            ("replication upkeep", async move { upkeep.upkeep(until).await }.boxed()),
            ("lifecycle", self.core.clone().run(stop.clone()).boxed()),
        ]
    }
}

/// Every kind of engine there is.
fn kinds() -> &'static [&'static Kind] {
    static KINDS: LazyLock<Vec<&'static Kind>> = LazyLock::new(|| engines::ALL.iter().chain(auth::ALL).copied().collect());
    &KINDS
}
