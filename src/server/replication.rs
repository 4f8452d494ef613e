//! Ties replication to the core: each sees of the other what the traits of `core::replication` and `replication` show.

use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Map, Value, json};

use super::join_client::post;
use crate::cluster;
use crate::core::join::JoinTarget;
use crate::core::replication::activation::CLAIM;
use crate::core::replication::{Links, PrimaryClient, Wholeness};
use crate::core::{BootstrapPackage, Core, CoreObserver};
use crate::crypto::cert::Identity;
use crate::machine::Applied;
use crate::raft::Observer;
use crate::replication::{Feed, Handle, PrimaryRecord};
use crate::types::{Clock, Secret};

/// The streams, as the core sees them.
pub struct Streams {
    /// The streams.
    pub handle: Handle,
    /// For how long ago things were.
    pub clock: Arc<dyn Clock>,
}

#[async_trait]
impl Links for Streams {
    fn start(&self) {
        self.handle.start();
    }
    async fn stop(&self) {
        self.handle.stop().await;
    }
    fn look_again(&self) {
        self.handle.look_again();
    }
    fn cut(&self, secondary_id: &str) {
        self.handle.cut(secondary_id);
    }
    fn describe(&self) -> Map<String, Value> {
        self.handle.describe(self.clock.now())
    }
    fn wholeness(&self) -> Wholeness {
        let (is_comparing, records_behind) = self.handle.catching_up();
        let (is_connected, behind_ms) = self.handle.last_whole(self.clock.now());
        Wholeness { is_comparing, is_connected, records_behind, behind_ms, generation: self.handle.told_generation() }
    }

    fn lost_for(&self) -> Option<Duration> {
        self.handle.lost_for()
    }

    fn times_linked(&self) -> u64 {
        self.handle.times_linked()
    }

    fn is_drained(&self) -> bool {
        self.handle.is_drained()
    }
}

/// What the core remembers of its primary, as the streams see it. Empty until the core is attached.
#[derive(Default)]
pub struct Remembered(OnceLock<Weak<Core>>);

impl Remembered {
    /// Asks `core` from now on. It is not kept alive.
    pub fn attach(&self, core: &Arc<Core>) {
        let _ = self.0.set(Arc::downgrade(core));
    }
    fn core(&self) -> Option<Arc<Core>> {
        self.0.get().and_then(Weak::upgrade)
    }
}

#[async_trait]
impl PrimaryRecord for Remembered {
    fn addrs(&self) -> Vec<String> {
        self.core().map(|core| core.replication().primary_addrs()).unwrap_or_default()
    }
    async fn learned(&self, addrs: Vec<String>) {
        if let Some(core) = self.core() {
            core.replication().learned(addrs).await;
        }
    }
    fn told(&self) -> Option<Vec<String>> {
        self.core().and_then(|core| core.replication().told_addrs())
    }
}

/// Calls to a primary: over HTTP once, then over mutual TLS.
pub struct ToPrimary;

#[async_trait]
impl PrimaryClient for ToPrimary {
    async fn unwrap(&self, target: &JoinTarget, token: &Secret<String>, claim: &Secret<String>) -> Result<Value, String> {
        let (target, token) = (target.clone(), token.clone());
        let body = json!({ (CLAIM): claim.expose() });
        let call = tokio::task::spawn_blocking(move || post(&target, "sys/wrapping/unwrap", Some(&token), &body));
        call.await.map_err(|error| error.to_string())?
    }
    async fn bootstrap(&self, addrs: &[String], identity: &Identity) -> Result<BootstrapPackage, String> {
        cluster::bootstrap(addrs, identity).await.map_err(|error| error.to_string())
    }
}

/// Both who hear of applied entries: the core first, so that nothing stale is read by whom the streams wake.
pub struct Both {
    /// Drops what it remembers of changed rows.
    pub core: Arc<CoreObserver>,
    /// Wakes the streams.
    pub feed: Arc<Feed>,
}

impl Observer for Both {
    fn applied(&self, applied: &Applied) {
        self.core.applied(applied);
        self.feed.applied(applied);
    }
    fn replaced(&self) {
        self.core.replaced();
        self.feed.replaced();
    }
}
