//! A primary and a secondary, three nodes each, with a wide-area network between them.
//!
//! The primary tells its secondary the relay's doors and nothing else (`primary_cluster_addr`), so all that the secondary ever dials goes
//! over the relay: the link, its re-connections, and writes that it hands on. Nodes of one cluster reach each other directly.

use std::time::Duration;

use anyhow::Context;
use serde_json::{Value, json};

use super::vault::VaultCluster;
use super::vault_api::VaultApi;
use super::{LONG, Wanted, coffer, wait_for};
use crate::lag::status;
use crate::stage::Stage;
use crate::wan::Wan;

const PERFORMANCE: &str = "sys/replication/performance";
const USER: &str = "auth/userpass/users/bench";

/// Both clusters, and what lies between.
pub struct Pair {
    pub primary: VaultCluster,
    pub secondary: VaultCluster,
    pub wan: Wan,
}

impl Pair {
    /// Starts both, and returns when the secondary streams. The line has no delay yet.
    ///
    /// # Errors
    /// If a cluster does not start or the secondary does not follow.
    pub fn start(stage: &Stage) -> anyhow::Result<Self> {
        stage.say("start a primary and a secondary, three nodes each");
        let cluster = |name: &str| coffer::start(&Wanted { folder: stage.folder(name), name: name.into(), audit: false });
        let (primary, secondary) = (cluster("primary")?, cluster("secondary")?);
        let wan = Wan::start(&primary.cluster_addresses)?;
        let mut pair = Self { primary, secondary, wan };
        pair.link()?;
        Ok(pair)
    }

    fn link(&mut self) -> anyhow::Result<()> {
        let (root, here, there) = (self.primary.root_token.clone(), self.primary.active()?.clone(), self.secondary.active()?.clone());
        here.must("POST", "sys/auth/userpass", &root, &json!({"type": "userpass"}))?;
        here.must("POST", USER, &root, &json!({"password": "bench", "policies": "bench"}))?;
        here.must("POST", &format!("{PERFORMANCE}/primary/enable"), &root, &json!({"primary_cluster_addr": self.wan.doors}))?;
        wait_for("a primary", LONG, || (status::of(&here)["mode"] == "primary").then_some(()))?;
        let answer = wait_for("an activation token", LONG, || {
            here.must("POST", &format!("{PERFORMANCE}/primary/secondary-token"), &root, &json!({"id": "bench"})).ok()
        })?;
        let token = &answer["wrap_info"]["token"];
        there.must("POST", &format!("{PERFORMANCE}/secondary/enable"), &self.secondary.root_token, &json!({ "token": token }))?;
        // It took over the primary's seal.
        self.secondary.unseal_key.clone_from(&self.primary.unseal_key);
        self.secondary.unseal()?;
        self.log_in()?;
        self.check_way()
    }

    /// A token of the secondary for its clients: tokens are a cluster's own.
    fn log_in(&mut self) -> anyhow::Result<()> {
        let there = self.secondary.active()?.clone();
        let answer = wait_for("a login on the secondary", LONG, || {
            there.must("POST", "auth/userpass/login/bench", "", &json!({"password": "bench"})).ok()
        })?;
        self.secondary.token = answer["auth"]["client_token"].as_str().context("no token in the answer")?.into();
        Ok(())
    }

    /// The secondary must know no other way than the relay.
    fn check_way(&self) -> anyhow::Result<()> {
        let told = wait_for("addresses of the primary", LONG, || {
            let told = status::of(self.secondary.active().ok()?)["known_primary_cluster_addrs"].as_array()?.clone();
            (!told.is_empty()).then_some(told)
        })?;
        let is_door = |told: &Value| told.as_str().is_some_and(|told| self.wan.doors.iter().any(|door| told.ends_with(door.as_str())));
        anyhow::ensure!(told.iter().all(is_door), "the secondary knows a way beside the relay: {told:?}");
        Ok(())
    }

    /// The primary's last record, and the secondary's.
    ///
    /// # Errors
    /// If one of them has no active node.
    pub fn positions(&self) -> anyhow::Result<(u64, u64)> {
        let last = status::of(self.primary.active()?)["last_performance_wal"].as_u64().context("the primary's position")?;
        let has = status::of(self.secondary.active()?)["last_remote_wal"].as_u64().context("the secondary's position")?;
        Ok((last, has))
    }

    /// Waits until the secondary has all that the primary has.
    ///
    /// # Errors
    /// If it has not within `limit`.
    pub fn in_sync(&self, limit: Duration) -> anyhow::Result<()> {
        wait_for("the secondary to have all", limit, || {
            let (last, has) = self.positions().ok()?;
            (has >= last).then_some(())
        })
    }

    /// Equal data? Asked while nothing is written.
    ///
    /// # Errors
    /// If not, or nobody says.
    pub fn must_be_equal(&self) -> anyhow::Result<()> {
        let root = |api| status::of(api)["merkle_root"].as_str().map(str::to_owned);
        wait_for("equal hashes of all shared rows", LONG, || {
            let (here, there) = (root(self.primary.active().ok()?)?, root(self.secondary.active().ok()?)?);
            (here == there).then_some(())
        })
    }

    /// Streams that began with records, and with a comparison, over all nodes of the primary since they started.
    pub fn streams(&self) -> (f64, f64) {
        let counted = self.primary.apis.iter().map(streams_of);
        counted.fold((0.0, 0.0), |(records, comparisons), of_one| (records + of_one.0, comparisons + of_one.1))
    }

    /// Bytes of records that the primary keeps for its secondaries.
    pub fn kept_bytes(&self) -> Option<f64> {
        self.primary.active().ok()?.metric("vault_logshipper_buffer_size", "")
    }
}

/// As [`Pair::streams`], of one node; zero of one that does not run.
pub fn streams_of(node: &VaultApi) -> (f64, f64) {
    let counted = |name: &str| node.metric(name, "").unwrap_or_default();
    (counted("vault_logshipper_streamWALs_guard_found"), counted("vault_logshipper_streamWALs_missing_guard"))
}
