//! The joining node's side: finds a leader, waits for unseal shares, proves itself, and waits for the state to arrive.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::super::keys;
use super::super::seal::{Seal, SealConfig, SealError, UnsealKey, WRONG_SHARES};
use super::{CHALLENGE_CONTEXT, IDENTITY_CONTEXT, JoinTarget};
use crate::crypto::aead::AeadKey;
use crate::crypto::cert::Identity;
use crate::types::NodeId;
use crate::types::limits::{JOIN_PATIENCE, JOIN_RETRY};

/// How long the request with the last share waits for the state to arrive before it is answered all the same.
const ANSWER_AFTER: Duration = Duration::from_secs(8);

/// How long a share waits for the cluster to say how many it takes.
const LOOK_MAX: Duration = Duration::from_secs(3);

const OTHER_CLUSTER: &str = "this node belongs to another cluster already: stop it and erase its data before it joins this one";

/// `POST sys/storage/raft/join`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct JoinRequest {
    /// Whom to join through.
    #[serde(flatten)]
    pub target: JoinTarget,
    /// Answer at once and go on trying.
    pub retry: bool,
    /// Join without a vote.
    pub non_voter: bool,
    /// Cloud discovery: refused.
    pub auto_join: String,
}

/// Its answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct JoinAnswer {
    /// Whether a leader was found, or this node is a member already.
    pub joined: bool,
}

/// A cluster was found; it takes its unseal shares now.
#[derive(Debug)]
pub struct PendingJoin {
    /// Whom to ask: any of them may lead by then.
    targets: Vec<JoinTarget>,
    non_voter: bool,
    /// The cluster's, as one of them told it.
    pub(in super::super) config: SealConfig,
}

impl Seal {
    /// `sys/storage/raft/join`: finds the cluster. The join is completed by its unseal shares, given to this node.
    ///
    /// # Errors
    /// If the request does not fit, or no leader answers.
    pub async fn join(self: &Arc<Self>, request: JoinRequest) -> Result<JoinAnswer, SealError> {
        let JoinRequest { target, retry, non_voter, auto_join } = request;
        if self.ctx().raft.status().borrow().is_removed {
            return Err(SealError::failed("this node was removed from its cluster: erase its data before it joins again"));
        }
        if self.is_initialized() {
            return match self.is_foreign(&target).await {
                true => Err(SealError::failed(OTHER_CLUSTER)),
                false => Ok(JoinAnswer { joined: true }),
            };
        }
        match (target.leader_api_addr.is_empty(), auto_join.is_empty()) {
            (false, false) => return Err(SealError::failed("cannot provide both leader address and auto-join metadata")),
            (true, true) => return Err(SealError::failed("must provide leader address or auto-join metadata")),
            (true, false) => return Err(SealError::failed("auto_join is not supported by this server")),
            (false, true) => {}
        }
        if !self.ctx().is_sealed() {
            return Err(SealError::failed("node must be sealed before joining"));
        }
        if retry {
            self.join_in_background(vec![target], non_voter);
            return Ok(JoinAnswer { joined: false });
        }
        let targets = vec![target];
        self.find(&targets, &targets[0], non_voter)
            .await
            .map_err(|text| SealError::Failed(format!("failed to join raft cluster: {text}")))?;
        Ok(JoinAnswer { joined: true })
    }

    /// Whether `target` is of another cluster than this node. Only an unsealed node can tell: it opens challenges of its own cluster.
    async fn is_foreign(&self, target: &JoinTarget) -> bool {
        let row = self.ctx().begin().ok().and_then(|mut txn| txn.get(&keys::join_key()).ok().flatten());
        let Some(key) = row.and_then(|key| AeadKey::new(key.expose()).ok()) else { return false };
        match self.fetch_challenge(target).await {
            Ok((challenge, _)) => key.decrypt(CHALLENGE_CONTEXT, &challenge).is_err(),
            Err(_) => false,
        }
    }

    /// `retry_join` of the configuration: looks for the cluster through all of `targets` until one of them answers, or this node
    /// has become a member some other way.
    pub fn join_in_background(self: &Arc<Self>, targets: Vec<JoinTarget>, non_voter: bool) {
        for target in targets.clone() {
            let (seal, targets) = (self.clone(), targets.clone());
            tokio::spawn(async move {
                while !seal.is_initialized() {
                    match seal.find(&targets, &target, non_voter).await {
                        Ok(()) => return,
                        Err(reason) => tracing::info!(leader = target.leader_api_addr, reason, "no cluster to join yet"),
                    }
                    sleep(JOIN_RETRY).await;
                }
            });
        }
    }

    async fn find(&self, targets: &[JoinTarget], target: &JoinTarget, non_voter: bool) -> Result<(), String> {
        let (_, config) = self.fetch_challenge(target).await?;
        if self.is_initialized() {
            return Ok(());
        }
        let pending = PendingJoin { targets: targets.to_vec(), non_voter, config };
        self.set_pending_join(Some(Arc::new(pending)));
        tracing::info!(leader = target.leader_api_addr, "found the cluster to join, waiting for unseal keys to be supplied");
        Ok(())
    }

    /// The cluster to be joined may have been given other shares since it was found: asks how many it takes now, and forgets those of
    /// before. If nobody answers in time, what was told first holds.
    pub(in super::super) async fn look_at_seal_again(&self) {
        let Some(join) = self.pending_join() else { return };
        let now = async {
            for target in &join.targets {
                if let Ok((_, config)) = self.fetch_challenge(target).await {
                    return Some(config);
                }
            }
            None
        };
        if let Ok(Some(config)) = timeout(LOOK_MAX, now).await
            && config != join.config
        {
            tracing::warn!(shares = config.secret_shares, threshold = config.secret_threshold, "the cluster to join has another seal now");
            let pending = PendingJoin { targets: join.targets.clone(), non_voter: join.non_voter, config };
            self.forget_shares();
            self.set_pending_join(Some(Arc::new(pending)));
        }
    }

    async fn fetch_challenge(&self, target: &JoinTarget) -> Result<(Vec<u8>, SealConfig), String> {
        let body = json!({ "server_id": self.me().name });
        let answer = self.join_client().post(target, "sys/storage/raft/bootstrap/challenge", body).await?;
        let malformed = || "the leader's challenge is malformed".to_owned();
        let data = answer.get("data").unwrap_or(&answer);
        let kind = data["seal_config"]["type"].as_str().unwrap_or_default();
        if kind != "shamir" {
            return Err(format!("mismatching seal types between raft leader ({kind}) and follower (shamir)"));
        }
        let number = |field: &str| data["seal_config"][field].as_i64().ok_or_else(malformed);
        let config = SealConfig::checked(number("secret_shares")?, number("secret_threshold")?).map_err(|_| malformed())?;
        let challenge = data["challenge"].as_str().and_then(|text| STANDARD.decode(text).ok()).ok_or_else(malformed)?;
        Ok((challenge, config))
    }

    /// Proves this node to the cluster and waits until its state has arrived; goes on in the background if that takes long.
    ///
    /// # Errors
    /// If the shares are not the cluster's, or no leader answers.
    pub(in super::super) async fn finish_join(self: &Arc<Self>, join: Arc<PendingJoin>, unseal_key: UnsealKey) -> Result<(), SealError> {
        self.prove(&join, &unseal_key).await?;
        let seal = self.clone();
        let mut arrival = tokio::spawn(async move { seal.await_state(&join, &unseal_key).await });
        match tokio::time::timeout(ANSWER_AFTER, &mut arrival).await {
            Ok(Ok(result)) => result,
            // It goes on.
            Err(_) => Ok(()),
            Ok(Err(error)) => Err(SealError::Failed(error.to_string())),
        }
    }

    /// Answers a fresh challenge of whichever target leads.
    async fn prove(&self, join: &PendingJoin, unseal_key: &UnsealKey) -> Result<(), SealError> {
        let key = AeadKey::new(unseal_key.join_key().expose()).map_err(|error| SealError::Failed(error.to_string()))?;
        let mut reasons = Vec::new();
        for target in &join.targets {
            let challenge = match self.fetch_challenge(target).await {
                Ok((challenge, _)) => challenge,
                Err(reason) => {
                    reasons.push(reason);
                    continue;
                }
            };
            // Not opening it says that the shares are wrong, not that the leader is.
            let answer = key.decrypt(CHALLENGE_CONTEXT, &challenge).map_err(|_| SealError::invalid(WRONG_SHARES))?;
            match self.send_answer(target, join, &key, &STANDARD.encode(answer.expose())).await {
                Ok(identity) => {
                    return self
                        .identity()
                        .store(identity)
                        .map_err(|error| SealError::Failed(format!("failed to store this node's identity: {error}")));
                }
                Err(reason) => reasons.push(reason),
            }
        }
        Err(SealError::Failed(format!("failed to join raft cluster: {}", reasons.join("; "))))
    }

    async fn send_answer(&self, target: &JoinTarget, join: &PendingJoin, key: &AeadKey, answer: &str) -> Result<Identity, String> {
        let me = self.me();
        let body = json!({
            "server_id": me.name,
            "answer": answer,
            "cluster_addr": me.cluster_addr,
            "api_addr": me.api_addr,
            "non_voter": join.non_voter,
        });
        let answer: Value = self.join_client().post(target, "sys/storage/raft/bootstrap/answer", body).await?;
        let malformed = || "the leader's answer is malformed".to_owned();
        let data = answer.get("data").unwrap_or(&answer);
        let encrypted = data["identity"].as_str().and_then(|text| STANDARD.decode(text).ok()).ok_or_else(malformed)?;
        let identity = key.decrypt(IDENTITY_CONTEXT, &encrypted).map_err(|_| malformed())?;
        serde_json::from_slice(identity.expose()).map_err(|_| malformed())
    }

    /// Whether the cluster's state has arrived, and the group has agreed that this node belongs to it. A leader sends its state before
    /// that; if it is lost then, the next one knows nothing of this node.
    pub(in super::super) fn has_joined(&self) -> bool {
        let me = NodeId::of_name(&self.me().name);
        self.has_keyring() && self.ctx().raft.status().borrow().peers.iter().any(|peer| peer.id == me)
    }

    /// Waits until this node has joined, and unseals. Proves itself again where the leader was lost before it had added this node.
    async fn await_state(&self, join: &PendingJoin, unseal_key: &UnsealKey) -> Result<(), SealError> {
        let mut status = self.ctx().raft.status();
        loop {
            let deadline = Instant::now() + JOIN_PATIENCE;
            loop {
                if self.has_joined() {
                    let unsealed = self.unseal_with(unseal_key);
                    if let Err(error) = &unsealed {
                        tracing::error!(%error, "joined, but not unsealed");
                    }
                    if !bug!(175) || unsealed.is_err() {
                        self.set_pending_join(None);
                    }
                    return unsealed;
                }
                match timeout_at(deadline, status.changed()).await {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) => return Err(SealError::failed("Raft has ended")),
                    Err(_) => break,
                }
            }
            tracing::warn!("the cluster has not sent its state yet, or has not agreed on this node: joining again");
            if !bug!(158)
                && let Err(error) = self.prove(join, unseal_key).await
            {
                tracing::warn!(%error, "joining again failed");
            }
        }
    }
}
