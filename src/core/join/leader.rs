//! The active node's side: challenges whoever wants to join, and takes in who answers right.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::super::seal::Seal;
use super::super::{Context, keys};
use super::challenges::{Challenges, Verdict};
use super::{CHALLENGE_CONTEXT, IDENTITY_CONTEXT};
use crate::crypto::aead::AeadKey;
use crate::crypto::cert::{Authority, Peer};
use crate::crypto::entropy;
use crate::engine::EngineError;
use crate::raft::{Member, MembershipError};
use crate::types::limits::{JOIN_ADD_MAX, JOIN_NAME_BYTES_MAX, JOIN_REMOVE_MAX};
use crate::types::{NodeId, Timestamp};

const CHALLENGE_BYTES: usize = 16;

/// Who may join: kept by the active node, in memory only.
#[derive(Debug)]
pub struct Joins {
    ctx: Arc<Context>,
    seal: Arc<Seal>,
    challenges: Mutex<Challenges>,
}

impl Joins {
    /// Nobody wants to join yet.
    pub fn new(ctx: Arc<Context>, seal: Arc<Seal>) -> Arc<Self> {
        Arc::new(Self { ctx, seal, challenges: Mutex::default() })
    }

    fn join_key(&self) -> Result<AeadKey, EngineError> {
        let internal = |error: String| EngineError::Internal(error);
        let mut txn = self.ctx.begin().map_err(|error| internal(error.to_string()))?;
        let key = txn.get(&keys::join_key())?.ok_or_else(|| EngineError::Unavailable("the join key is not here yet".to_owned()))?;
        AeadKey::new(key.expose()).map_err(|error| internal(error.to_string()))
    }

    /// `sys/storage/raft/bootstrap/challenge`: random bytes, encrypted with what only the cluster's shares give.
    ///
    /// # Errors
    /// If the name is missing or too long.
    pub fn challenge(&self, server_id: &str) -> Result<Value, EngineError> {
        if server_id.is_empty() {
            return Err(EngineError::invalid("no server_id provided"));
        }
        if server_id.len() > JOIN_NAME_BYTES_MAX {
            return Err(EngineError::invalid("server_id is too long"));
        }
        let config = self.seal.seal_config().map_err(|error| EngineError::Internal(error.to_string()))?;
        let config = config.ok_or_else(|| EngineError::Unavailable("Vault is not initialized".to_owned()))?;
        let source = self.ctx.entropy.as_ref();
        let answer = entropy::random_secret(source, CHALLENGE_BYTES);
        let challenge = self.join_key()?.encrypt(source, CHALLENGE_CONTEXT, answer.expose());
        self.challenges.lock().expect("no holder of this lock panics").expect(server_id, answer, Instant::now());
        Ok(json!({
            "challenge": STANDARD.encode(challenge),
            "seal_config": {
                "type": "shamir",
                "secret_shares": config.secret_shares,
                "secret_threshold": config.secret_threshold,
            },
        }))
    }

    /// `sys/storage/raft/bootstrap/answer`: the certificate of a node that answered right, which is then added to the group.
    ///
    /// # Errors
    /// If something is missing, or the answer is wrong; or if it is a voter still and cannot be removed now.
    pub async fn answer(
        &self,
        server_id: &str,
        answer: &str,
        member: Member,
        is_voter: bool,
        now: Timestamp,
    ) -> Result<Value, EngineError> {
        if server_id.is_empty() {
            return Err(EngineError::invalid("no server_id provided"));
        }
        if answer.is_empty() {
            return Err(EngineError::invalid("no answer provided"));
        }
        if member.cluster_addr.is_empty() {
            return Err(EngineError::invalid("no cluster_addr provided"));
        }
        let answer = STANDARD.decode(answer).map_err(|_| EngineError::invalid("could not base64 decode answer"))?;
        let verdict = self.challenges.lock().expect("no holder of this lock panics").judge(server_id, &answer, Instant::now());
        match verdict {
            Verdict::Right => {}
            Verdict::Wrong => return Err(EngineError::invalid("invalid answer given")),
            Verdict::Unexpected => return Err(EngineError::invalid("no expected answer for the server id provided")),
        }
        let id = NodeId::of_name(&member.name);
        let status = self.ctx.raft.status().borrow().clone();
        if status.peers.iter().any(|peer| peer.id == id && peer.member.name != member.name) {
            return Err(EngineError::invalid("the server id collides with that of another peer: choose another one"));
        }
        if status.peers.iter().any(|peer| peer.id == id && (peer.is_voter || status.is_halfway)) && !bug!(12) {
            self.remove_voter(id, &member.name).await?;
        }
        let internal = |error: String| EngineError::Internal(error);
        let row = self.ctx.begin().map_err(|error| internal(error.to_string()))?.get(&keys::cluster_ca())?;
        let row = row.ok_or_else(|| internal("this cluster has no authority".to_owned()))?;
        let authority: Authority = serde_json::from_slice(row.expose()).map_err(|error| internal(error.to_string()))?;
        let identity = authority.issue(&Peer::Node(member.name.clone()), now, self.seal.identity().life());
        let identity = identity.map_err(|error| EngineError::Invalid(error.to_string()))?;
        let identity = zeroize::Zeroizing::new(serde_json::to_vec(&identity).expect("texts are JSON"));
        let identity = self.join_key()?.encrypt(self.ctx.entropy.as_ref(), IDENTITY_CONTEXT, &identity);
        let peers: Vec<Value> = status
            .peers
            .iter()
            .map(|peer| json!({ "id": peer.member.name, "address": peer.member.cluster_addr, "suffrage": u8::from(!peer.is_voter) }))
            .collect();
        tracing::info!(node = member.name, cluster_addr = member.cluster_addr, "a node joins");
        // The joiner answers Raft only once it has this answer, so adding it goes on by itself.
        tokio::spawn(add(self.ctx.clone(), id, member, is_voter));
        Ok(json!({ "peers": peers, "identity": STANDARD.encode(identity) }))
    }

    /// A voter that joins anew has lost its data, and with it what it had acknowledged: it must not count before it has caught up. So it
    /// is out of the group before it gets what it needs to answer Raft with; a leader whose follower forgets ends.
    async fn remove_voter(&self, id: NodeId, name: &str) -> Result<(), EngineError> {
        let removed = tokio::time::timeout(JOIN_REMOVE_MAX, self.ctx.raft.remove_peer(id)).await;
        let why = match removed {
            Ok(Ok(()) | Err(MembershipError::Unknown)) => {
                tracing::warn!(node = name, "a voter joins anew: it was removed from the group first");
                return Ok(());
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no majority agreed in time".to_owned(),
        };
        Err(EngineError::Unavailable(format!(
            "{name} votes in this cluster and cannot be removed now, which must come before it joins anew: {why}"
        )))
    }
}

/// Adds a node to the group; again where another change is under way. Once this node no longer leads, the joiner asks the next leader.
async fn add(ctx: Arc<Context>, id: NodeId, member: Member, is_voter: bool) {
    let deadline = Instant::now() + JOIN_ADD_MAX;
    loop {
        match ctx.raft.add_peer(id, member.clone(), is_voter).await {
            Ok(()) => return tracing::info!(node = member.name, "a node has joined"),
            Err(MembershipError::Busy(reason)) if Instant::now() < deadline => {
                tracing::debug!(node = member.name, reason, "a node waits to be added");
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            Err(error) => return tracing::error!(node = member.name, %error, "a node could not be added"),
        }
    }
}
