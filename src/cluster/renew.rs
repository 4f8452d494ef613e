//! Keeps this node's own certificate fresh: a new one from the active node when half of its life is over.
//!
//! A node whose certificate has expired or is lost can ask nobody: it issues its own as soon as it is unsealed, for it holds the
//! authority's key then. So a node, or a whole cluster, that was off for longer than certificates live comes back by being unsealed.
//! Not here: issuing and keeping (`core`).

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::connection::{Failure, origin};
use super::dialer::{Dialer, Lane};
use super::metrics;
use super::wire::cluster::RenewRequest;
use super::wire::cluster::renewal_client::RenewalClient;
use crate::core::{ServeNode, Standing};
use crate::crypto::cert::{Described, Identity, Peer};
use crate::raft::RaftStatus;
use crate::types::{Clock, Secret, Timestamp, Ttl};

/// Longest sleep: the wall clock may jump, timers do not.
const LOOK_EVERY: Duration = Duration::from_secs(600);
/// How soon a failed renewal is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(30);
/// How long the active node may take.
const RENEW_TIMEOUT: Duration = Duration::from_secs(20);

/// What renewing needs.
pub(super) struct Renewal {
    pub name: String,
    pub life: Ttl,
    pub standing: watch::Receiver<Standing>,
    pub identity: watch::Receiver<Option<Arc<Identity>>>,
    pub status: watch::Receiver<RaftStatus>,
    pub dialer: Dialer,
    pub node: Arc<dyn ServeNode>,
    pub clock: Arc<dyn Clock>,
}

impl Renewal {
    pub async fn run(mut self) {
        loop {
            let wait = match self.left() {
                None => LOOK_EVERY,
                Some(left) if left.is_zero() => {
                    match self.renew().await {
                        Ok(()) => {
                            tracing::info!("renewed this node's certificate");
                            ::metrics::counter!(metrics::RENEWALS, "outcome" => "renewed").increment(1);
                        }
                        Err(error) => {
                            tracing::warn!(error, "cannot renew this node's certificate yet");
                            ::metrics::counter!(metrics::RENEWALS, "outcome" => "failed").increment(1);
                        }
                    }
                    // Keeping it announces it; should that be late, do not ask again at once.
                    RETRY_AFTER
                }
                Some(left) => left.min(LOOK_EVERY),
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                changed = self.identity.changed() => if changed.is_err() { return },
                changed = self.standing.changed() => if changed.is_err() { return },
            }
        }
    }

    /// This node's certificate, if it has one that can be read.
    fn described(&self) -> Option<Described> {
        self.identity.borrow().as_ref()?.describe().ok()
    }

    /// Whether it has none that another node would take.
    fn is_cut_off(&self, described: Option<&Described>) -> bool {
        described.is_none_or(|described| described.not_after <= self.clock.now())
    }

    /// How long until it should be renewed; `None` while nothing can be done.
    fn left(&self) -> Option<Duration> {
        let described = self.described();
        if self.is_cut_off(described.as_ref()) {
            let is_unsealed = matches!(*self.standing.borrow(), Standing::Active | Standing::Standby { .. });
            return is_unsealed.then_some(Duration::ZERO);
        }
        described.map(|described| due_at(&described, self.life).since(self.clock.now()))
    }

    async fn renew(&self) -> Result<(), String> {
        let described = self.described();
        let peer = described.as_ref().map_or_else(|| Peer::Node(self.name.clone()), |described| described.peer.clone());
        let Peer::Node(name) = &peer else { return Err("this node's certificate is no node's".to_owned()) };
        let is_asked_of_nobody = self.is_cut_off(described.as_ref()) || self.node.is_active();
        let identity = if is_asked_of_nobody { self.node.issue(name).await? } else { self.ask_active().await? };
        let given = identity.describe().map_err(|error| error.to_string())?;
        if given.peer != peer || described.is_some_and(|described| given.not_after <= described.not_after) {
            return Err("the new certificate is not this node's, or no newer".to_owned());
        }
        self.node.keep(identity).await
    }

    async fn ask_active(&self) -> Result<Identity, String> {
        let leader = self.status.borrow().leader_peer().cloned();
        let member = leader.ok_or("there is no active node")?.member;
        let connection = self.dialer.connect(&member.cluster_addr, Some(&member.name), Lane::Forward).await;
        let mut client = RenewalClient::with_origin(connection.map_err(|error| error.to_string())?, origin());
        let answer = tokio::time::timeout(RENEW_TIMEOUT, client.renew(RenewRequest {})).await;
        let answer = answer.map_err(|_| "no answer in time")?.map_err(|status| Failure::of(&status).to_string())?;
        let answer = answer.into_inner();
        Ok(Identity { ca_pem: answer.ca_pem, cert_pem: answer.cert_pem, key_pem: Secret::new(answer.key_pem) })
    }
}

/// When half of its life is left. Not half of its validity: that begins before it was issued.
fn due_at(described: &Described, life: Ttl) -> Timestamp {
    Timestamp(described.not_after.0.saturating_sub(life.0 * 500))
}
