//! Keeps this node's own certificate fresh: a new one from the active node when half of its life is over.
//!
//! If no active node can be asked and the certificate has expired, an unsealed node issues its own, so a cluster that was off for longer
//! than certificates live comes back by being unsealed.
//! Not here: issuing and keeping (`core`).

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::connection::{Failure, origin};
use super::dialer::{Dialer, Lane};
use super::metrics;
use super::wire::cluster::RenewRequest;
use super::wire::cluster::renewal_client::RenewalClient;
use crate::core::ServeNode;
use crate::crypto::cert::{Described, Identity, Peer};
use crate::raft::RaftStatus;
use crate::types::{Clock, Secret, Timestamp};

/// Longest sleep: the wall clock may jump, timers do not.
const LOOK_EVERY: Duration = Duration::from_secs(600);
/// How soon a failed renewal is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(30);
/// How long the active node may take.
const RENEW_TIMEOUT: Duration = Duration::from_secs(20);

/// What renewing needs.
pub(super) struct Renewal {
    pub identity: watch::Receiver<Option<Arc<Identity>>>,
    pub status: watch::Receiver<RaftStatus>,
    pub dialer: Dialer,
    pub node: Arc<dyn ServeNode>,
    pub clock: Arc<dyn Clock>,
}

impl Renewal {
    pub async fn run(mut self) {
        loop {
            let wait = match self.due() {
                None => LOOK_EVERY,
                Some((described, left)) if left.is_zero() => match self.renew(&described).await {
                    Ok(()) => {
                        tracing::info!("renewed this node's certificate");
                        ::metrics::counter!(metrics::RENEWALS, "outcome" => "renewed").increment(1);
                        // Keeping it announces it; should that be late, do not ask again at once.
                        RETRY_AFTER
                    }
                    Err(error) => {
                        tracing::warn!(error, "cannot renew this node's certificate yet");
                        ::metrics::counter!(metrics::RENEWALS, "outcome" => "failed").increment(1);
                        RETRY_AFTER
                    }
                },
                Some((_, left)) => left.min(LOOK_EVERY),
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                changed = self.identity.changed() => if changed.is_err() { return },
            }
        }
    }

    /// This node's certificate, and how long until it should be renewed.
    fn due(&self) -> Option<(Described, Duration)> {
        let described = self.identity.borrow().as_ref()?.describe().ok()?;
        let left = due_at(&described).since(self.clock.now());
        Some((described, left))
    }

    async fn renew(&self, described: &Described) -> Result<(), String> {
        let Peer::Node(name) = &described.peer else { return Err("this node's certificate is no node's".to_owned()) };
        let identity = if self.node.is_active() {
            self.node.issue(name).await?
        } else {
            match self.ask_active().await {
                Ok(identity) => identity,
                Err(_) if described.not_after <= self.clock.now() => self.node.issue(name).await?,
                Err(error) => return Err(error),
            }
        };
        let given = identity.describe().map_err(|error| error.to_string())?;
        if given.peer != described.peer || given.not_after <= described.not_after {
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

/// Half of its life.
fn due_at(described: &Described) -> Timestamp {
    let (from, until) = (described.not_before.0, described.not_after.0);
    Timestamp(from + until.saturating_sub(from) / 2)
}
